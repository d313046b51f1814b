"""A gateway of the local network: accepts clients, takes their packets in and pushes their replies.

It can be stopped, started again, moved, given other keys, and left out of the consensus. A stopped gateway keeps its
spool, as the genuine ones do on their disk.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import trio

from kpclientd.localnet.authority import Addresses, ListedGateway
from kpclientd.localnet.connection import ClientConnection
from kpclientd.localnet.counters import Counted, Counters, DropReason
from kpclientd.localnet.faults import Faults, GatewayFaults
from kpclientd.localnet.in_flight import Arrival
from kpclientd.localnet.keys import NodeKeys
from kpclientd.localnet.limiter import RateLimiter
from kpclientd.localnet.listeners import Presence, descriptor_transport, url_of
from kpclientd.localnet.spool import Spool, SpooledReply
from kpclientd.wire.commands import CommandCodec, Consensus2
from kpclientd.wire.session import NoiseSession
from sphinx.crypto.kem import Kem, KemPrivateKey
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness
from sphinx.types import NodeId, RecipientId, SurbId

MAX_CONNECTIONS: Final = 1024


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """How long a client took to acknowledge a pushed reply, as an observer beside the gateway sees it."""

    surb_id: SurbId
    seconds: float
    time: float = field(compare=False)
    """When that was, by trio's clock."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every gateway of one network has in common.

    Attributes:
        kem: the links' KEM.
        geometry: of the packets.
        token_interval: nanoseconds between two tokens of the limiter, None for no limit.
        impostor_link: the link key that is shown under the fault of that name.
        faults: the network's.
        counters: the network's.
        randomness: for the handshakes.
        unix: the wall clock.
        inject: takes a client's packet into the network at the gateway of that id.
        consensus: answers a request for the document of an epoch.
        holds_document: whether gateways have any document now.
        changed: is told when documents have to say something else.
    """

    kem: Kem
    geometry: Geometry
    token_interval: int | None
    impostor_link: KemPrivateKey
    faults: Faults
    counters: Counters
    randomness: Randomness
    unix: Callable[[], float]
    inject: Callable[[NodeId, bytes], None]
    consensus: Callable[[int, GatewayFaults, Counters], Sequence[Consensus2]]
    holds_document: Callable[[], bool]
    changed: Callable[[], None]


class Gateway:
    """Serves any number of clients.

    Args:
        keys: who the gateway is.
        ports: where it is, by the scheme of its addresses.
        surroundings: the network around it.

    Attributes:
        keys: as above; see `set_keys`.
        ports: as above; 0 is any port that is free when it is bound.
        is_running: whether it was started and not stopped.
        is_listed: whether documents list it.
        faults: its own; what is set at the network holds here too.
        counters: its own; the network's have everything that these have.
        spool: what waits for clients.
        connections: the present ones.
        arrivals: set it to a list, and every packet's time (trio's clock) and length are appended.
        acknowledgements: the same for the acknowledgements of pushed replies.
    """

    def __init__(self, keys: NodeKeys, ports: Mapping[str, int], surroundings: Surroundings) -> None:
        self.keys = keys
        self.ports = dict(ports)
        self.is_running = True
        self.is_listed = True
        self.connections: set[ClientConnection] = set()
        self.faults = GatewayFaults(
            connections=lambda: self.connections,
            network_wide=surroundings.faults,
            changes=surroundings.faults.changes,
        )
        self.counters = Counters(surroundings.counters)
        self.spool = Spool()
        self.arrivals: list[Arrival] | None = None
        self.acknowledgements: list[Acknowledgement] | None = None
        self.unix = surroundings.unix
        self._around = surroundings
        self._owners: dict[bytes, ClientConnection] = {}
        self._buckets: dict[ClientConnection, RateLimiter] = {}

    @property
    def name(self) -> str:
        """What it is called."""
        return self.keys.name

    @property
    def urls(self) -> tuple[str, ...]:
        """Its addresses."""
        return tuple(url_of(scheme, port) for scheme, port in self.ports.items())

    @property
    def listed(self) -> ListedGateway:
        """What documents and configurations say of it."""
        addresses: Addresses = {
            descriptor_transport(scheme): (url_of(scheme, port),) for scheme, port in self.ports.items()
        }
        return ListedGateway(self.keys, addresses)

    @property
    def presence(self) -> Presence:
        """What becomes of a try to connect to its ports."""
        faults = self.faults.effective()
        if faults.drop is not None:
            return Presence.UNREACHABLE
        return Presence.OPEN if self.is_running and not faults.refuse_connections else Presence.CLOSED

    def start(self) -> None:
        """Run again, at the addresses of before."""
        self.is_running = True
        self.faults.changes.notify()

    def stop(self) -> None:
        """End, as a process that is killed: connections are closed, nothing listens."""
        self.is_running = False
        self.end_connections()
        self.faults.changes.notify()

    def move(self, ports: Mapping[str, int]) -> None:
        """Go to other ports; documents name them as soon as they are known."""
        self.end_connections()
        self.ports = dict(ports)
        self.faults.changes.notify()
        if all(ports.values()):
            self._around.changed()

    def bound(self, scheme: str, port: int) -> None:
        """Take note that the port of a scheme is known."""
        if self.ports.get(scheme) != port:
            self.ports[scheme] = port
            self._around.changed()

    def set_keys(self, keys: NodeKeys) -> None:
        """Be somebody else, or have other Sphinx keys; the network lists them."""
        self.end_connections()
        if keys.node_id != self.keys.node_id:
            self.spool = Spool()
        self.keys = keys

    def set_listed(self, listed: bool) -> None:
        """Let documents list it, or not."""
        self.is_listed = listed
        self._around.changed()

    def end_connections(self) -> None:
        """Close all present connections."""
        for connection in tuple(self.connections):
            connection.end()

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one client over `stream` until either side ends it; the stream is closed then."""
        is_closed = self.faults.effective().close_at_once or not self._around.holds_document()
        if is_closed or not self.is_running or len(self.connections) >= MAX_CONNECTIONS:
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
        if not self.is_running:
            self.counters.add(DropReason.NODE_GONE)
            return
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

    def consensus(self, epoch: int) -> Sequence[Consensus2]:
        """Answer a request for the document of `epoch`."""
        return self._around.consensus(epoch, self.faults.effective(), self.counters)

    def new_session(self, connection: ClientConnection) -> NoiseSession:
        """Return the gateway's end of a session."""
        return NoiseSession.responder(
            self._around.kem,
            self._around.impostor_link if self.faults.effective().impostor else self.keys.link,
            self.keys.node_id,
            CommandCodec(self._around.geometry),
            connection.admit,
            self._around.randomness,
        )

    def established(self, connection: ClientConnection) -> None:
        """Give `connection` its queue and its bucket; the newest of several with one queue gets the pushes."""
        self.counters.add(Counted.HANDSHAKES)
        former = self._owners.get(connection.additional_data)
        if former is not None and former.is_same_client(connection):
            former.reset()
        self._owners[connection.additional_data] = connection
        if self._around.token_interval is not None:
            self._buckets[connection] = RateLimiter(self._around.token_interval, connection.admitted_at)

    def acknowledged(self, surb_id: SurbId, seconds: float) -> None:
        """Record."""
        if self.acknowledgements is not None:
            self.acknowledgements.append(Acknowledgement(surb_id, seconds, trio.current_time()))

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
        self._around.inject(self.keys.node_id, packet)
