"""A whole daemon whose application comes by WebSocket, through a library of others' that speaks it."""

from typing import Any

import trio
import trio.testing
import trio_websocket

from kpclientd.client.connection import ThinClient
from kpclientd.thin.websocket import WebSocketStream
from tests.support.world import App, world

MESSAGES = 20


class ApplicationsEnd(trio.abc.Stream):
    """The thin client's bytes over a WebSocket, each write a message."""

    def __init__(self, socket: trio_websocket.WebSocketConnection) -> None:
        self._socket = socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._socket.send_message(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        message = await self._socket.get_message()
        assert isinstance(message, bytes)
        return message

    async def aclose(self) -> None:
        await self._socket.aclose()


async def test_messages_and_answers_go_by_websocket(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        ours, theirs = trio.testing.memory_stream_pair()
        stream: Any = ours
        here.serve(WebSocketStream(theirs))
        socket = await trio_websocket.wrap_client_stream(here.nursery, stream, "127.0.0.1:64332", "/")
        end = ApplicationsEnd(socket)
        app = App(ThinClient(end), end)
        await app.client.shake_hands(here.daemon.randomness.bytes(16))
        assert app.client.connected and app.client.document is not None
        here.nursery.start_soon(app.listen)
        ids = [number.to_bytes(16, "big") for number in range(MESSAGES)]
        for surb_id in ids:
            await app.send(here.service(), b"by websocket", surb_id)
        await here.until(lambda: not app.unanswered(ids), 240)
        assert all(len(replies) == 1 for replies in app.replies.values())
