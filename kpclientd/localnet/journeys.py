"""Packets on their way between nodes: a task for each, counted, and never more than a limit at once."""

from collections.abc import Awaitable, Callable
from typing import TypeVarTuple, Unpack

import trio

Arguments = TypeVarTuple("Arguments")


class Journeys:
    """All packets of one network that are under way.

    Attributes:
        in_flight: how many there are.

    Args:
        limit: the most there may be.
        refuse: called for each one that may not set out.
    """

    def __init__(self, limit: int, refuse: Callable[[], None]) -> None:
        self.in_flight = 0
        self._limit = limit
        self._refuse = refuse
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let packets travel until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def start(self, journey: Callable[[Unpack[Arguments]], Awaitable[None]], *arguments: *Arguments) -> None:
        """Let a packet set out, unless too many are under way or nothing runs."""
        if self._nursery is None or self.in_flight >= self._limit:
            self._refuse()
            return
        self.in_flight += 1
        self._nursery.start_soon(self._counted, journey, *arguments)

    async def _counted(self, journey: Callable[[Unpack[Arguments]], Awaitable[None]], *arguments: *Arguments) -> None:
        try:
            await journey(*arguments)
        finally:
            self.in_flight -= 1
