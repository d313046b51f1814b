"""Makes packets: a route there, a route back, and the Sphinx packet for both.

Source: the Katzenpost Sphinx specification and the client daemon, "compose".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kpclientd.traffic.errors import CompositionError
from pki import Document, EpochClock, PkiError, forward_route, reply_route
from sphinx import Sphinx, compose_plaintext
from sphinx.errors import SphinxError
from sphinx.randomness import Randomness
from sphinx.types import NodeId, RecipientId, SurbId

MAX_ATTEMPTS: Final = 32
MAX_EPOCHS_UNDERWAY: Final = 2
"""A route whose delays add up to this many epochs outlives the keys of its hops."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where packets enter the network and where their replies wait: one gateway connection's view.

    Attributes:
        gateway: the gateway's node id.
        queue_id: this connection's name at the gateway; a SURB leads to it, and dies with it.
    """

    gateway: NodeId
    queue_id: RecipientId = field(repr=False)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A packet, ready to leave.

    Attributes:
        packet: `packet_length` bytes.
        surb_keys: the decryption keys of its SURB, or empty.
        eta: seconds from composing to the estimated arrival of the reply, or at the service without one.
    """

    packet: bytes = field(repr=False)
    surb_keys: bytes = field(repr=False)
    eta: float


class Composer:
    """Builds packets for one network.

    Args:
        sphinx: the packet core, for the network's geometry.
        clock: the network's epochs.
        unix: the present, in Unix seconds.
        randomness: for routes, delays and keys.
    """

    def __init__(self, sphinx: Sphinx, clock: EpochClock, unix: Callable[[], float], randomness: Randomness) -> None:
        self._sphinx = sphinx
        self._clock = clock
        self._unix = unix
        self._randomness = randomness

    def compose(
        self,
        document: Document,
        origin: Origin,
        destination: NodeId,
        recipient: RecipientId,
        payload: bytes,
        surb_id: SurbId | None,
    ) -> Parcel:
        """Build the packet that takes `payload` to `recipient` at `destination`.

        Args:
            document: whose nodes and keys to use.
            origin: the gateway connection over which it will leave.
            destination: a service node of the document.
            recipient: the service's endpoint there (32 bytes, zero padded).
            payload: at most `user_forward_payload_length` bytes.
            surb_id: under which the reply comes back, or None for no reply.

        Raises:
            CompositionError: if the nodes are not in the document or no route with valid keys can be found.
        """
        try:
            for _ in range(MAX_ATTEMPTS):
                parcel = self._attempt(document, origin, destination, recipient, payload, surb_id)
                if parcel is not None:
                    return parcel
        except (PkiError, SphinxError) as error:
            raise CompositionError(str(error)) from error
        raise CompositionError(f"no route of {MAX_ATTEMPTS} arrives in time: the network's delays are too long")

    def _attempt(
        self,
        document: Document,
        origin: Origin,
        destination: NodeId,
        recipient: RecipientId,
        payload: bytes,
        surb_id: SurbId | None,
    ) -> Parcel | None:
        geometry, key_length = self._sphinx.geometry, self._sphinx.public_key_length
        now = self._unix()
        there = forward_route(
            document,
            origin.gateway,
            destination,
            recipient,
            with_surb=surb_id is not None,
            start=now,
            clock=self._clock,
            randomness=self._randomness,
            public_key_length=key_length,
        )
        arrival, surb, surb_keys = there.arrival, None, b""
        if surb_id is not None:
            back = reply_route(
                document,
                origin.gateway,
                origin.queue_id,
                surb_id,
                start=there.arrival,
                clock=self._clock,
                randomness=self._randomness,
                public_key_length=key_length,
            )
            arrival = back.arrival
            made = self._sphinx.new_surb(back.hops, self._randomness)
            surb, surb_keys = made.surb, made.keys
        if arrival - now >= MAX_EPOCHS_UNDERWAY * self._clock.period:
            return None
        plaintext = compose_plaintext(geometry, payload, surb)
        packet = self._sphinx.new_packet(there.hops, plaintext, self._randomness)
        if self._unix() - now > self._clock.till_next(now):
            return None
        return Parcel(packet, surb_keys, arrival - now)
