"""One turn, passed round: what is done for applications takes a bounded time between two looks at the clock.

Theory of operation. The event loop runs in passes: each runs every task that is ready once, and then looks at sockets
and timers. If five hundred connections each had a turn in one pass, a tick of the send clock would wait for all of
them. So whoever works for an application *takes* the turn first, works until it `is_over`, and *gives* it back. Who
finds it taken, or had in this pass, waits, and gets it in a following pass. Between two turns everything else has had
its own. When a pass ends the loop tells (it has a hook for that), so nothing has to run as long as nobody waits.

Those that took the turn without having used it up (`fresh`) go before those that need it `again`, so that an
application that asks little is not held up by one that asks much; every so often one of the latter goes first, so that
they are never starved. Nobody waits while holding the turn: a task that has to wait gives it back before.
"""

import math
from collections import deque
from typing import Final

import outcome
import trio

TURN_SECONDS: Final = 0.0005
STEPS_IN_A_TURN: Final = 16
"""Where the clock does not move (a virtual one), a turn ends by count."""

FRESH_IN_A_ROW: Final = 8


class AppTurns(trio.abc.Instrument):
    """The turn of all work for applications.

    Args:
        seconds: how long a turn is.
        steps: after how many questions whether it `is_over` it is, however fast they came.
    """

    def __init__(self, seconds: float = TURN_SECONDS, steps: int = STEPS_IN_A_TURN) -> None:
        self.taken = 0
        self._seconds = seconds
        self._most_steps = steps
        self._fresh: deque[trio.lowlevel.Task] = deque()
        self._again: deque[trio.lowlevel.Task] = deque()
        self._fresh_in_a_row = 0
        self._held = False
        self._had_one_this_pass = False
        self._wake = trio.Event()
        self._ends_at = 0.0
        self._steps = 0

    async def run(self) -> None:
        """Pass the turn on to those who wait, for ever; without this nobody has a second one."""
        trio.lowlevel.add_instrument(self)
        try:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                while self._fresh or self._again:
                    await trio.lowlevel.checkpoint()
                    if not self._held:
                        self._pass_on()
        finally:
            trio.lowlevel.remove_instrument(self)

    def after_io_wait(self, timeout: float) -> None:
        """A pass of the loop has ended."""
        self._had_one_this_pass = False

    async def take(self) -> None:
        """Wait for the turn, and hold it."""
        if self._held or self._had_one_this_pass or self._fresh or self._again:
            await self._wait_in(self._fresh)
        self._begin()

    async def again(self) -> None:
        """Give the turn back and wait for another; others go first."""
        self.give()
        await self._wait_in(self._again)
        self._begin()

    def give(self) -> None:
        """Give the turn back."""
        self._held = False

    def is_over(self) -> bool:
        """Whether the turn has lasted long enough; to be asked after each piece of work."""
        self._steps += 1
        return self._steps >= self._most_steps or trio.current_time() >= self._ends_at

    def late(self, now: float) -> float:
        """For how many seconds somebody has kept a turn that is over; negative if nobody has."""
        return now - self._ends_at if self._held else -math.inf

    def _begin(self) -> None:
        self._held = self._had_one_this_pass = True
        self.taken += 1
        self._steps = 0
        self._ends_at = trio.current_time() + self._seconds

    async def _wait_in(self, line: deque[trio.lowlevel.Task]) -> None:
        task = trio.lowlevel.current_task()
        line.append(task)
        self._wake.set()

        def abort(_: object) -> trio.lowlevel.Abort:
            line.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _pass_on(self) -> None:
        fresh_may = self._fresh_in_a_row < FRESH_IN_A_ROW or not self._again
        line = self._fresh if self._fresh and fresh_may else self._again or self._fresh
        if not line:
            return
        self._fresh_in_a_row = self._fresh_in_a_row + 1 if line is self._fresh else 0
        self._held = True
        self._ends_at = math.inf  # until it is begun
        trio.lowlevel.reschedule(line.popleft(), outcome.Value(None))
