"""Applications at the other end of a connection, over streams in memory or real sockets."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import memory_stream_pair

from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.thin.budget import FrameBudget
from kpclientd.thin.connection import AppConnection, Greeter, News
from kpclientd.thin.events import Event
from kpclientd.thin.framing import FrameReader, encode_frame
from kpclientd.thin.listener import open_listeners
from kpclientd.thin.outbox import Frame
from kpclientd.thin.sessions import Session
from kpclientd.thin.turns import AppTurns
from kpclientd.thin.verbs.table import TABLE
from kpclientd.thin.verbs.verb import Verb
from tests.thin.serving import Office, framed, settle

TOKEN = b"t" * 16
STATUS: Event = {"connection_status_event": {"is_connected": True}}
DOCUMENT: Event = {"new_pki_document_event": {"payload": b"document"}}
NEWS: Event = {"connection_status_event": {"is_connected": False}}
MESSAGE: Event = {"destination_id_hash": bytes(32), "recipient_queue_id": b"+echo", "payload": b"hello"}

Pair = Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]]


class App:
    """The application's end."""

    def __init__(self, stream: trio.abc.Stream, served: AppConnection) -> None:
        self.stream = stream
        self.served = served
        self.is_ended = False
        self._reader = FrameReader()
        self._arrived: list[dict[str, Any]] = []

    @property
    def session(self) -> Session:
        """What the daemon has of it."""
        session = self.served._caller.session
        assert session is not None
        return session

    async def send(self, *messages: Event) -> None:
        await self.stream.send_all(b"".join(encode_frame(message) for message in messages))

    async def receive(self) -> dict[str, Any] | None:
        """The next message, or None at the end of the connection."""
        while not self._arrived:
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._arrived.extend(self._reader.feed(bytes(data)))
        return self._arrived.pop(0)

    async def hears(self, seconds: float = 0.0) -> list[dict[str, Any]]:
        """All that has come after so much time."""
        heard = []
        await settle(seconds)
        with trio.move_on_after(0.001):
            while (message := await self.receive()) is not None:
                heard.append(message)
        return heard

    async def greeted(self) -> "App":
        assert [await self.receive(), await self.receive()] == [STATUS, DOCUMENT]
        return self

    async def registered(self, token: bytes = TOKEN) -> dict[str, Any]:
        """Present a token, and give the answer."""
        await self.send({"session_token": {"client_instance_token": token}})
        answer = await self.receive()
        assert answer is not None
        reply: dict[str, Any] = answer["session_token_reply"]
        return reply

    async def ends_within(self, seconds: float) -> bool:
        with trio.move_on_after(seconds):
            while await self.receive() is not None:
                pass
            return True
        return False


class SimpleGreeter:
    """Greets with constants, as soon as it may."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @property
    def is_ready(self) -> bool:
        return not self.seconds

    async def ready(self) -> None:
        await trio.sleep(self.seconds)

    def greeting(self) -> tuple[Frame, Frame]:
        return framed(STATUS), framed(DOCUMENT)


class Bench(Office):
    """An office that applications can connect to."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        greeter: Greeter | None = None,
        table: tuple[Verb, ...] = TABLE,
        budget: FrameBudget | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.nursery = nursery
        self.simple_greeter = SimpleGreeter()
        self.greeter = greeter or self.simple_greeter
        self.table = table
        self.turns = AppTurns()
        self.budget = budget or FrameBudget()
        nursery.start_soon(self.turns.run)

    def connect(self, pair: Pair = memory_stream_pair) -> App:
        ours, theirs = pair()
        return self.serve(ours, theirs)

    def serve(self, ours: trio.abc.Stream, theirs: trio.abc.Stream) -> App:
        served = AppConnection(theirs, self.services, self.greeter, self.turns, self.budget, self.table)
        app = App(ours, served)

        async def serve() -> None:
            await served.serve()
            app.is_ended = True

        self.nursery.start_soon(serve)
        return app

    def say(self, app: App, event: Event, *, final: bool = False) -> None:
        """Say something to one application."""
        self.sessions.deliver(app.session.app_id, event, final=final)

    def broadcast(self, event: Event) -> None:
        news = News.STATUS if "connection_status_event" in event else News.DOCUMENT
        for session in self.sessions:
            if isinstance(session.connection, AppConnection):
                session.connection.broadcast(news, framed(event))


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Bench]:
    async with trio.open_nursery() as nursery:
        yield Bench(nursery, **options)
        nursery.cancel_scope.cancel()


class Door:
    """A real socket that applications of a bench come through."""

    def __init__(self, bench: Bench, listen: ListenTcp | ListenUnix, listener: trio.SocketListener) -> None:
        self._bench = bench
        self._listen = listen
        self._listener = listener
        self._apps: list[App] = []

    def close(self) -> None:
        """Close what the applications of a test left open."""
        for app in self._apps:
            assert isinstance(app.stream, trio.SocketStream)
            app.stream.socket.close()

    async def connect(self) -> App:
        if isinstance(self._listen, ListenUnix):
            ours = await trio.open_unix_socket(self._listen.socket_address)
        else:
            ours = await trio.open_tcp_stream(*self._listener.socket.getsockname()[:2])
        self._apps.append(self._bench.serve(ours, await self._listener.accept()))
        return await self._apps[-1].greeted()


@asynccontextmanager
async def opened_door(listen: ListenTcp | ListenUnix, **options: Any) -> AsyncIterator[tuple[Bench, Door]]:
    async with open_listeners((listen,)) as (listener,), opened(**options) as bench:
        assert isinstance(listener, trio.SocketListener)
        door = Door(bench, listen, listener)
        try:
            yield bench, door
        finally:
            door.close()


def ask(number: int = 0, epoch: int = 1) -> Event:
    return {"get_pki_document": {"query_id": number.to_bytes(16, "big"), "epoch": epoch}}


def answered(message: dict[str, Any] | None) -> int:
    """The number of the request that this is the answer to."""
    assert message is not None
    return int.from_bytes(message["get_pki_document_reply"]["query_id"], "big")
