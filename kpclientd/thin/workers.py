"""Slow work, off the event loop: a bounded pool of threads, fair between applications, cancelled with them.

Theory of operation. Work waits in a line of its owner's; a free thread takes the next from the owners in turns, so that
one application's hundred requests cost another's one request a single piece of work. Work that still waits when its
caller is cancelled is never begun. Work that has begun cannot be broken off in a thread; its result is thrown away, and
its thread counts as busy until it ends.

Threads of a lower priority are the pool's own: a thread may lower its priority, and not raise it again.
"""

import os
import queue
import sys
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, Final, TypeVar

import outcome
import trio

from kpclientd.traffic.queues import FairQueues

Result = TypeVar("Result")

THREADS: Final = 2

_Deliver = Callable[[outcome.Outcome[Any]], object]


class Workers:
    """The pool.

    Args:
        threads: how many pieces of work run at once; with 0 they run on the loop, one after the other, as virtual
            clocks need it.
        niceness: by how much the operating system is to prefer others, 0 to 19; on Linux only.
    """

    def __init__(self, threads: int = THREADS, niceness: int = 0) -> None:
        self.done = 0
        self._threads = threads
        self._free = threads
        self._start = _Threads(threads, niceness).start if niceness else trio.lowlevel.start_thread_soon
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

        self._start(work, deliver)
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


class _Threads:
    """Threads of a lower priority, begun with the first work."""

    def __init__(self, threads: int, niceness: int) -> None:
        self._threads = threads
        self._niceness = niceness
        self._are_started = False
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], _Deliver]] = queue.SimpleQueue()

    def start(self, work: Callable[[], Any], deliver: _Deliver) -> None:
        if not self._are_started:
            self._are_started = True
            for number in range(self._threads):
                threading.Thread(target=self._run, name=f"worker {number}", daemon=True).start()
        self._work.put((work, deliver))

    def _run(self) -> None:
        if sys.platform == "linux":  # elsewhere it would be the whole process's
            with suppress(OSError):  # as a sandbox may forbid it
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._niceness)
        while True:
            work, deliver = self._work.get()
            deliver(outcome.capture(work))
            del work, deliver  # what they hold must not wait for the next
