"""Calls whoever set a timer, in time, and looks at the clocks each second."""

from collections.abc import Callable
from typing import Final, Protocol

import trio

from kpclientd.network_time import ClockChange, NetworkTime

STOOD_STILL_SECONDS: Final = 10.0
"""Only a process that was stopped, or had no processor for as long, is so late."""

RESOLUTION_SECONDS: Final = 1.0
"""How late a timer may be noticed that was set after this went to sleep; all are of tens of seconds."""


class Timed(Protocol):
    """A machine with timers; times are monotonic seconds."""

    def next_timer(self) -> float | None:
        """When `handle_timers` has something to do, or None."""

    def handle_timers(self, now: float) -> None:
        """Do what is due."""


async def keep_time(
    machines: tuple[Timed, ...],
    network_time: NetworkTime,
    *,
    on_progress: Callable[[], None],
    on_clock_change: Callable[[ClockChange], None],
    on_stood_still: Callable[[float], None],
) -> None:
    """Handle the timers of all `machines`, for ever.

    Args:
        machines: whose timers.
        network_time: whose clocks are looked at.
        on_progress: called each time timers were handled.
        on_clock_change: told that the machine slept or the wall clock was stepped, within a second.
        on_stood_still: told for how many seconds this process did nothing, though the clocks went on.
    """
    while True:
        now = trio.current_time()
        change = network_time.look()
        if change is not None:
            on_clock_change(change)
        for machine in machines:
            machine.handle_timers(now)
        on_progress()
        timers = (machine.next_timer() for machine in machines)
        soonest = min((timer for timer in timers if timer is not None), default=now + RESOLUTION_SECONDS)
        planned = min(soonest, now + RESOLUTION_SECONDS)
        await trio.sleep_until(planned)
        late = trio.current_time() - planned
        if late > STOOD_STILL_SECONDS:
            on_stood_still(late)
