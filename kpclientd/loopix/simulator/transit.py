"""Packets in flight from node to node, each a task that sleeps for its delay and then dials the next hop."""

from functools import partial
from typing import Final

import trio

from kpclientd.addresses import is_loopback
from kpclientd.localnet.in_flight import PacketsInFlight
from kpclientd.loopix.errors import LoopixError
from kpclientd.loopix.nodes import split_host
from kpclientd.loopix.simulator.actions import Forward, Store
from kpclientd.loopix.simulator.counters import Counted, Counters, DropReason
from kpclientd.loopix.simulator.faults import Faults
from kpclientd.loopix.simulator.provider import Provider
from kpclientd.loopix.simulator.streams import Dial

SEND_SECONDS: Final = 10.0
"""To connect to the next hop and hand it the packet."""


class Transit:
    """Carries packets from node to node and into the inboxes, where the faults apply.

    Args:
        dial: reaches the next hop; only addresses of this machine are ever dialled.
        faults: the switches.
        counters: where to count.

    Attributes:
        packets: those in flight; they move while its `run` does.
    """

    def __init__(self, dial: Dial, faults: Faults, counters: Counters) -> None:
        self._dial = dial
        self._faults = faults
        self._counters = counters
        self.packets = PacketsInFlight(lambda: counters.add(DropReason.IN_FLIGHT_LIMIT))

    def forward(self, action: Forward) -> None:
        """Send a packet on to its next hop."""
        self.packets.start(partial(self._travel, action))

    def store(self, provider: Provider, action: Store) -> None:
        """Put a packet into its inbox at `provider`."""
        if self._faults.happens(self._faults.loss):
            self._counters.add(DropReason.FAULT_PACKET_LOST)
            return
        packet = action.packet
        if self._faults.happens(self._faults.corrupt):
            self._counters.add(Counted.FAULT_CORRUPTIONS)
            packet = self._faults.flip_a_bit(packet)
        copies = 1
        if self._faults.happens(self._faults.duplicate):
            self._counters.add(Counted.FAULT_DUPLICATES)
            copies = 2
        for _ in range(copies):
            wait = action.delay + self._faults.extra_delay()
            if wait > 0:
                self.packets.start(partial(self._arrive, provider, action.inbox, packet, wait))
            else:
                self._put(provider, action.inbox, packet)

    async def _travel(self, action: Forward) -> None:
        await trio.sleep(action.delay)
        try:
            host, port = split_host(action.address)
        except LoopixError:
            host, port = "", ""
        if not is_loopback(host):
            self._counters.add(DropReason.BAD_ADDRESS)
            return
        try:
            with trio.fail_after(SEND_SECONDS):
                async with await self._dial(host, int(port)) as stream:
                    await stream.send_all(action.packet)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError):
            self._counters.add(DropReason.UNREACHABLE)
            return
        self._counters.add(Counted.PACKETS_RELAYED)

    async def _arrive(self, provider: Provider, inbox: str, packet: bytes, wait: float) -> None:
        await trio.sleep(wait)
        self._put(provider, inbox, packet)

    def _put(self, provider: Provider, inbox: str, packet: bytes) -> None:
        self._counters.add(provider.store(inbox, packet) or Counted.PACKETS_STORED)
