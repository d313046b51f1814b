"""The gateway of the local network: accepts clients, takes their packets in and pushes their replies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import trio

from kpclientd.localnet.connection import ClientConnection
from kpclientd.localnet.counters import Counted, Counters, DropReason
from kpclientd.localnet.faults import Faults
from kpclientd.localnet.in_flight import Arrival
from kpclientd.localnet.keys import NodeKeys
from kpclientd.localnet.limiter import RateLimiter
from kpclientd.localnet.spool import Spool, SpooledReply
from kpclientd.wire.commands import CommandCodec, Consensus2
from kpclientd.wire.session import NoiseSession
from sphinx.crypto.kem import Kem, KemPrivateKey
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness
from sphinx.types import RecipientId, SurbId

MAX_CONNECTIONS: Final = 1024


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """How long a client took to acknowledge a pushed reply, as an observer beside the gateway sees it."""

    surb_id: SurbId
    seconds: float


class Gateway:
    """Serves any number of clients.

    Args:
        keys: who the gateway is.
        impostor_link: the link key that it shows under the fault of that name.
        kem: the network's link KEM.
        geometry: the network's packets.
        token_interval: nanoseconds between two tokens of the limiter, None for no limit.
        faults: the switches.
        counters: where to count.
        randomness: for the handshakes.
        unix: the wall clock.
        inject: takes a client's packet into the network.
        consensus: answers a request for the document of an epoch.
    """

    def __init__(
        self,
        *,
        keys: NodeKeys,
        impostor_link: KemPrivateKey,
        kem: Kem,
        geometry: Geometry,
        token_interval: int | None,
        faults: Faults,
        counters: Counters,
        randomness: Randomness,
        unix: Callable[[], float],
        inject: Callable[[bytes], None],
        consensus: Callable[[int], Sequence[Consensus2]],
    ) -> None:
        self.keys = keys
        self.faults = faults
        self.counters = counters
        self.spool = Spool()
        self.connections: set[ClientConnection] = set()
        self.arrivals: list[Arrival] | None = None
        """Set it to a list, and every packet's time (trio's clock) and length are appended."""
        self.acknowledgements: list[Acknowledgement] | None = None
        """The same for the acknowledgements of pushed replies."""
        self.unix = unix
        self.consensus = consensus
        self._impostor_link = impostor_link
        self._kem = kem
        self._geometry = geometry
        self._token_interval = token_interval
        self._randomness = randomness
        self._inject = inject
        self._owners: dict[bytes, ClientConnection] = {}
        self._buckets: dict[ClientConnection, RateLimiter] = {}

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one client over `stream` until either side ends it; the stream is closed then."""
        if self.faults.refuse_connections or len(self.connections) >= MAX_CONNECTIONS:
            self.counters.add(Counted.CONNECTIONS_REFUSED)
            await trio.aclose_forcefully(stream)
            return
        self.counters.add(Counted.CONNECTIONS)
        connection = ClientConnection(self, stream)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)
            self._buckets.pop(connection, None)
            if self._owners.get(connection.additional_data) is connection:
                del self._owners[connection.additional_data]

    def deliver(self, recipient: RecipientId, surb_id: SurbId, payload: bytes) -> None:
        """Spool a reply and wake the connection that gave `recipient` as its queue."""
        if not self.spool.store(recipient, SpooledReply(surb_id, payload)):
            self.counters.add(DropReason.SPOOL_FULL)
            return
        self.counters.add(Counted.REPLIES_SPOOLED)
        owner = self._owners.get(recipient)
        if owner is not None:
            owner.wake()

    def sweep(self) -> None:
        """Delete what is spooled for clients that are not connected; the reference does so once per epoch."""
        connected = {RecipientId(queue) for queue in self._owners}
        self.counters.add(DropReason.SPOOL_EXPIRED, self.spool.keep_only(connected))

    def new_session(self, connection: ClientConnection) -> NoiseSession:
        """Return the gateway's end of a session."""
        return NoiseSession.responder(
            self._kem,
            self._impostor_link if self.faults.impostor else self.keys.link,
            self.keys.node_id,
            CommandCodec(self._geometry),
            connection.admit,
            self._randomness,
        )

    def established(self, connection: ClientConnection) -> None:
        """Give `connection` its queue and its bucket; the newest of several with one queue gets the pushes."""
        self.counters.add(Counted.HANDSHAKES)
        former = self._owners.get(connection.additional_data)
        if former is not None and former.is_same_client(connection):
            former.reset()
        self._owners[connection.additional_data] = connection
        if self._token_interval is not None:
            self._buckets[connection] = RateLimiter(self._token_interval, connection.admitted_at)

    def acknowledged(self, surb_id: SurbId, seconds: float) -> None:
        """Record."""
        if self.acknowledgements is not None:
            self.acknowledgements.append(Acknowledgement(surb_id, seconds))

    def take_packet(self, connection: ClientConnection, packet: bytes) -> None:
        """Record, limit, and let into the network."""
        now = trio.current_time()
        self.counters.add(Counted.PACKETS_RECEIVED)
        if self.arrivals is not None:
            self.arrivals.append(Arrival(now, len(packet)))
        bucket = self._buckets.get(connection)
        if bucket is not None and not bucket.take(now):
            self.counters.add(DropReason.RATE_LIMIT)
            return
        self._inject(packet)
