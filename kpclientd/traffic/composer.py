"""Makes packets: a route there, a route back, and the Sphinx packet for both.

A loop decoy is a packet to an echo service like any other; its reply comes back to us and is thrown away. All packets
are made by the same work: one that nobody can answer has a SURB made for it, too, which is thrown away.

Source: the Katzenpost Sphinx specification and the client daemon, "compose".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from arq import RouteNames
from kpclientd.errors import KpclientdError
from pki import Document, EpochClock, PkiError, forward_route, keys_on_routes, reply_route
from sphinx import Sphinx, compose_plaintext
from sphinx.errors import SphinxError
from sphinx.randomness import Randomness
from sphinx.types import RECIPIENT_ID_LENGTH, SURB_ID_LENGTH, NodeId, RecipientId, SurbId

MAX_ATTEMPTS: Final = 32
MAX_EPOCHS_UNDERWAY: Final = 2
"""A route whose delays add up to this many epochs outlives the keys of its hops."""

ECHO_CAPABILITY: Final = "echo"


class CompositionError(KpclientdError):
    """A packet cannot be built: the message names a service that is not there, or no route can be found."""


@dataclass(frozen=True, slots=True)
class PacketRequest:
    """What a packet has to carry, and where to.

    Attributes:
        destination: a service node of the document (32 bytes).
        recipient: the service's endpoint there (32 bytes, zero padded).
        payload: at most `user_forward_payload_length` bytes.
    """

    destination: NodeId
    recipient: RecipientId
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ComposedPacket:
    """A packet, ready to leave.

    Attributes:
        packet: `packet_length` bytes.
        surb_keys: the decryption keys of its SURB, or empty.
        eta: seconds from composing to the estimated arrival of the reply, or at the service without one.
        route: its way there and back. Every packet has it, a decoy too, so that the work does not tell the kinds apart.
    """

    packet: bytes = field(repr=False)
    surb_keys: bytes = field(repr=False)
    eta: float
    route: RouteNames = field(repr=False)


class Composer:
    """Builds packets for one network.

    Args:
        sphinx: the packet core, for the network's geometry.
        clock: the network's epochs.
        network_time: the present, in Unix seconds.
        randomness: for routes, delays and keys.
    """

    def __init__(
        self, sphinx: Sphinx, clock: EpochClock, network_time: Callable[[], float], randomness: Randomness
    ) -> None:
        self._sphinx = sphinx
        self._clock = clock
        self._network_time = network_time
        self._randomness = randomness

    def prepare(self, document: Document) -> None:
        """Make what packets by a document are made from faster, where that is possible; for a worker thread.

        Without it they are the same packets.
        """
        self._sphinx.keep_tables(keys_on_routes(document))

    def decoy(self, document: Document) -> PacketRequest:
        """A request to a uniformly random echo service of `document`.

        Raises:
            CompositionError: if it offers none.
        """
        services = document.services(ECHO_CAPABILITY)
        if not services:
            raise CompositionError("the document offers no echo service")
        service = self._randomness.choice(services)
        recipient = RecipientId(service.endpoint.ljust(RECIPIENT_ID_LENGTH, b"\0"))
        payload = bytes(self._sphinx.geometry.user_forward_payload_length)
        return PacketRequest(service.node_id, recipient, payload)

    def compose(
        self,
        document: Document,
        gateway: NodeId,
        queue_id: RecipientId,
        request: PacketRequest,
        surb_id: SurbId | None,
    ) -> ComposedPacket:
        """Build the packet that takes a request to its service.

        Args:
            document: whose nodes and keys to use.
            gateway: the gateway over whose connection it will leave.
            queue_id: that connection's name at the gateway; the SURB leads to it, and dies with it.
            request: what to carry, and where to.
            surb_id: under which the reply comes back, or None for no reply.

        Raises:
            CompositionError: if the nodes are not in the document or no route with valid keys can be found.
        """
        try:
            for _ in range(MAX_ATTEMPTS):
                composed = self._attempt(document, gateway, queue_id, request, surb_id)
                if composed is not None:
                    return composed
        except (PkiError, SphinxError) as error:
            raise CompositionError(str(error)) from error
        raise CompositionError(f"no route of {MAX_ATTEMPTS} arrives in time: the network's delays are too long")

    def _attempt(
        self,
        document: Document,
        gateway: NodeId,
        queue_id: RecipientId,
        request: PacketRequest,
        surb_id: SurbId | None,
    ) -> ComposedPacket | None:
        geometry, key_length = self._sphinx.geometry, self._sphinx.public_key_length
        now = self._network_time()
        there = forward_route(
            document,
            gateway,
            request.destination,
            request.recipient,
            with_surb=surb_id is not None,
            start=now,
            clock=self._clock,
            randomness=self._randomness,
            public_key_length=key_length,
        )
        back = reply_route(
            document,
            gateway,
            queue_id,
            surb_id or SurbId(bytes(SURB_ID_LENGTH)),
            start=there.arrival,
            clock=self._clock,
            randomness=self._randomness,
            public_key_length=key_length,
        )
        made = self._sphinx.new_surb(back.hops, self._randomness)
        if back.arrival - now >= MAX_EPOCHS_UNDERWAY * self._clock.period:
            return None
        plaintext = compose_plaintext(geometry, request.payload, made.surb if surb_id is not None else None)
        packet = self._sphinx.new_packet(there.hops, plaintext, self._randomness)
        if self._network_time() - now > self._clock.till_next(now):
            return None
        if surb_id is None:
            return ComposedPacket(packet, b"", there.arrival - now, RouteNames(there.names, ()))
        return ComposedPacket(packet, made.keys, back.arrival - now, RouteNames(there.names, back.names))
