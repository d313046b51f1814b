"""Calls whoever set a timer, in time, and keeps an eye on the clocks."""

from collections.abc import Callable
from typing import Final, Protocol

import trio

from kpclientd.network_time import NetworkTime

RESOLUTION_SECONDS: Final = 1.0
"""How late a timer may be noticed that was set after this went to sleep; all are of tens of seconds."""


class Timed(Protocol):
    """A machine with timers; times are monotonic seconds."""

    def next_timer(self) -> float | None:
        """When `handle_timers` has something to do, or None."""

    def handle_timers(self, now: float) -> None:
        """Do what is due."""


async def keep_time(machines: tuple[Timed, ...], network_time: NetworkTime, on_progress: Callable[[], None]) -> None:
    """Handle the timers of all `machines`, for ever; `on_progress` is called after each time."""
    while True:
        now = trio.current_time()
        network_time.look()
        for machine in machines:
            machine.handle_timers(now)
        on_progress()
        timers = (machine.next_timer() for machine in machines)
        soonest = min((timer for timer in timers if timer is not None), default=now + RESOLUTION_SECONDS)
        await trio.sleep_until(min(soonest, now + RESOLUTION_SECONDS))
