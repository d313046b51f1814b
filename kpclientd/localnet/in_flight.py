"""Packets in flight between nodes: a task for each, counted, and never more than a limit at once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVarTuple, Unpack

import trio

MAX_IN_FLIGHT: Final = 16384
"""Packets of one network; a bound on memory (some 4 kB each)."""

Arguments = TypeVarTuple("Arguments")


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came to a node at once, as an observer beside it sees that: trio's clock, and how many bytes there were."""

    time: float
    length: int


class PacketsInFlight:
    """All packets of one network that are in flight.

    Attributes:
        count: how many there are.

    Args:
        refuse: called for each one beyond `MAX_IN_FLIGHT`.
    """

    def __init__(self, refuse: Callable[[], None]) -> None:
        self.count = 0
        self._refuse = refuse
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the packets' tasks until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def start(self, travel: Callable[[Unpack[Arguments]], Awaitable[None]], *arguments: *Arguments) -> None:
        """Start the task of a packet, unless too many are in flight or `run` is not running."""
        if self._nursery is None or self.count >= MAX_IN_FLIGHT:
            self._refuse()
            return
        self.count += 1
        self._nursery.start_soon(self._counted, travel, *arguments)

    async def _counted(self, travel: Callable[[Unpack[Arguments]], Awaitable[None]], *arguments: *Arguments) -> None:
        try:
            await travel(*arguments)
        finally:
            self.count -= 1
