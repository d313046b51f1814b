"""Applications on the two local sockets, as they were written for the reference."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import trio_websocket

from kpclientd.loopix.client import LoopixClient
from kpclientd.loopix.framing import FrameReader, encode_frame
from kpclientd.loopix.profile import DEFAULT, Profile
from kpclientd.loopix.requests import (
    Fetch,
    Fetched,
    Flush,
    Flushed,
    Request,
    Response,
    decode_json_response,
    decode_response,
    encode_json_request,
    encode_request,
)
from kpclientd.loopix.service import SocketType, server_of


@asynccontextmanager
async def served(client: LoopixClient, kind: SocketType) -> AsyncIterator[int]:
    """A local socket of a client, at a free port, which is given."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, server_of(client, kind), 0)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@dataclass
class TcpApplication:
    """Speaks frames; asks for a flush after each request, as the protocol wants it."""

    stream: trio.abc.Stream
    profile: Profile = DEFAULT
    frames: FrameReader = field(init=False)
    bodies: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frames = FrameReader(self.profile)

    async def ask(self, request: Request) -> Response:
        await self.write(encode_request(request))
        await self.write(encode_request(Flush()))
        response = await self.read()
        assert await self.read() == Flushed()
        return response

    async def write(self, body: bytes) -> None:
        await self.stream.send_all(encode_frame(self.profile, body))

    async def read(self) -> Response:
        """The next response."""
        while not self.bodies:
            data = bytes(await self.stream.receive_some(65536))
            assert data, "the client closed the connection"
            self.bodies += self.frames.feed(data)
        return decode_response(self.bodies.pop(0))


@dataclass
class WebSocketApplication:
    """Speaks JSON or protobuf in WebSocket messages."""

    socket: trio_websocket.WebSocketConnection
    json: bool

    async def ask(self, request: Request) -> Response:
        await self.socket.send_message(encode_json_request(request) if self.json else encode_request(request))
        answer = await self.socket.get_message()
        if isinstance(answer, str):
            assert self.json
            return decode_json_response(answer)
        assert not self.json
        return decode_response(answer)


Application = TcpApplication | WebSocketApplication


@asynccontextmanager
async def tcp_application(port: int, profile: Profile = DEFAULT) -> AsyncIterator[TcpApplication]:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield TcpApplication(stream, profile)


@asynccontextmanager
async def websocket_application(port: int, *, json: bool) -> AsyncIterator[WebSocketApplication]:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream, trio.open_nursery() as nursery:
        socket = await trio_websocket.wrap_client_stream(nursery, stream, f"localhost:{port}", "/mix")
        yield WebSocketApplication(socket, json)
        await socket.aclose()


async def fetch_until(application: Application, count: int, seconds: float) -> list[bytes]:
    """Fetch until so many messages have come."""
    messages: list[bytes] = []
    with trio.fail_after(seconds):
        while len(messages) < count:
            response = await application.ask(Fetch())
            assert isinstance(response, Fetched)
            messages += response.messages
            await trio.sleep(0.05)
    return messages
