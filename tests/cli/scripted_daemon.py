"""A daemon for tests of those who talk to one: greets as the real one does and answers as the test says."""

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import trio

from kpclientd.config.model import ListenUnix
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.thin import events
from kpclientd.thin.framing import FrameReader, encode_frame
from sphinx.geometry import Geometry
from tests.pki.network import FIRST_EPOCH, document

GEOMETRY = Geometry.nike("x25519", 5, 2000)
DOCUMENT = document(FIRST_EPOCH).encode()

Script = Sequence[tuple[float, dict[str, Any] | None]]
"""Messages to send, each so many seconds after the request; None closes the connection."""


def status(connected: bool, geometry: Geometry = GEOMETRY) -> dict[str, Any]:
    return events.connection_status(
        connected=connected,
        instance_token=bytes(16),
        sphinx_geometry=geometry.fields(),
        pigeonhole_geometry=PigeonholeGeometry.derive(geometry).fields(),
    )


def echoed(request: dict[str, Any]) -> dict[str, Any]:
    padded = request["payload"].ljust(GEOMETRY.forward_payload_length, b"\0")
    return events.message_reply(None, request["surbid"], padded)


def without_services() -> bytes:
    genuine = document(FIRST_EPOCH)
    silent = replace(genuine.service_nodes[0], kaetzchen={"courier": {"endpoint": "courier"}})
    return replace(genuine, service_nodes=(silent,)).encode()


@dataclass
class ScriptedDaemon:
    """Greets, and answers the nth `send_message` with the nth script (the last one serves all further ones).

    It is silent for `silent_seconds` before. A deaf one reads nothing after its greeting.
    """

    scripts: Sequence[Callable[[dict[str, Any]], Script]] = ((lambda request: [(0.5, echoed(request))]),)
    greeting: Sequence[dict[str, Any]] = (status(True), events.new_pki_document(DOCUMENT))
    before_token_reply: Sequence[dict[str, Any]] = ()
    after_token_reply: Script = ()
    silent_seconds: float = 0.0
    deaf: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)

    async def serve(self, stream: trio.abc.Stream) -> None:
        reader, sent, sending = FrameReader(), 0, trio.Lock()
        try:
            async with trio.open_nursery() as nursery:
                await trio.sleep(self.silent_seconds)
                for message in self.greeting:
                    await stream.send_all(encode_frame(message))
                while data := await stream.receive_some():
                    for request in reader.feed(bytes(data)):
                        self.requests.append(request)
                        if "session_token" in request:
                            for message in (
                                *self.before_token_reply,
                                events.session_token_reply(b"a" * 16, resumed=False),
                            ):
                                await stream.send_all(encode_frame(message))
                            nursery.start_soon(_play, stream, sending, self.after_token_reply)
                            if self.deaf:
                                await trio.sleep_forever()
                        if "send_message" in request:
                            script = self.scripts[min(sent, len(self.scripts) - 1)]
                            sent += 1
                            nursery.start_soon(_play, stream, sending, script(request["send_message"]))
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    @asynccontextmanager
    async def listening(self, folder: Path) -> AsyncIterator[ListenUnix]:
        path = str(folder / "daemon")
        listener = trio.socket.socket(socket.AF_UNIX)
        await listener.bind(path)
        listener.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self.serve, [trio.SocketListener(listener)])
            yield ListenUnix(path)
            nursery.cancel_scope.cancel()


async def _play(stream: trio.abc.Stream, sending: trio.Lock, script: Script) -> None:
    start = trio.current_time()
    for after, message in script:
        await trio.sleep_until(start + after)
        if message is None:
            await stream.aclose()
            return
        async with sending:
            await stream.send_all(encode_frame(message))
