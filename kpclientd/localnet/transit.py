"""Packets in flight between the nodes of a local network.

Each packet is a task that sleeps for the delays; the nodes decide what is done with it (`node.py`). The faults apply
between gateway and first mix, and again where a reply reaches its gateway.
"""

from collections.abc import Callable, Mapping

import trio

from kpclientd.localnet.counters import Counted, Counters, DropReason
from kpclientd.localnet.faults import Faults
from kpclientd.localnet.in_flight import PacketsInFlight
from kpclientd.localnet.node import Deliver, Drop, Forward, Node, Serve
from kpclientd.localnet.service import Services
from pki.epoch import MILLISECONDS_PER_SECOND, EpochClock
from sphinx.types import NodeId, RecipientId, SurbId


class Transit:
    """Carries packets from the gateway to the services and back.

    Args:
        nodes: every node by its id.
        services: what the service node answers.
        deliver: takes a reply that has reached the gateway of that id.
        faults: the switches.
        counters: where to count.
        clock: the network's epochs.
        unix: the wall clock, by which nodes choose their keys.

    Attributes:
        nodes: may be exchanged; packets on their way to a node that is not there any more are lost.
        packets: those in flight; they move while its `run` does.
    """

    def __init__(
        self,
        *,
        nodes: Mapping[NodeId, Node],
        services: Services,
        deliver: Callable[[NodeId, RecipientId, SurbId, bytes], None],
        faults: Faults,
        counters: Counters,
        clock: EpochClock,
        unix: Callable[[], float],
    ) -> None:
        self.nodes = nodes
        self._services = services
        self._deliver = deliver
        self._faults = faults
        self._counters = counters
        self._clock = clock
        self._unix = unix
        self.packets = PacketsInFlight(lambda: counters.add(DropReason.IN_FLIGHT_LIMIT))

    def inject(self, gateway: NodeId, packet: bytes) -> None:
        """Take a packet that a client has sent to `gateway`."""
        arrived = trio.current_time()
        if self._lacks_consensus():
            self._counters.add(DropReason.NO_CONSENSUS)
            return
        action = self.nodes[gateway].process(packet, self._unix(), from_client=True)
        if isinstance(action, Drop):
            self._counters.add(action.reason)
        elif isinstance(action, Forward):
            self._leave_gateway(action, arrived)
        else:  # the node itself refuses these from clients
            self._counters.add(DropReason.NOT_A_FORWARD_PACKET)

    def _leave_gateway(self, action: Forward, arrived: float) -> None:
        if self._faults.happens(self._faults.loss):
            self._counters.add(DropReason.FAULT_PACKET_LOST)
            return
        packet = action.packet
        if self._faults.happens(self._faults.corrupt_packets):
            self._counters.add(Counted.FAULT_CORRUPTIONS)
            packet = self._faults.flip_a_bit(packet)
        due = arrived + action.delay_ms / MILLISECONDS_PER_SECOND
        for _ in range(self._copies()):
            self.packets.start(self._travel, action.next_hop, packet, due + self._faults.extra_delay())

    async def _travel(self, place: NodeId, packet: bytes, due: float) -> None:
        while True:
            await trio.sleep_until(due)
            arrived = trio.current_time()
            node = self.nodes.get(place)
            if node is None or self._lacks_consensus():
                self._counters.add(DropReason.NODE_GONE if node is None else DropReason.NO_CONSENSUS)
                return
            action = node.process(packet, self._unix())
            if isinstance(action, Forward):
                place, packet = action.next_hop, action.packet
                due = arrived + action.delay_ms / MILLISECONDS_PER_SECOND
            elif isinstance(action, Serve):
                reply = self._services.handle(action.recipient, action.plaintext)
                if isinstance(reply, Drop):
                    self._counters.add(reply.reason)
                    return
                if reply.first_hop not in node.neighbours:
                    self._counters.add(DropReason.NOT_A_NEIGHBOUR)
                    return
                self._counters.add(Counted.REQUESTS_ANSWERED)
                place, packet, due = reply.first_hop, reply.packet, arrived
            elif isinstance(action, Deliver):
                self._reach_gateway(place, action)
                return
            else:
                self._counters.add(action.reason)
                return

    def _reach_gateway(self, gateway: NodeId, reply: Deliver) -> None:
        if self._faults.happens(self._faults.loss):
            self._counters.add(DropReason.FAULT_REPLY_LOST)
            return
        payload = reply.payload
        if self._faults.happens(self._faults.corrupt_replies):
            self._counters.add(Counted.FAULT_CORRUPTIONS)
            payload = self._faults.flip_a_bit(payload)
        for _ in range(self._copies()):
            wait = self._faults.extra_delay()
            if wait > 0:
                late = Deliver(reply.recipient, reply.surb_id, payload)
                self.packets.start(self._deliver_later, gateway, late, wait)
            else:
                self._deliver(gateway, reply.recipient, reply.surb_id, payload)

    async def _deliver_later(self, gateway: NodeId, reply: Deliver, wait: float) -> None:
        await trio.sleep(wait)
        self._deliver(gateway, reply.recipient, reply.surb_id, reply.payload)

    def _lacks_consensus(self) -> bool:
        if not self._faults.lose_without_consensus:
            return False
        return self._clock.epoch(self._unix()) in self._faults.skipped_epochs

    def _copies(self) -> int:
        if not self._faults.happens(self._faults.duplicate):
            return 1
        self._counters.add(Counted.FAULT_DUPLICATES)
        return 2
