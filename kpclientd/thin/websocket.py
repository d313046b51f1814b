"""Applications that come by WebSocket (RFC 6455): a byte stream in binary messages, either way.

    head of a request --> origin and host are allowed --> the token is right --> upgraded --> messages --> closed
       10 s, 8 KiB          else 403                        else 401

Theory of operation. A connection is upgraded before it is let in (see `listener_token`), or when somebody first reads
or writes it. The protocol is wsproto's, which does no I/O and hands out the pieces of a message as they come: so no
message, however long, takes more memory than one read. What is to be written waits in one buffer and leaves it as the
socket takes it; being cancelled in between loses nothing.

A message that is written holds one frame of the thin-client protocol, as browsers' clients expect. Of messages that
come, the boundaries mean nothing. A text message ends the connection with code 1003.

Any web page may open a WebSocket to this machine, and its requests name the page's origin. So where there is an origin
it must be the host that was asked, which must be an address or `localhost`, or a page could have its own name resolve
to this machine; or an origin that the configuration lists. Programs that are no browsers name none.

Where the configuration wants a token, it comes as `Authorization: Bearer TOKEN`; browsers, which cannot set headers for
a WebSocket, put it into the query of the URL, as `?token=TOKEN`. Neither is ever logged, nor is what breaks a head.

Source: the Katzenpost thin-client protocol, "transports".
"""

import hmac
import http
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from kpclientd.addresses import ip_literal
from kpclientd.streams import READ_SIZE
from kpclientd.thin.framing import LENGTH_BYTES
from kpclientd.thin.listener_token import SAID_NOTHING, GuardedListener, shown_token

HEAD_SECONDS: Final = 10.0
MOST_HEAD_BYTES: Final = 8192
MOST_UNWRITTEN_BYTES: Final = 65_536
"""Beside what is being sent: answers to pings. Above this nothing more is read."""

CLOSE_SECONDS: Final = 1.0
UNSUPPORTED_DATA: Final = 1003
_ORDERLY_CODES: Final = (1000, 1001)
_LOCAL_NAME: Final = "localhost"
MOST_SHOWN: Final = 128


class WebSocketStream(trio.abc.Stream):
    """The daemon's end of one WebSocket.

    Args:
        stream: what was accepted; closed with this.
        origins: of pages that may connect beside those of the host itself, such as `https://chat.example`.
        token: what the request has to show, or None.
    """

    def __init__(self, stream: trio.abc.Stream, origins: Collection[str] = (), token: bytes | None = None) -> None:
        self._stream = stream
        self._origins = frozenset(origins)
        self._token = token
        self._refusal: str | None = None
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._opening = trio.Lock()
        self._writing = trio.Lock()
        self._is_open = False
        self._head_bytes = 0
        self._received = bytearray()
        self._unwritten = bytearray()
        self._is_at_end = False
        self._fault: str | None = None
        self._prefix = bytearray()
        self._frame_rest = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Bytes of the binary messages that came; none at their orderly end.

        Raises:
            BrokenResourceError: if it was no WebSocket, or was not let in, or ended otherwise.
        """
        await self._open()
        while not self._received:
            self._require_whole()
            if self._is_at_end:
                return b""
            if len(self._unwritten) > MOST_UNWRITTEN_BYTES:
                await self._drain()
            await self._read()
        taken = bytes(self._received[:max_bytes])
        del self._received[: len(taken)]
        return taken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write bytes of the thin-client protocol, a frame a message.

        Raises:
            BrokenResourceError: as `receive_some`.
        """
        await self._open()
        self._require_whole()
        if self._is_at_end:
            raise trio.BrokenResourceError("the application has closed the WebSocket")
        self._put_frames(bytes(data))
        await self._drain()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room in the socket."""
        await self._open()
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Say so, if there is time, and close the socket."""
        try:
            if self._is_open and not self._is_at_end and self._fault is None:
                self._put(CloseConnection(code=_ORDERLY_CODES[0]))
                with trio.move_on_after(CLOSE_SECONDS):
                    await self._drain()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await self._stream.aclose()

    # -- opening

    async def refusal(self) -> str | None:
        """Open the WebSocket, and return why it was not let in, or None if it was."""
        try:
            await self._open()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return self._refusal or ("it opened no WebSocket" if self._head_bytes else SAID_NOTHING)
        return None

    async def _open(self) -> None:
        if self._is_open:
            return
        async with self._opening:
            with trio.move_on_after(HEAD_SECONDS):
                while not self._is_open and not self._is_at_end and self._fault is None:
                    await self._read()
            if not self._is_open:
                self._fault = self._fault or "no WebSocket was opened"
                with trio.move_on_after(CLOSE_SECONDS):
                    await self._drain()
        self._require_whole()

    def _answer_request(self, request: Request) -> None:
        fault = fault_of_request(request, self._origins)
        if fault is not None:
            self._put(RejectConnection(status_code=http.HTTPStatus.FORBIDDEN))
            self._fault = self._refusal = fault
        elif self._token is not None and not hmac.compare_digest(
            shown_token(request.extra_headers, request.target), self._token
        ):
            challenge = [(b"WWW-Authenticate", b"Bearer")]
            self._put(RejectConnection(status_code=http.HTTPStatus.UNAUTHORIZED, headers=challenge))
            self._fault = self._refusal = "its request does not show the token"
        else:
            self._put(AcceptConnection())
            self._is_open = True

    # -- reading

    async def _read(self) -> None:
        """Take what came next, and answer it."""
        data = await self._stream.receive_some(READ_SIZE)
        if not self._is_open:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._fault = f"the head of its request has more than {MOST_HEAD_BYTES} bytes"
                return
        try:
            self._protocol.receive_data(bytes(data) or None)
            for event in self._protocol.events():
                self._take(event)
        except RemoteProtocolError as error:
            self._fault = f"it broke the protocol: {error}"
            if error.event_hint is not None:
                self._put(error.event_hint)
        if not data:
            self._is_at_end = True
        if self._unwritten and not self._writing.locked():
            await self._drain()

    def _take(self, event: Event) -> None:
        match event:
            case Request():
                self._answer_request(event)
            case BytesMessage():
                self._received += event.data
            case TextMessage():
                self._fault = "it sent a text message"
                self._put(CloseConnection(code=UNSUPPORTED_DATA, reason="binary messages only"))
            case Ping():
                self._put(event.response())
            case CloseConnection():
                self._put(event.response())
                self._is_at_end = True
                if event.code not in _ORDERLY_CODES:
                    self._fault = f"it closed with code {event.code}"

    def _require_whole(self) -> None:
        if self._fault is not None:
            raise trio.BrokenResourceError(self._fault)

    # -- writing

    def _put(self, event: Event) -> None:
        try:
            self._unwritten += self._protocol.send(event)
        except LocalProtocolError as error:  # it is being closed from the other end
            self._fault = self._fault or str(error)

    def _put_frames(self, data: bytes) -> None:
        while data:
            if not self._frame_rest:
                lacks = LENGTH_BYTES - len(self._prefix)
                self._prefix += data[:lacks]
                data = data[lacks:]
                if len(self._prefix) < LENGTH_BYTES:
                    return
                self._frame_rest = int.from_bytes(self._prefix)
            piece, data = data[: self._frame_rest], data[self._frame_rest :]
            self._frame_rest -= len(piece)
            message = BytesMessage(data=bytes(self._prefix) + piece, message_finished=not self._frame_rest)
            self._prefix.clear()
            self._put(message)

    async def _drain(self) -> None:
        async with self._writing:
            while self._unwritten:
                sent = await self._send_some(bytes(self._unwritten[:READ_SIZE]))
                del self._unwritten[:sent]

    async def _send_some(self, data: bytes) -> int:
        if not isinstance(self._stream, trio.SocketStream):
            await self._stream.send_all(data)
            return len(data)
        try:
            return await self._stream.socket.send(data)
        except OSError as error:
            raise trio.BrokenResourceError from error


class WebSocketListener(GuardedListener):
    """Accepts connections that will be WebSockets.

    Args:
        listener: accepts them.
        origins, token: see `WebSocketStream`.
    """

    def __init__(self, listener: trio.SocketListener, origins: Collection[str], token: bytes | None = None) -> None:
        self.socket = listener.socket
        self._listener = listener
        self._origins = origins
        self._token = token

    async def accept(self) -> WebSocketStream:
        """Wait for the next connection; it is not upgraded yet."""
        return WebSocketStream(await self._listener.accept(), self._origins, self._token)

    async def refusal(self, stream: trio.abc.Stream) -> str | None:
        """Upgrade it, if it may be."""
        assert isinstance(stream, WebSocketStream), "it has accepted no other"
        return await stream.refusal()

    async def aclose(self) -> None:
        """Accept no more."""
        await self._listener.aclose()


def fault_of_request(request: Request, origins: Collection[str]) -> str | None:
    """Why a request must not become a WebSocket, or None if it may."""
    for name, value in request.extra_headers:
        origin = value.decode("latin-1")
        if name.lower() == b"origin" and origin not in origins and not _is_of_host(origin, request.host):
            return f"it comes from a page of {origin[:MOST_SHOWN]!r}, by way of {request.host[:MOST_SHOWN]!r}"
    return None


def _is_of_host(origin: str, host: str) -> bool:
    """Whether a page comes from the host that was asked, and that is one that no page could have made its own name."""
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    is_fixed = name == _LOCAL_NAME or ip_literal(name) is not None
    return is_fixed and parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
