"""What a mix, a gateway and a service node do with a packet.

Sans-IO: a packet goes in with the time, what is to be done about it comes out. The rules are those of the
reference's servers: three epochs' keys are tried, a packet is opened once per key, delays are capped by the rate of
the document, and the next hop must be one that this node may send to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeAlias, TypeVar

from kpclientd.localnet.counters import DropReason
from kpclientd.localnet.keys import KEPT_EPOCHS, NodeKeys
from pki.epoch import MILLISECONDS_PER_SECOND, EpochClock
from sphinx.commands import NextNodeHop, NodeDelay, Recipient, RoutingCommand, SurbReply
from sphinx.errors import SphinxError
from sphinx.packet import Sphinx
from sphinx.types import NodeId, RecipientId, SurbId
from sphinx.unwrap import Unwrapped

MAX_DELAY_PERIODS: Final = 3
"""A delay of more epochs than this is absurd whatever the document says."""

SHORTEST_DELAY_MS: Final = 1
"""A delay of zero counts as this when the packet did not have to wait."""

Command = TypeVar("Command", NextNodeHop, Recipient, SurbReply, NodeDelay)


class Role(Enum):
    """A node's place in the network."""

    MIX = auto()
    GATEWAY = auto()
    SERVICE = auto()


@dataclass(frozen=True, slots=True)
class Forward:
    """Send `packet` to `next_hop` when `delay_ms` have passed since it came in."""

    next_hop: NodeId
    packet: bytes = field(repr=False)
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """A reply has reached its gateway: spool `payload` (tag + plaintext bytes) for the client `recipient`."""

    recipient: RecipientId = field(repr=False)
    surb_id: SurbId = field(repr=False)
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Serve:
    """A request has reached its service node: hand `plaintext` to the endpoint `recipient`."""

    recipient: RecipientId
    plaintext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Drop:
    """Do nothing, and count why."""

    reason: DropReason


NodeAction: TypeAlias = Forward | Deliver | Serve | Drop


class Node:
    """One node of the network.

    Args:
        keys: who it is.
        role: its place.
        neighbours: the nodes that it may send to.
        sphinx: opens packets of the network's geometry.
        clock: the network's epochs.
        delay_cap_ms: the longest delay that it holds a packet for; 0 means no cap.
    """

    def __init__(
        self,
        keys: NodeKeys,
        role: Role,
        neighbours: frozenset[NodeId],
        sphinx: Sphinx,
        clock: EpochClock,
        delay_cap_ms: int,
    ) -> None:
        self.keys = keys
        self.node_id = keys.node_id
        self.role = role
        self.neighbours = neighbours
        self._sphinx = sphinx
        self._clock = clock
        self._delay_cap_ms = delay_cap_ms

    def process(self, packet: bytes, now: float, *, from_client: bool = False) -> NodeAction:
        """Open `packet` and say what follows.

        Args:
            packet: as it came from the link, of any length.
            now: unix seconds.
            from_client: it came from a client and not from a node; only a gateway has such links.
        """
        if len(packet) != self._sphinx.geometry.packet_length:
            return Drop(DropReason.WRONG_LENGTH)
        epoch = self._clock.epoch(now)
        self.keys.mix.forget_before(epoch - KEPT_EPOCHS)
        for key_epoch in (epoch, epoch - 1, epoch + 1):
            try:
                unwrapped = self._sphinx.unwrap(self.keys.mix.private_key(key_epoch), packet)
            except SphinxError:
                continue
            if self.keys.mix.is_replay(key_epoch, unwrapped.replay_tag):
                return Drop(DropReason.REPLAY)
            return self._follow(unwrapped, from_client)
        return Drop(DropReason.UNWRAP_FAILED)

    def _follow(self, unwrapped: Unwrapped, from_client: bool) -> NodeAction:
        next_hops = _all(unwrapped.commands, NextNodeHop)
        recipients = _all(unwrapped.commands, Recipient)
        surb_replies = _all(unwrapped.commands, SurbReply)
        delays = _all(unwrapped.commands, NodeDelay)
        if max(len(next_hops), len(recipients), len(surb_replies), len(delays)) > 1:
            return Drop(DropReason.REDUNDANT_COMMAND)
        is_forward = bool(next_hops) and not recipients and not surb_replies
        if is_forward and self.role is Role.SERVICE:
            return Drop(DropReason.FORWARD_AT_SERVICE)
        if is_forward:
            if self.role is Role.GATEWAY and not from_client:
                return Drop(DropReason.NOT_A_REPLY)
            return self._forward(next_hops[0].node_id, delays, unwrapped.packet)
        if self.role is Role.MIX or from_client or not recipients or next_hops or unwrapped.payload is None:
            return Drop(DropReason.NOT_A_FORWARD_PACKET)
        recipient = recipients[0].recipient_id
        if self.role is Role.GATEWAY:
            return self._deliver(recipient, surb_replies, unwrapped.payload)
        if surb_replies:
            return Drop(DropReason.UNKNOWN_ENDPOINT)
        return Serve(recipient, unwrapped.payload)

    def _forward(self, next_hop: NodeId, delays: Sequence[NodeDelay], packet: bytes | None) -> NodeAction:
        if not delays or packet is None:
            return Drop(DropReason.NO_DELAY)
        delay_ms = delays[0].milliseconds or SHORTEST_DELAY_MS
        absurd = delay_ms > MAX_DELAY_PERIODS * self._clock.period * MILLISECONDS_PER_SECOND
        if absurd or 0 < self._delay_cap_ms < delay_ms:
            return Drop(DropReason.DELAY_TOO_LONG)
        if next_hop not in self.neighbours:
            return Drop(DropReason.NOT_A_NEIGHBOUR)
        return Forward(next_hop, packet, delay_ms)

    def _deliver(self, recipient: RecipientId, surb_replies: Sequence[SurbReply], payload: bytes) -> NodeAction:
        geometry = self._sphinx.geometry
        expected = geometry.payload_tag_length + geometry.forward_payload_length
        if not surb_replies or len(payload) != expected:
            return Drop(DropReason.NOT_A_REPLY)
        return Deliver(recipient, surb_replies[0].surb_id, payload)


def _all(commands: Sequence[RoutingCommand], kind: type[Command]) -> list[Command]:
    return [command for command in commands if isinstance(command, kind)]
