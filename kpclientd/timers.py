"""Calls whoever set a timer, in time, and looks at the clocks each second.

A process that wakes finds cold caches, and pays for that more than for what it does. So whoever is awake anyway lets
the timekeeper look in passing; it wakes by itself only where nobody did for a second.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import trio

from kpclientd.network_time import ClockChange, NetworkTime

STOOD_STILL_SECONDS: Final = 10.0
"""Only a process that was stopped, or had no processor for as long, is so late."""

RESOLUTION_SECONDS: Final = 1.0
"""How late a timer may be noticed that was set after this went to sleep; all are of tens of seconds."""

PASSING_SECONDS: Final = RESOLUTION_SECONDS / 2
"""Between two looks in passing."""


class Timed(Protocol):
    """A machine with timers; times are monotonic seconds."""

    def next_timer(self) -> float | None:
        """When `handle_timers` has something to do, or None."""

    def handle_timers(self, now: float) -> None:
        """Do what is due."""


class Timekeeper:
    """Handles the timers of machines, and looks at the clocks.

    Args:
        machines: whose timers.
        network_time: whose clocks are looked at.
        on_progress: called each time timers were handled.
        on_clock_change: told that the machine slept or the wall clock was stepped, within a second.
        on_stood_still: told for how many seconds this process did nothing, though the clocks went on.
    """

    def __init__(
        self,
        machines: Sequence[Timed],
        network_time: NetworkTime,
        *,
        on_progress: Callable[[], None],
        on_clock_change: Callable[[ClockChange], None],
        on_stood_still: Callable[[float], None],
    ) -> None:
        self._machines = machines
        self._network_time = network_time
        self._on_progress = on_progress
        self._on_clock_change = on_clock_change
        self._on_stood_still = on_stood_still
        self._sleep = trio.CancelScope()
        self._looked_at = 0.0

    async def run(self) -> None:
        """Keep time, for ever."""
        self._sleep.deadline = trio.current_time()
        while True:
            self._look(trio.current_time())
            with trio.CancelScope(deadline=self._sleep.deadline) as self._sleep:
                await trio.sleep_forever()

    def look_in_passing(self) -> None:
        """To be called while `run` runs, by who has something else to do: what is due now needs no waking."""
        now = trio.current_time()
        if now >= self._looked_at + PASSING_SECONDS:
            self._look(now)

    def late(self, now: float) -> float:
        """For how many seconds a look has been overdue; negative if none is."""
        return now - self._sleep.deadline

    def _look(self, now: float) -> None:
        late = now - self._sleep.deadline
        if late > STOOD_STILL_SECONDS:
            self._on_stood_still(late)
        self._looked_at = now
        change = self._network_time.look()
        if change is not None:
            self._on_clock_change(change)
        for machine in self._machines:
            machine.handle_timers(now)
        self._on_progress()
        timers = (machine.next_timer() for machine in self._machines)
        self._sleep.deadline = min([now + RESOLUTION_SECONDS, *(timer for timer in timers if timer is not None)])
