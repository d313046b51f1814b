"""Route choice: which nodes a packet passes, when, and with which keys (Katzenpost Sphinx, 'path selection, delays').

A node changes its Sphinx keys every epoch, so each hop's key is that of the epoch in which the packet will arrive
there, and that depends on the delays drawn for the hops before it.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pki.descriptor import MixDescriptor
from pki.document import Document
from pki.epoch import MILLISECONDS_PER_SECOND, EpochClock
from pki.errors import PkiError, RouteError
from sphinx.commands import MAX_DELAY_MS, NodeDelay, Recipient, RoutingCommand, SurbReply
from sphinx.path import PathHop
from sphinx.randomness import Randomness
from sphinx.types import NodeId, RecipientId, SurbId

ATTEMPTS: Final = 3
"""How often a route is drawn before giving up (the reference's number)."""

_CAP_PROBABILITY: Final = 1e-12
"""A delay is capped where only this share of all draws would exceed it; nodes drop packets above the cap."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route through the network.

    Attributes:
        hops: for the packet's or SURB's builder.
        names: of the hops' nodes, for people.
        arrival: unix seconds at which the packet is done with its last delay, were the network instantaneous.
    """

    hops: tuple[PathHop, ...]
    names: tuple[str, ...]
    arrival: float


class _MissingKeyError(PkiError):
    """A node has no key for the epoch of arrival: draw again."""


def delay_cap_ms(mu: float) -> int:
    """The longest delay at a hop, in milliseconds; 0 where `mu` is no rate (per millisecond) to draw from."""
    if not (math.isfinite(mu) and mu > 0):
        return 0
    cap = -math.log(_CAP_PROBABILITY) / mu
    return math.ceil(cap) if math.isfinite(cap) else 0


def forward_route(
    document: Document,
    gateway: NodeId,
    service: NodeId,
    recipient: RecipientId,
    *,
    with_surb: bool,
    start: float,
    clock: EpochClock,
    randomness: Randomness,
    public_key_length: int,
) -> Route:
    """Draw the route of a packet: the gateway, one mix of each layer, the service node.

    Args:
        document: the network.
        gateway: the gateway that we are connected to (32 bytes).
        service: the service node (32 bytes).
        recipient: the service's endpoint there, padded (32 bytes).
        with_surb: whether the packet carries a SURB; the service node then gets a delay too.
        start: unix seconds at which the packet leaves.
        clock: the network's epochs.
        randomness: what mixes and delays are drawn from.
        public_key_length: bytes of a Sphinx public key of the geometry's scheme.

    Raises:
        UnknownNodeError: if the document lists no such gateway or service node.
        RouteError: if a layer is empty, a key has a wrong length, no rate of delays is given, or the nodes' keys did
            not reach as far as the delays in any of three attempts.
    """
    first = document.gateway(gateway)
    last = document.service(service)

    def select() -> list[MixDescriptor]:
        return [first, *_one_of_each_layer(document, randomness), last]

    draw = _Draw(document.mu, start, clock, randomness, public_key_length)
    return draw.route(select, last_delayed=with_surb, last_commands=(Recipient(recipient),))


def reply_route(
    document: Document,
    gateway: NodeId,
    recipient: RecipientId,
    surb_id: SurbId,
    *,
    start: float,
    clock: EpochClock,
    randomness: Randomness,
    public_key_length: int,
) -> Route:
    """Draw the route of a reply: one mix of each layer, then our gateway. The service node only injects it.

    Args:
        document: the network.
        gateway: the gateway that we are connected to (32 bytes).
        recipient: our queue there (32 bytes).
        surb_id: names the SURB to us (16 bytes).
        start: unix seconds at which the reply leaves the service node: the forward route's arrival.
        clock: the network's epochs.
        randomness: what mixes and delays are drawn from.
        public_key_length: bytes of a Sphinx public key of the geometry's scheme.

    Raises:
        UnknownNodeError: if the document lists no such gateway.
        RouteError: as for `forward_route`.
    """
    last = document.gateway(gateway)

    def select() -> list[MixDescriptor]:
        return [*_one_of_each_layer(document, randomness), last]

    draw = _Draw(document.mu, start, clock, randomness, public_key_length)
    return draw.route(select, last_delayed=False, last_commands=(Recipient(recipient), SurbReply(surb_id)))


def keys_on_routes(document: Document) -> tuple[bytes, ...]:
    """The mix keys that packets by a document meet: of gateways, mixes and service nodes, in its epoch and the next.

    Those of its own epoch come first. A packet that leaves late in an epoch arrives in the next one.
    """
    nodes = [*document.gateway_nodes, *itertools.chain(*document.topology), *document.service_nodes]
    epochs = (document.epoch, document.epoch + 1)
    return tuple(node.mix_keys[epoch] for epoch in epochs for node in nodes if epoch in node.mix_keys)


def _one_of_each_layer(document: Document, randomness: Randomness) -> list[MixDescriptor]:
    for number, layer in enumerate(document.topology):
        if not layer:
            raise RouteError(f"layer {number} has no nodes")
    return [randomness.choice(layer) for layer in document.topology]


@dataclass(frozen=True, slots=True)
class _Draw:
    mu: float
    start: float
    clock: EpochClock
    randomness: Randomness
    public_key_length: int

    def route(
        self,
        select: Callable[[], list[MixDescriptor]],
        *,
        last_delayed: bool,
        last_commands: tuple[RoutingCommand, ...],
    ) -> Route:
        cap = delay_cap_ms(self.mu)
        if not 0 < cap <= MAX_DELAY_MS:
            raise RouteError(f"the document's mu of {self.mu} per ms is no rate to draw delays from")
        missing = ""
        for _ in range(ATTEMPTS):
            try:
                return self._through(select(), cap, last_delayed, last_commands)
            except _MissingKeyError as error:
                missing = str(error)
        raise RouteError(f"max path selection attempts exceeded ({ATTEMPTS}): {missing}")

    def _through(
        self,
        nodes: Sequence[MixDescriptor],
        cap: int,
        last_delayed: bool,
        last_commands: tuple[RoutingCommand, ...],
    ) -> Route:
        hops = []
        waited_ms = 0
        for index, node in enumerate(nodes):
            arrival = self.start + waited_ms / MILLISECONDS_PER_SECOND
            is_last = index == len(nodes) - 1
            commands: tuple[RoutingCommand, ...] = ()
            public_key = self._key(node, arrival)
            if not is_last or last_delayed:
                delay_ms = min(math.floor(self.randomness.exponential(1.0 / self.mu)) + 1, cap)
                waited_ms += delay_ms
                commands = (NodeDelay(delay_ms),)
            hops.append(PathHop(node.node_id, public_key, commands + last_commands if is_last else commands))
        names = tuple(node.name for node in nodes)
        return Route(tuple(hops), names, self.start + waited_ms / MILLISECONDS_PER_SECOND)

    def _key(self, node: MixDescriptor, arrival: float) -> bytes:
        # The reference reckons in whole seconds. That is the same where epochs begin at whole seconds, and where they
        # do not, it would ask for a key of the past.
        epoch = self.clock.epoch(arrival)
        key = node.mix_keys.get(epoch)
        if key is None:
            raise _MissingKeyError(f"node {node.name!r} has no mix key for epoch {epoch}")
        if len(key) != self.public_key_length:
            raise RouteError(f"node {node.name!r} has a mix key of {len(key)} bytes; expected {self.public_key_length}")
        return key
