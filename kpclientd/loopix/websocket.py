"""The local WebSocket `/mix`: one request a message, one response of the same kind.

Source: the Nym 2019 Loopix client, "websocket". Differences: origins are checked, and a message that holds no request
is answered by a close frame.
"""

import contextlib
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import h11
import trio
import trio_websocket
from wsproto.utilities import LocalProtocolError

from kpclientd.addresses import LOOPBACK
from kpclientd.loopix.errors import RequestError
from kpclientd.loopix.logs import WEBSOCKET
from kpclientd.loopix.request_handler import RequestHandler
from kpclientd.loopix.requests import decode_json, decode_request, encode_json, encode_response
from kpclientd.loopix.upgrade import MAX_HEAD, Answer, check_upgrade

log = logging.getLogger(WEBSOCKET)

MAX_MESSAGE: Final = 2048
"""Bytes of a message; a longer one ends the connection with code 1009."""

QUEUED_MESSAGES: Final = 16
"""Messages that are read ahead while a request is being served."""

HEAD_SECONDS: Final = 10.0
PING_SECONDS: Final = 27.0
PONG_SECONDS: Final = 3.0
"""After a ping; together with its interval this is the reference's read deadline of 30 s."""

WRITE_SECONDS: Final = 40.0
CLOSE_SECONDS: Final = 1.0
"""For the peer's part of the closing handshake."""

MESSAGE_TOO_BIG: Final = 1009
INVALID_PAYLOAD: Final = 1007

_READ_SIZE: Final = 4096

_ENDINGS: Final = (
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    trio_websocket.ConnectionClosed,
    LocalProtocolError,  # by the library's reader: the peer pings while the connection is being closed
)


class WebSocketServer:
    """Serves applications over WebSockets.

    Args:
        handler: answers their requests.
        allowed_origins: web origins that may connect beside this machine's own.
    """

    def __init__(self, handler: RequestHandler, allowed_origins: Collection[str] = ()) -> None:
        self._handler = handler
        self._allowed_origins = frozenset(allowed_origins)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; nothing that happens there concerns anybody else."""
        try:
            head = await self._receive_head(stream)
            if head is not None:
                await self._serve_upgraded(_Replayed(stream, head))
        except* _ENDINGS as endings:
            log.debug("a connection broke or stalled: %r", endings.exceptions[0])
        except* Exception:
            log.exception("a connection ended by a fault of the client")
        finally:
            await trio.aclose_forcefully(stream)

    async def _receive_head(self, stream: trio.abc.Stream) -> bytes | None:
        """Read the head of a request; None if it was answered here or is none."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        received = b""
        with trio.fail_after(HEAD_SECONDS):
            try:
                while (event := http.next_event()) is h11.NEED_DATA:
                    data = bytes(await stream.receive_some(_READ_SIZE))
                    received += data
                    http.receive_data(data)
            except h11.RemoteProtocolError as error:
                log.info("what came is no HTTP request: %s", error)
                return None
            if not isinstance(event, h11.Request):
                return None
            answer = check_upgrade(event, _remote_host(stream), self._allowed_origins)
            if answer is None:
                return received
            if answer.reason:
                log.warning("a WebSocket was refused: %s", answer.reason)
            await self._send_answer(stream, answer)
        return None

    @staticmethod
    async def _send_answer(stream: trio.abc.Stream, answer: Answer) -> None:
        await stream.send_all(answer.encode())
        if isinstance(stream, trio.SocketStream):
            await stream.send_eof()

    async def _serve_upgraded(self, stream: "_Replayed") -> None:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(HEAD_SECONDS):
                request = await trio_websocket.wrap_server_stream(
                    nursery, stream, message_queue_size=QUEUED_MESSAGES, max_message_size=MAX_MESSAGE
                )
                socket = await request.accept()
            connection = _Connection(socket, stream, self._handler)
            nursery.start_soon(connection.keep_alive)
            await connection.serve()
            # The library's reader leaves when the peer has closed; it is not waited for longer than this.
            nursery.cancel_scope.deadline = trio.current_time() + CLOSE_SECONDS
            connection.alive.cancel()


class _Connection:
    """One WebSocket, after its opening handshake."""

    def __init__(
        self, socket: trio_websocket.WebSocketConnection, stream: trio.abc.Stream, handler: RequestHandler
    ) -> None:
        self._socket = socket
        self._stream = stream
        self._handler = handler
        self._is_idle = False
        self.alive = trio.CancelScope()

    async def serve(self) -> None:
        """Answer messages in the order of their arrival until the peer leaves or breaks the rules."""
        try:
            while True:
                self._is_idle = True
                message = await self._socket.get_message()
                self._is_idle = False
                # The library counts characters.
                if len(message if isinstance(message, bytes) else message.encode()) > MAX_MESSAGE:
                    await self._close(MESSAGE_TOO_BIG, f"a message has more than {MAX_MESSAGE} bytes")
                    return
                try:
                    answer = await self._answer(message)
                except RequestError as error:
                    await self._close(INVALID_PAYLOAD, str(error))
                    return
                with trio.fail_after(WRITE_SECONDS):
                    await self._socket.send_message(answer)
        except trio_websocket.ConnectionClosed as closed:
            log.debug("a connection ended: %s", closed.reason)

    async def _answer(self, message: str | bytes) -> str | bytes:
        if isinstance(message, bytes):
            return encode_response(await self._handler.answer(decode_request(message)))
        return encode_json(await self._handler.answer(decode_json(message)))

    async def _close(self, code: int, reason: str) -> None:
        log.info("a connection is closed: %s", reason)
        with trio.move_on_after(CLOSE_SECONDS):
            await self._socket.aclose(code)

    async def keep_alive(self) -> None:
        """Ping the peer; cut the connection if no pong comes."""
        with self.alive:
            while True:
                await trio.sleep(PING_SECONDS)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._cut_if_silent)
                    with contextlib.suppress(trio_websocket.ConnectionClosed):
                        await self._socket.ping(b"")
                    nursery.cancel_scope.cancel()

    async def _cut_if_silent(self) -> None:
        await trio.sleep(PONG_SECONDS)
        while not self._is_idle:
            # While a request is served the library may be too full to read the pong.
            await trio.sleep(PONG_SECONDS)
        log.info("a connection is cut: no pong within %.0f s", PING_SECONDS + PONG_SECONDS)
        await trio.aclose_forcefully(self._stream)


@dataclass
class _Replayed(trio.abc.Stream):
    """A stream of which the first bytes were read already."""

    stream: trio.abc.Stream
    head: bytes

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if not self.head:
            return await self.stream.receive_some(max_bytes)
        await trio.lowlevel.checkpoint()
        taken, self.head = self.head[:max_bytes], self.head[max_bytes or len(self.head) :]
        return taken

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


def _remote_host(stream: trio.abc.Stream) -> str:
    """The peer's address; streams that are no sockets are of this process."""
    return str(stream.socket.getpeername()[0]) if isinstance(stream, trio.SocketStream) else LOOPBACK
