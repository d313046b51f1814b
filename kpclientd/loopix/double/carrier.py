"""Packets on their way from node to node, each a task that waits out its delay and then dials the next hop."""

from functools import partial
from typing import Final

import trio

from kpclientd.localnet.journeys import Journeys
from kpclientd.loopix.double.counters import Counters, DropReason, Event
from kpclientd.loopix.double.faults import Faults
from kpclientd.loopix.double.outcomes import Forward, Store
from kpclientd.loopix.double.presence import is_loopback
from kpclientd.loopix.double.provider import Provider
from kpclientd.loopix.double.streams import Dial
from kpclientd.loopix.errors import LoopixError
from kpclientd.loopix.nodes import split_host

MAX_IN_FLIGHT: Final = 16384
"""Packets under way at once; a bound on memory (a kilobyte or two each)."""

SEND_SECONDS: Final = 10.0
"""To connect to the next hop and hand it the packet."""


class Carrier:
    """Carries packets from node to node and, where the faults have their say, into the inboxes.

    Args:
        dial: reaches the next hop; only addresses of this machine are ever dialled.
        faults: the switches.
        counters: where to count.
    """

    def __init__(self, dial: Dial, faults: Faults, counters: Counters) -> None:
        self._dial = dial
        self._faults = faults
        self._counters = counters
        self._journeys = Journeys(MAX_IN_FLIGHT, lambda: counters.add(DropReason.IN_FLIGHT_LIMIT))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry packets until cancelled."""
        await self._journeys.run(task_status=task_status)

    @property
    def in_flight(self) -> int:
        """Packets under way."""
        return self._journeys.in_flight

    def forward(self, outcome: Forward) -> None:
        """Let a packet set out for its next hop."""
        self._journeys.start(partial(self._travel, outcome))

    def store(self, provider: Provider, outcome: Store) -> None:
        """Let a packet come to its end at `provider`."""
        if self._faults.happens(self._faults.loss):
            self._counters.add(DropReason.FAULT_PACKET_LOST)
            return
        packet = outcome.packet
        if self._faults.happens(self._faults.corrupt):
            self._counters.add(Event.FAULT_CORRUPTIONS)
            packet = self._faults.flip_a_bit(packet)
        copies = 1
        if self._faults.happens(self._faults.duplicate):
            self._counters.add(Event.FAULT_DUPLICATES)
            copies = 2
        for _ in range(copies):
            wait = outcome.delay + self._faults.extra_delay()
            if wait > 0:
                self._journeys.start(partial(self._arrive, provider, outcome.inbox, packet, wait))
            else:
                self._put(provider, outcome.inbox, packet)

    async def _travel(self, outcome: Forward) -> None:
        await trio.sleep(outcome.delay)
        try:
            host, port = split_host(outcome.address)
        except LoopixError:
            host, port = "", ""
        if not is_loopback(host):
            self._counters.add(DropReason.BAD_ADDRESS)
            return
        try:
            with trio.fail_after(SEND_SECONDS):
                async with await self._dial(host, int(port)) as stream:
                    await stream.send_all(outcome.packet)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError):
            self._counters.add(DropReason.UNREACHABLE)
            return
        self._counters.add(Event.PACKETS_RELAYED)

    async def _arrive(self, provider: Provider, inbox: str, packet: bytes, wait: float) -> None:
        await trio.sleep(wait)
        self._put(provider, inbox, packet)

    def _put(self, provider: Provider, inbox: str, packet: bytes) -> None:
        self._counters.add(provider.store(inbox, packet) or Event.PACKETS_STORED)
