"""One connection over a stream in memory, on a virtual clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from kpclientd.thin import connection as connection_module
from kpclientd.thin import events
from kpclientd.thin.connection import HIGH_WATER, HOLD_SECONDS, WRITE_SECONDS, AppConnection
from kpclientd.thin.events import Event
from kpclientd.thin.framing import FrameReader, encode_frame
from kpclientd.thin.requests import Request
from kpclientd.thin.sessions import Session
from tests.thin.serving import Office, settle

TOKEN = b"t" * 16
STATUS: Event = {"connection_status_event": {"is_connected": True}}
DOCUMENT: Event = {"new_pki_document_event": {"payload": b"document"}}
NEWS: Event = {"connection_status_event": {"is_connected": False}}


class App:
    """The application's end."""

    def __init__(self, stream: trio.abc.Stream, served: AppConnection) -> None:
        self.stream = stream
        self.served = served
        self.is_ended = False
        self._reader = FrameReader()
        self._arrived: list[dict[str, Any]] = []

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

    async def ends_within(self, seconds: float) -> bool:
        with trio.move_on_after(seconds):
            while await self.receive() is not None:
                pass
            return True
        return False


class Bench(Office):
    """An office that applications can connect to."""

    def __init__(self, nursery: trio.Nursery, **options: Any) -> None:
        super().__init__(**options)
        self.nursery = nursery
        self.greeting_seconds = 0.0

    async def greeting(self) -> tuple[Event, Event]:
        await trio.sleep(self.greeting_seconds)
        return STATUS, DOCUMENT

    def connect(self, pair: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = memory_stream_pair) -> App:
        ours, theirs = pair()
        served = AppConnection(theirs, self.sessions, self.desk, self.greeting)
        app = App(ours, served)

        async def serve() -> None:
            await served.serve()
            app.is_ended = True

        self.nursery.start_soon(serve)
        return app

    def broadcast(self, event: Event) -> None:
        for connection in self.sessions.connections():
            connection.broadcast(event)


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Bench]:
    async with trio.open_nursery() as nursery:
        yield Bench(nursery, **options)
        nursery.cancel_scope.cancel()


def ask(number: int = 0, epoch: int = 1) -> Event:
    return {"get_pki_document": {"query_id": number.to_bytes(16, "big"), "epoch": epoch}}


def answered(message: dict[str, Any] | None) -> int:
    """The number of the request that this is the answer to."""
    assert message is not None
    return int.from_bytes(message["get_pki_document_reply"]["query_id"], "big")


# -- first messages


async def test_status_and_document_come_first_and_nothing_follows_by_itself(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = bench.connect()
        assert await app.hears() == [STATUS, DOCUMENT]
        assert await app.hears(3600.0) == []


async def test_nothing_is_said_or_read_before_the_greeting_is_ready(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bench.greeting_seconds = 30.0
        app = bench.connect()
        await app.send(ask(1))
        assert await app.hears(29.0) == []
        bench.broadcast(NEWS)
        heard = await app.hears(2.0)
        assert heard[:2] == [STATUS, DOCUMENT], "the greeting is newer than what was said meanwhile"
        assert [answered(message) for message in heard[2:]] == [1]


async def test_applications_that_wait_for_their_greeting_do_not_wait_for_each_other(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bench.greeting_seconds = 30.0
        apps = [bench.connect() for _ in range(20)]
        await settle(30.5)
        for app in apps:
            await app.greeted()
        assert trio.current_time() < 31.0


async def test_news_wait_until_the_first_request_is_answered(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        bench.broadcast(NEWS)
        assert await app.hears(0.5) == []
        await app.send({"session_token": {"client_instance_token": TOKEN}})
        first, second = await app.hears()
        assert first["session_token_reply"]["resumed"] is False
        assert second == NEWS


async def test_news_do_not_wait_for_ever_for_a_client_that_asks_nothing(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        bench.broadcast(NEWS)
        assert await app.hears(HOLD_SECONDS + 0.1) == [NEWS]
        bench.broadcast(DOCUMENT)
        assert await app.hears() == [DOCUMENT], "later ones come at once"


# -- requests


async def test_requests_are_answered_in_order_however_they_arrive(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.send(*(ask(number) for number in range(40)))
        for octet in encode_frame(ask(40)):
            await app.stream.send_all(bytes([octet]))
        assert [answered(message) for message in await app.hears()] == list(range(41))


async def test_messages_that_wait_do_not_hold_up_local_requests(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        fields = {"destination_id_hash": bytes(32), "recipient_queue_id": b"+echo", "payload": b"", "with_surb": True}
        for number in range(1, 41):
            await app.send({"send_message": fields | {"surbid": number.to_bytes(16, "big")}})
        await app.send(ask(7))
        assert [answered(message) for message in await app.hears()] == [7]
        assert len(bench.queues) == 40


async def test_a_flood_of_one_application_lets_another_have_its_turn(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        served: list[Session] = []
        serve = bench.desk.serve

        def recording(session: Session, request: Request) -> Session | None:
            served.append(session)
            return serve(session, request)

        bench.desk.serve = recording  # type: ignore[method-assign]
        flooder, modest = await bench.connect().greeted(), await bench.connect().greeted()
        await flooder.send(*(ask(number) for number in range(1000)))
        await modest.send(ask())
        assert len(await modest.hears()) == 1
        first = served.index(served[0])
        others = [place for place, session in enumerate(served) if session is not served[first]]
        assert others[0] <= 160, "of a thousand"
        assert len(await flooder.hears()) == 1000


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x01\xf6",
        b"\x00\x00\x00\x01\xf7",
        b"\x00\x00\x00\x04\xff\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x0f\xa1\x6csend_message\x05",
        encode_frame({"session_token": {"client_instance_token": None}}),
        encode_frame({"get_pki_document": {"query_id": "text"}}),
    ],
)
async def test_garbage_ends_its_own_connection_and_no_other(garbage: bytes, autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bad, good = await bench.connect().greeted(), await bench.connect().greeted()
        await bad.stream.send_all(garbage)
        assert await bad.ends_within(1.0)
        await settle()
        assert bad.is_ended
        await good.send(ask(1))
        assert [answered(message) for message in await good.hears()] == [1]
        assert len(bench.sessions) == 1


async def test_what_came_before_garbage_is_still_served(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        fields = {"destination_id_hash": bytes(32), "recipient_queue_id": b"+echo", "with_surb": False}
        await app.send({"session_token": {"client_instance_token": TOKEN}})
        await app.stream.send_all(encode_frame({"send_message": fields}) + b"\xff\xff\xff\xff")
        assert await app.ends_within(1.0)
        assert len(bench.queues) == 1
        assert bench.sessions.lost == 1


# -- ends


@pytest.mark.parametrize("partial", [b"", b"\x00\x00", encode_frame(ask())[:20]])
async def test_an_application_may_vanish_at_any_byte(partial: bytes, autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.stream.send_all(partial)
        await app.stream.aclose()
        await settle()
        assert app.is_ended
        assert (len(bench.sessions), len(bench.destroyed)) == (0, 1)


async def test_a_session_with_a_token_outlives_its_connection(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.send({"session_token": {"client_instance_token": TOKEN}})
        (first,) = await app.hears()
        await app.stream.aclose()
        await settle()
        assert (bench.sessions.lost, bench.destroyed) == (1, [])
        again = await bench.connect().greeted()
        await again.send({"session_token": {"client_instance_token": TOKEN}})
        (second,) = await again.hears()
        assert second["session_token_reply"] == {"app_id": first["session_token_reply"]["app_id"], "resumed": True}


async def test_thin_close_ends_the_connection_without_a_word(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.send({"session_token": {"client_instance_token": TOKEN}})
        await app.hears()
        await app.send({"thin_close": {}}, ask())
        assert await app.hears() == []
        assert app.is_ended
        assert (len(bench.sessions), len(bench.destroyed)) == (0, 1)


async def test_a_connection_whose_session_was_taken_over_is_closed_and_the_new_one_served(
    autojump_clock: MockClock,
) -> None:
    async with opened() as bench:
        old = await bench.connect().greeted()
        await old.send({"session_token": {"client_instance_token": TOKEN}})
        await old.hears()
        new = await bench.connect().greeted()
        await new.send({"session_token": {"client_instance_token": TOKEN}})
        assert await old.ends_within(1.0)
        await new.hears()
        await new.send(ask(1))
        assert [answered(message) for message in await new.hears()] == [1]


async def test_what_a_replaced_connection_had_sent_in_the_same_moment_is_not_served(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        old = await bench.connect().greeted()
        await old.send({"session_token": {"client_instance_token": TOKEN}})
        await old.hears()
        new = await bench.connect().greeted()
        await old.send({"thin_close": {}})
        await new.send({"session_token": {"client_instance_token": TOKEN}})
        await new.hears()
        await new.send(ask(1))
        assert [answered(message) for message in await new.hears()] == [1], "thin_close came first, or not at all"
        assert len(bench.sessions) == 1


async def test_after_a_replacement_the_rest_of_a_pipeline_is_dropped(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        old, new = await bench.connect().greeted(), await bench.connect().greeted()
        session = bench.sessions.register(old.served._session, TOKEN)[0]  # type: ignore[arg-type]
        bench.sessions.register(new.served._session, TOKEN)  # type: ignore[arg-type]
        assert session.connection is new.served
        assert not await old.served._serve_one({"thin_close": {}})
        assert len(bench.sessions) == 1


async def test_the_shutdown_event_comes_last_after_what_was_held_back(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        bench.broadcast(NEWS)
        app.served.say_farewell(events.shutdown())
        bench.nursery.cancel_scope.deadline = trio.current_time() + 0.1
        assert [await app.receive(), await app.receive()] == [NEWS, events.shutdown()]


async def test_an_application_that_was_not_greeted_hears_no_farewell(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bench.greeting_seconds = 30.0
        app = bench.connect()
        await settle()
        app.served.say_farewell(events.shutdown())
        assert await app.hears() == []


async def test_a_fault_in_serving_closes_the_socket_and_forgets_the_session(autojump_clock: MockClock) -> None:
    bench_of_fault = Office()

    def fail(session: Session, request: Request) -> Session | None:
        raise RuntimeError("a fault of the daemon")

    bench_of_fault.desk.serve = fail  # type: ignore[method-assign]

    async def greeting() -> tuple[Event, Event]:
        return STATUS, DOCUMENT

    ours, theirs = memory_stream_pair()
    await ours.send_all(encode_frame(ask()))
    with pytest.raises(ExceptionGroup) as caught:
        await AppConnection(theirs, bench_of_fault.sessions, bench_of_fault.desk, greeting).serve()
    assert caught.group_contains(RuntimeError, match="a fault of the daemon")
    assert len(bench_of_fault.sessions) == 0
    while await ours.receive_some():
        pass


# -- slow readers


async def test_an_application_that_reads_nothing_for_a_minute_is_ended(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = bench.connect(lockstep_stream_pair)
        await app.greeted()
        begun = trio.current_time()
        app.served.post(NEWS)
        await settle(WRITE_SECONDS - 1.0)
        assert not app.is_ended
        await settle(2.0)
        assert app.is_ended
        assert trio.current_time() - begun < WRITE_SECONDS + 2.0


async def test_an_application_that_reads_slowly_but_steadily_is_kept(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = bench.connect(lockstep_stream_pair)
        await app.greeted()
        for number in range(5):
            app.served.post({"news": {"number": number}})
            await settle(WRITE_SECONDS - 5.0)
            assert await app.receive() == {"news": {"number": number}}
        assert not app.is_ended


async def test_requests_are_not_read_while_too_many_answers_wait_and_all_are_there_afterwards(
    autojump_clock: MockClock,
) -> None:
    async with opened() as bench:
        app = bench.connect(lockstep_stream_pair)
        await app.greeted()
        assert bench.document is not None
        enough = 3 * HIGH_WATER // len(bench.document.certificate)
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for number in range(enough):
                await app.send(ask(number, epoch=0))
                sent += 1

        bench.nursery.start_soon(send_all)
        await settle(1.0)
        assert HIGH_WATER < app.served._unread <= HIGH_WATER + 2 * len(bench.document.certificate)
        assert sent < enough / 2
        assert [answered(await app.receive()) for _ in range(enough)] == list(range(enough))


async def test_an_application_with_too_much_unread_is_given_up(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MAX_UNREAD", 10_000)
    async with opened() as bench:
        app = bench.connect(lockstep_stream_pair)
        await app.greeted()
        for _ in range(9):
            app.served.post({"news": {"payload": bytes(1000)}})
        await settle()
        assert not app.is_ended
        app.served.post({"news": {"payload": bytes(1000)}})
        await settle()
        assert app.is_ended


async def test_a_slow_reader_holds_up_nobody_else(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        slow = bench.connect(lockstep_stream_pair)
        quick = await bench.connect().greeted()
        await settle()
        begun = trio.current_time()
        for number in range(100):
            await quick.send(ask(number))
            assert answered(await quick.receive()) == number
        assert trio.current_time() == begun
        assert not slow.is_ended
