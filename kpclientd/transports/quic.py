"""Streams over QUIC: `quic_session` driven from trio, for either end.

A stream has one task of its own, a system task as trio's own DTLS has it: acknowledgements and retransmissions must
go on whether or not anybody reads or writes. The task ends with the stream, and nothing that a peer sends ends more
than the stream.
"""

import math
import socket
from functools import partial
from typing import Final, Protocol

import trio

from kpclientd.addresses import ip_literal
from kpclientd.streams import READ_SIZE, reason_of
from kpclientd.transports.errors import DialError
from kpclientd.transports.quic_session import Address, QuicSession, configuration
from kpclientd.transports.race import Race
from kpclientd.transports.tcp import SocketAddress, resolve

LINGER_SECONDS: Final = 2.0
"""For how long a stream that is closed waits for its last bytes to be acknowledged."""

LONGEST_DATAGRAM: Final = 65535
MOST_AT_ONCE: Final = 4
"""Datagrams that are handled before others have their turn: some 1 ms of work."""


class Datagrams(Protocol):
    """Where a stream's datagrams come from and go to."""

    async def receive(self) -> list[tuple[bytes, Address]]:
        """Wait for datagrams, and return a few of them.

        Raises:
            ClosedResourceError: if `close` was called.
            OSError: what the network says of a datagram that was sent.
        """

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram, or lose it as networks do.

        Raises:
            OSError: as above.
        """

    def close(self) -> None:
        """End it."""


class QuicStream(trio.abc.HalfCloseableStream):
    """A byte stream over a QUIC connection.

    Closing it waits up to two seconds for what was written to be acknowledged, then tells the peer; cancelled or
    forcefully, it only tells the peer.

    Args:
        session: this end of the connection; the stream's alone from now on.
        datagrams: the way to the other end; closed with the stream.
    """

    def __init__(self, session: QuicSession, datagrams: Datagrams) -> None:
        self._session = session
        self._datagrams = datagrams
        self._changed = trio.lowlevel.ParkingLot()
        self._waiting = trio.CancelScope()
        self._refusal: OSError | None = None
        self._is_closed = False
        self._is_sending = False
        self._is_receiving = False
        trio.lowlevel.spawn_system_task(self._drive)

    async def wait_established(self) -> None:
        """Wait for the end of the handshake.

        Raises:
            DialError: if it failed.
        """
        while not self._session.is_established:
            if self._session.is_over or self._is_closed:
                refused = isinstance(self._refusal, ConnectionRefusedError)
                reason = reason_of(self._refusal) if self._refusal else self._session.failure
                raise DialError(reason or "the peer closed the connection", is_refused=refused)
            await self._changed.park()

    async def wait_open(self) -> bool:
        """Wait for the first byte, or the end, of what the peer sends; False if the connection ended without."""
        while not self._session.is_open:
            if self._session.is_over or self._is_closed:
                return False
            await self._changed.park()
        return True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`; returns once no more than the send buffer of it waits to be acknowledged."""
        if self._is_sending:
            raise trio.BusyResourceError("another task sends on this stream")
        self._is_sending = True
        try:
            await trio.lowlevel.checkpoint()
            self._require_writable()
            rest = memoryview(data).cast("B")
            while rest:
                taken = self._session.write(bytes(rest[: self._session.room]))
                rest = rest[taken:]
                self._transmit()
                if rest:
                    await (trio.lowlevel.checkpoint() if self._session.room else self._changed.park())
                    self._require_writable()
        finally:
            self._is_sending = False

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room in the send buffer."""
        if self._is_sending:
            raise trio.BusyResourceError("another task sends on this stream")
        self._is_sending = True
        try:
            await trio.lowlevel.checkpoint()
            self._require_open()
            while self._session.can_write and not self._session.room:
                await self._changed.park()
                self._require_open()
        finally:
            self._is_sending = False

    async def send_eof(self) -> None:
        """Tell the peer that nothing more will be sent."""
        if self._is_sending:
            raise trio.BusyResourceError("another task sends on this stream")
        await trio.lowlevel.checkpoint()
        self._require_open()
        self._session.finish()
        self._transmit()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive up to `max_bytes`, or 64 KiB; empty at the end."""
        if self._is_receiving:
            raise trio.BusyResourceError("another task receives from this stream")
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        self._is_receiving = True
        try:
            await trio.lowlevel.checkpoint()
            while True:
                self._require_open()
                data = self._session.read(max_bytes or READ_SIZE)
                if data:
                    if self._session.has_credit_to_give:
                        self._transmit()
                    return data
                if self._session.input_ended:
                    return b""
                if self._session.is_over:
                    raise trio.BrokenResourceError(self._session.failure or "the connection is over")
                await self._changed.park()
        finally:
            self._is_receiving = False

    async def aclose(self) -> None:
        """Close the stream."""
        if self._is_closed:
            await trio.lowlevel.checkpoint()
            return
        self._is_closed = True
        if self._session.is_established:
            self._session.finish()
        self._transmit()
        try:
            with trio.move_on_after(LINGER_SECONDS):
                await trio.lowlevel.checkpoint()
                while self._session.has_finished and not (self._session.is_flushed or self._session.is_over):
                    await self._changed.park()
        finally:
            self._session.close()
            self._transmit()
            self._datagrams.close()

    def _require_open(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this stream was closed")

    def _require_writable(self) -> None:
        self._require_open()
        if self._session.can_write:
            return
        if self._session.has_finished:
            raise trio.ClosedResourceError("the end of this stream was sent")
        raise trio.BrokenResourceError(self._session.failure or "the peer takes no more")

    async def _drive(self) -> None:
        try:
            self._transmit()
            while not self._session.is_over:
                received: list[tuple[bytes, Address]] = []
                with trio.CancelScope() as self._waiting:
                    self._set_timer()
                    received = await self._receive()
                now = trio.current_time()
                for data, address in received:
                    self._session.receive_datagram(data, address, now)
                self._session.handle_timer(now)
                self._transmit()
        except trio.ClosedResourceError:
            pass
        finally:
            self._datagrams.close()
            self._changed.unpark_all()

    async def _receive(self) -> list[tuple[bytes, Address]]:
        try:
            return await self._datagrams.receive()
        except OSError as error:
            self._note(error)
            return []

    def _transmit(self) -> None:
        """Send what is due, set the timer anew, and let everybody who waits look again."""
        for data, address in self._session.datagrams(trio.current_time()):
            try:
                self._datagrams.send(data, address)
            except OSError as error:
                self._note(error)
        self._set_timer()
        self._changed.unpark_all()

    def _note(self, error: OSError) -> None:
        """A refusal, or an unreachable network, ends a handshake; later it may be a forgery, and is left to time."""
        if not self._session.is_established:
            self._refusal = error
            self._session.fail(reason_of(error))

    def _set_timer(self) -> None:
        due = self._session.timer()
        self._waiting.deadline = math.inf if due is None else due


class _ConnectedSocket:
    """A client's datagrams: a UDP socket that only hears its peer.

    Args:
        raw: connected to `peer`, not blocking.
        peer: the only address that is sent to, whatever the peer would prefer.
    """

    def __init__(self, raw: socket.socket, peer: SocketAddress) -> None:
        self._socket = raw
        self._peer = peer

    async def receive(self) -> list[tuple[bytes, Address]]:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_readable(self._socket)
        received: list[tuple[bytes, Address]] = []
        while len(received) < MOST_AT_ONCE:
            try:
                received.append((self._socket.recv(LONGEST_DATAGRAM), self._peer))
            except BlockingIOError:
                break
            except OSError:
                if not received:
                    raise
                break
        return received

    def send(self, data: bytes, address: Address) -> None:
        if address == self._peer and self._socket.fileno() >= 0:
            try:
                self._socket.send(data)
            except BlockingIOError:
                pass

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


async def connect_quic(host: str, port: int, family: int = socket.AF_UNSPEC) -> trio.abc.Stream:
    """Open a stream over QUIC to `host`, a literal or a name in ASCII, by sockets of `family`.

    Raises:
        DialError: if the name is unknown, or the handshake fails at each of its addresses. There is no deadline but
            that of silence, 30 s.
    """
    found = await resolve(host, port, family, socket.SOCK_DGRAM)
    server_name = host if ip_literal(host) is None else None
    if len(found) == 1:
        return await _connect(*found[0], server_name)
    return await Race({address[0]: partial(_connect, kind, address, server_name) for kind, address in found}).run()


async def _connect(family: int, address: SocketAddress, server_name: str | None) -> trio.abc.Stream:
    try:
        raw = socket.socket(family, socket.SOCK_DGRAM)
    except OSError as error:
        raise DialError(reason_of(error)) from None
    try:
        raw.setblocking(False)
        raw.connect(address)
    except OSError as error:
        raw.close()
        raise DialError(reason_of(error)) from None
    session = QuicSession(configuration(is_client=True, server_name=server_name))
    session.connect(address, trio.current_time())
    return await _shake_hands(QuicStream(session, _ConnectedSocket(raw, address)))


async def _shake_hands(stream: QuicStream) -> QuicStream:
    try:
        await stream.wait_established()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream
