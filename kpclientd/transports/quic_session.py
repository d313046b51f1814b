"""One QUIC connection that carries one byte stream, either end of it, without I/O: the core is aioquic's.

                                    +--the peer's end: input_ended--+
    HANDSHAKE --TLS has finished--> OPEN ---------------------------+--> OVER
        |                                                                 ^
        +--refused, fault, silence, closed by either side ----------------+

    datagrams in  --> receive_datagram --> read            timer(), handle_timer: retransmissions, silence
    datagrams out <-- datagrams        <-- write, finish, close

As the reference has it: TLS 1.3, ALPN `h3`, a certificate that nobody verifies (who the peer is, Noise finds out), and
the first bidirectional stream of the client, opened by its first byte, as the only one. A peer that opens another
breaks the protocol.

Back-pressure. What the peer may send is bounded by what was *read*, not by what has arrived: aioquic would double a
window as soon as half of it is used, however slowly the application reads. What waits to be acknowledged is bounded
by `SEND_BUFFER`, and what waits to be sent by `BURST`, so that no call takes long.

Source: RFC 9000; the reference's QUIC package.
"""

import logging
import math
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionIdIssued,
    ConnectionIdRetired,
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aioquic.quic.packet import QuicErrorCode, QuicProtocolVersion
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream

ALPN: Final = "h3"
IDLE_SECONDS: Final = 30.0
"""After so long without a datagram the connection is over; the reference's library has the same."""

WINDOW: Final = 512 * 1024
"""Bytes that may have arrived and not been read."""

SEND_BUFFER: Final = 256 * 1024
"""Bytes written that may wait to be acknowledged."""

BURST: Final = 16 * 1024
"""Bytes written that may wait to be sent: what one call of `datagrams` may have to seal, some 2 ms of work."""

TIMER_GRANULARITY_SECONDS: Final = 0.001
"""RFC 9002, section 6.1.2."""

CONNECTION_ID_LENGTH: Final = 8
STREAM: Final = 0
"""The client's first bidirectional stream."""

Address = Any
"""Of a datagram's sender or receiver, as the socket module has it."""

# Its lines would name addresses and quote what a peer wrote.
logging.getLogger("quic").disabled = True


def configuration(*, is_client: bool, server_name: str | None = None) -> QuicConfiguration:
    """What both ends agree on; a server adds its certificate and key.

    Args:
        is_client: which end.
        server_name: the host name that was dialled, which the reference tells the server; None for a literal.
    """
    return QuicConfiguration(
        alpn_protocols=[ALPN],
        connection_id_length=CONNECTION_ID_LENGTH,
        idle_timeout=IDLE_SECONDS,
        is_client=is_client,
        max_data=WINDOW,
        max_stream_data=WINDOW,
        server_name=server_name,
        supported_versions=[QuicProtocolVersion.VERSION_1],
        verify_mode=ssl.CERT_NONE,
    )


class _PacedConnection(QuicConnection):
    """A connection that lets its peer send as much as is read.

    The method is aioquic's own, not its interface: it is called for each packet that is built, doubles the limit once
    it is used up by half, and writes what was raised. Here the limit is raised beforehand, and what is used of it is
    hidden meanwhile. The limit of the stream is left to aioquic: it grows ahead of this one. A test stops reading, and
    fails where a version of aioquic does this in another way.
    """

    taken = 0
    """Bytes of the stream that were read."""

    @property
    def stream(self) -> QuicStream | None:
        """The stream, unless it is not open yet, or finished both ways."""
        return self._streams.get(STREAM)

    @property
    def ending(self) -> ConnectionTerminated | None:
        """How the connection ends, as soon as that is known; the event comes only when it has ended."""
        return self._close_event

    @property
    def is_credit_due(self) -> bool:
        """Whether so much was read since the limit was raised that the peer is to be told."""
        return self.taken + WINDOW - self._local_max_data.value >= WINDOW // 2

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        limit = self._local_max_data
        if self.is_credit_due:
            limit.value = self.taken + WINDOW
        used, limit.used = limit.used, 0
        try:
            super()._write_connection_limits(builder, space)
        finally:
            limit.used = used


class QuicSession:
    """One end.

    Attributes:
        is_established: whether the TLS handshake has finished.
        is_open: whether anything of the stream has arrived; a server waits for that.
        input_ended: whether the peer has ended its half, and all of it has come; there may still be bytes to read.
        failure: why nothing more can be read or written, where the end was none in good order.

    Args:
        quic_configuration: see `configuration`.
        original_destination: the connection id that the client chose, for a server; None for a client.
        on_issued, on_retired: told of each connection id by which the peer may, and may no longer, call this end.
    """

    def __init__(
        self,
        quic_configuration: QuicConfiguration,
        *,
        original_destination: bytes | None = None,
        on_issued: Callable[[bytes], None] | None = None,
        on_retired: Callable[[bytes], None] | None = None,
    ) -> None:
        self.is_established = False
        self.is_open = False
        self.input_ended = False
        self.failure: str | None = None
        self._quic = _PacedConnection(
            configuration=quic_configuration, original_destination_connection_id=original_destination
        )
        self._is_client = quic_configuration.is_client
        self._on_issued = on_issued
        self._on_retired = on_retired
        self._received = bytearray()
        self._finished = False
        self._is_stopped = False
        self._is_over = False
        self._not_before = -math.inf

    @property
    def connection_id(self) -> bytes:
        """The first id by which the peer may call this end."""
        return self._quic.host_cid

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended, in good order or not."""
        return self._is_over

    @property
    def can_write(self) -> bool:
        """Whether the peer still takes anything."""
        return not (self._is_over or self._finished or self._is_stopped)

    @property
    def has_finished(self) -> bool:
        """Whether `finish` was called."""
        return self._finished

    @property
    def room(self) -> int:
        """Bytes that may be written now."""
        stream = self._quic.stream
        if stream is None:
            return BURST
        sender = stream.sender
        return max(0, min(SEND_BUFFER - len(sender._buffer), BURST - (sender._buffer_stop - sender.highest_offset)))

    @property
    def is_flushed(self) -> bool:
        """Whether the peer has acknowledged everything, the end included."""
        stream = self._quic.stream
        return stream is None or stream.sender.is_finished

    @property
    def has_credit_to_give(self) -> bool:
        """Whether so much was read that the peer should be told; `datagrams` does."""
        return self._quic.is_credit_due

    def connect(self, address: Address, now: float) -> None:
        """Begin the handshake with the server at `address`; for a client."""
        self._quic.connect(address, now)

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """Take a datagram from `address`; what is no part of the connection is ignored."""
        with self._contained():
            self._quic.receive_datagram(data, address, now)
        self._take_events()

    def timer(self) -> float | None:
        """When `handle_timer` is due, or None."""
        due = self._quic.get_timer() if self._has_begun and not self._is_over else None
        return None if due is None else max(due, self._not_before)

    def handle_timer(self, now: float) -> None:
        """Do what is due: retransmit, or give up a silent peer."""
        due = self.timer()
        if due is None or now < due:
            return
        # Sums of times are rounded, so that what is due may not seem so yet; without this, it would be due for ever.
        self._not_before = now + TIMER_GRANULARITY_SECONDS
        with self._contained():
            self._quic.handle_timer(now)
        if self._quic.ending is not None and not self._is_over:
            self.fail(f"the peer was silent for {IDLE_SECONDS:.0f} s")
        self._take_events()

    def datagrams(self, now: float) -> list[tuple[bytes, Address]]:
        """What is to be sent now, and to whom."""
        sent: list[tuple[bytes, Address]] = []
        if self._has_begun:
            with self._contained():
                sent = self._quic.datagrams_to_send(now)
        self._take_events()
        return sent

    def read(self, limit: int) -> bytes:
        """Up to `limit` bytes that have arrived; none where there are none."""
        data = bytes(self._received[:limit])
        del self._received[:limit]
        self._quic.taken += len(data)
        return data

    def write(self, data: bytes) -> int:
        """Take as much of `data` as there is room for, and return how many bytes that were.

        To be called only while `can_write`.
        """
        data = data[: self.room]
        if data:
            self._quic.send_stream_data(STREAM, data)
        return len(data)

    def finish(self) -> None:
        """End this end's half in good order; what was written is still sent."""
        if self.can_write and (self.is_open or self._is_client):
            self._finished = True
            self._quic.send_stream_data(STREAM, b"", end_stream=True)

    def close(self) -> None:
        """End the connection at once, in good order; `datagrams` then tells the peer."""
        self._quic.close()
        self._is_over = True

    def fail(self, reason: str) -> None:
        """End the connection for `reason`."""
        if not self._is_over:
            self.failure = reason
            self.close()

    @property
    def _has_begun(self) -> bool:
        """Whether the peer is known; a server's is once a first datagram was good."""
        return self._quic.get_peer_address() is not None

    @contextmanager
    def _contained(self) -> Iterator[None]:
        """Whatever a peer can make the library raise, it ends no more than this connection."""
        try:
            yield
        except Exception as error:
            self.fail(f"QUIC failed at what the peer sent: {type(error).__name__}")

    def _take_events(self) -> None:
        while (event := self._quic.next_event()) is not None:
            self._take(event)
        ending = self._quic.ending
        if ending is not None and not self._is_over:
            self._is_over = True
            if ending.error_code != QuicErrorCode.NO_ERROR:
                self.failure = f"the connection was ended with QUIC's error {ending.error_code:#x}"
            elif not self.input_ended:
                # Where the stream's end is lost on the way, or never was sent, some of its bytes may be missing too.
                self.failure = "the peer closed the connection"

    def _take(self, event: QuicEvent) -> None:
        match event:
            case HandshakeCompleted():
                self.is_established = True
            case StreamDataReceived(stream_id=stream, data=data, end_stream=ended) if stream == STREAM:
                self.is_open = True
                self._received += data
                self.input_ended = self.input_ended or ended
            case StreamReset(stream_id=stream) if stream == STREAM:
                self.fail("the peer reset the stream")
            case StopSendingReceived(stream_id=stream) if stream == STREAM:
                self._is_stopped = True
            case StreamDataReceived() | StreamReset() | StopSendingReceived():
                self.fail("the peer opened a second stream")
            case ConnectionIdIssued(connection_id=name):
                if self._on_issued is not None:
                    self._on_issued(name)
            case ConnectionIdRetired(connection_id=name):
                if self._on_retired is not None:
                    self._on_retired(name)
