"""Slow work, off the event loop: a bounded pool of threads, fair between applications, cancelled with them.

Theory of operation. Work waits in a line of its owner's; a free thread takes the next from the owners in turns, so that
one application's hundred requests cost another's one request a single piece of work. Work that still waits when its
caller is cancelled is never begun. Work that has begun cannot be broken off in a thread; its result is thrown away, and
its thread counts as busy until it ends.
"""

from collections.abc import Callable, Hashable
from typing import Final, TypeVar

import outcome
import trio

from kpclientd.traffic.queues import FairQueues

Result = TypeVar("Result")

THREADS: Final = 2


class Workers:
    """The pool.

    Args:
        threads: how many pieces of work run at once; with 0 they run on the loop, one after the other, as virtual
            clocks need it.
    """

    def __init__(self, threads: int = THREADS) -> None:
        self.done = 0
        self._threads = threads
        self._free = threads
        self._lines: FairQueues[Hashable, trio.Event] = FairQueues()

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for a thread."""
        return len(self._lines)

    @property
    def running(self) -> int:
        """Pieces of work under way."""
        return self._threads - self._free

    async def run(self, owner: Hashable, work: Callable[[], Result]) -> Result:
        """Run `work` for `owner` and return its result, or raise its error."""
        if not self._threads:
            return work()
        await self._wait_for_thread(owner)
        results: list[outcome.Outcome[Result]] = []
        ended = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def report(result: outcome.Outcome[Result]) -> None:
            self.done += 1
            self._release()
            results.append(result)
            ended.set()

        def deliver(result: outcome.Outcome[Result]) -> None:
            try:
                token.run_sync_soon(report, result)
            except trio.RunFinishedError:
                pass  # the daemon has stopped; nobody waits

        trio.lowlevel.start_thread_soon(work, deliver)
        await ended.wait()
        return results[0].unwrap()

    async def _wait_for_thread(self, owner: Hashable) -> None:
        if self._free:
            self._free -= 1
            return
        mine = trio.Event()
        self._lines.register(owner)
        self._lines.push(owner, mine)
        try:
            await mine.wait()
        except trio.Cancelled:
            if mine.is_set():
                self._release()
            else:
                mine.set()
            raise
        finally:
            self._lines.forget_idle(owner)

    def _release(self) -> None:
        while (waiting := self._lines.pick()) is not None:
            if not waiting.is_set():
                waiting.set()
                return
        self._free += 1
