"""Accepts streams over QUIC, as the reference's gateways do.

One UDP socket serves all connections; the connection id in front of each datagram says whose it is. A connection is
accepted once the first byte of its stream has come, within thirty seconds; where the reference makes all others wait
for that, here each waits alone.

The certificate is the reference's: Ed25519, self-signed, serial number 1, nobody's name in it, made anew at each start.
"""

import datetime
import socket
from typing import Final

import trio
from aioquic._buffer import Buffer
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kpclientd.addresses import LOOPBACK
from kpclientd.transports.quic import LONGEST_DATAGRAM, MOST_AT_ONCE, QuicStream
from kpclientd.transports.quic_session import CONNECTION_ID_LENGTH, Address, QuicSession, configuration

STREAM_SECONDS: Final = 30.0
"""For how long a connection may be there without its stream."""

MOST_CONNECTIONS: Final = 1024
MOST_WAITING: Final = 64
"""Streams that wait to be accepted; further ones are closed."""

QUEUE_LENGTH: Final = 256
"""Datagrams of one connection that wait to be handled; further ones are lost, as on any network."""

_BEGINNING: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def server_configuration() -> QuicConfiguration:
    """A server's configuration, with a fresh certificate."""
    key = Ed25519PrivateKey.generate()
    nobody = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .serial_number(1)
        .subject_name(nobody)
        .issuer_name(nobody)
        .not_valid_before(_BEGINNING)
        .not_valid_after(_BEGINNING)
        .public_key(key.public_key())
        .sign(key, None)
    )
    made = configuration(is_client=False)
    made.certificate, made.private_key = certificate, key
    return made


class _Route:
    """One connection's share of the socket."""

    def __init__(self, listener: "QuicListener") -> None:
        self.names: set[bytes] = set()
        self._listener = listener
        listener.connections.add(self)
        self._queue, self._arrived = trio.open_memory_channel[tuple[bytes, Address]](QUEUE_LENGTH)

    def add_name(self, name: bytes) -> None:
        self.names.add(name)
        self._listener.routes[name] = self

    def remove_name(self, name: bytes) -> None:
        self.names.discard(name)
        self._listener.routes.pop(name, None)

    def take(self, data: bytes, address: Address) -> None:
        try:
            self._queue.send_nowait((data, address))
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def receive(self) -> list[tuple[bytes, Address]]:
        try:
            received = [await self._arrived.receive()]
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None
        while len(received) < MOST_AT_ONCE:
            try:
                received.append(self._arrived.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        return received

    def send(self, data: bytes, address: Address) -> None:
        self._listener.send(data, address)

    def close(self) -> None:
        for name in tuple(self.names):
            self.remove_name(name)
        self._listener.connections.discard(self)
        self._queue.close()


class QuicListener(trio.abc.Listener[QuicStream]):
    """Accepts streams; made by `open_quic_listener`. Closing it ends its streams too, as their socket is one.

    Attributes:
        socket: what it listens on.
        connections: those that are there.
        routes: the same by connection id.

    Args:
        raw: bound, not blocking.
        quic_configuration: see `server_configuration`.
    """

    def __init__(self, raw: socket.socket, quic_configuration: QuicConfiguration) -> None:
        self.socket = raw
        self.connections: set[_Route] = set()
        self.routes: dict[bytes, _Route] = {}
        self._configuration = quic_configuration
        self._waiting, self._accepted = trio.open_memory_channel[QuicStream](MOST_WAITING)
        trio.lowlevel.spawn_system_task(self._drive)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.socket.getsockname()[1])

    async def accept(self) -> QuicStream:
        """Return the next stream."""
        try:
            return await self._accepted.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError("this listener was closed") from None

    async def aclose(self) -> None:
        """Stop to listen."""
        if self.socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()
        for route in tuple(self.connections):
            route.close()
        self._waiting.close()
        await trio.lowlevel.checkpoint()

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram, or lose it."""
        if self.socket.fileno() >= 0:
            try:
                self.socket.sendto(data, address)
            except OSError:
                pass  # to one of many peers: as if the network had lost it

    async def _drive(self) -> None:
        try:
            while self.socket.fileno() >= 0:
                await trio.lowlevel.wait_readable(self.socket)
                self._take_some()
        except trio.ClosedResourceError:
            pass
        finally:
            self.socket.close()

    def _take_some(self) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                data, address = self.socket.recvfrom(LONGEST_DATAGRAM)
            except OSError:  # nothing more is there, or an earlier datagram's peer is gone
                return
            self._take(data, address)

    def _take(self, data: bytes, address: Address) -> None:
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=CONNECTION_ID_LENGTH)
        except ValueError:
            return
        route = self.routes.get(header.destination_cid)
        if route is None and len(data) >= SMALLEST_MAX_DATAGRAM_SIZE:
            route = self._begin(header, address)
        if route is not None:
            route.take(data, address)

    def _begin(self, header: QuicHeader, address: Address) -> _Route | None:
        versions = self._configuration.supported_versions
        if header.packet_type != QuicPacketType.VERSION_NEGOTIATION and header.version not in (None, *versions):
            answer = encode_quic_version_negotiation(
                source_cid=header.destination_cid, destination_cid=header.source_cid, supported_versions=versions
            )
            self.send(answer, address)
            return None
        if header.packet_type != QuicPacketType.INITIAL or len(self.connections) >= MOST_CONNECTIONS:
            return None
        route = _Route(self)
        session = QuicSession(
            self._configuration,
            original_destination=header.destination_cid,
            on_issued=route.add_name,
            on_retired=route.remove_name,
        )
        route.add_name(header.destination_cid)
        route.add_name(session.connection_id)
        trio.lowlevel.spawn_system_task(self._admit, QuicStream(session, route))
        return route

    async def _admit(self, stream: QuicStream) -> None:
        with trio.move_on_after(STREAM_SECONDS):
            if await stream.wait_open():
                try:
                    self._waiting.send_nowait(stream)
                    return
                except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
                    pass
        await trio.aclose_forcefully(stream)


async def open_quic_listener(port: int = 0, host: str = LOOPBACK) -> QuicListener:
    """Listen on a UDP port of `host`, an IP literal; 0 for a free one.

    Raises:
        OSError: if the port is taken.
    """
    await trio.lowlevel.checkpoint()
    raw = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        raw.setblocking(False)
        raw.bind((host, port))
    except OSError:
        raw.close()
        raise
    return QuicListener(raw, server_configuration())
