"""One connection over a stream in memory, on a virtual clock: first messages, requests, and garbage."""

import pytest
import trio
from trio.testing import MockClock

from kpclientd.thin import events
from kpclientd.thin.connection import HOLD_SECONDS, READ_AHEAD
from kpclientd.thin.events import Event
from kpclientd.thin.framing import encode_frame
from kpclientd.thin.turns import STEPS_IN_A_TURN
from tests.thin.applications import DOCUMENT, MESSAGE, NEWS, STATUS, TOKEN, answered, ask, opened
from tests.thin.serving import framed, settle

# -- first messages


async def test_status_and_document_come_first_and_nothing_follows_by_itself(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = bench.connect()
        assert await app.hears() == [STATUS, DOCUMENT]
        assert await app.hears(3600.0) == []
        assert not app.is_ended


async def test_nothing_is_said_or_read_before_the_greeting_is_ready(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bench.simple_greeter.seconds = 30.0
        app = bench.connect()
        await app.send(ask(1))
        assert await app.hears(29.0) == []
        bench.broadcast(NEWS)
        heard = await app.hears(2.0)
        assert heard[:2] == [STATUS, DOCUMENT], "the greeting is newer than what was said meanwhile"
        assert [answered(message) for message in heard[2:]] == [1]


async def test_applications_that_wait_for_their_greeting_do_not_wait_for_each_other(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bench.simple_greeter.seconds = 30.0
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


async def test_of_news_that_waited_the_newest_are_told_the_status_first(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        asking, silent = [await bench.connect().greeted() for _ in range(2)]
        newest: Event = {"new_pki_document_event": {"payload": b"newer"}}
        for event in (DOCUMENT, STATUS, newest, NEWS):
            bench.broadcast(event)
        await asking.send(ask(1))
        first, *rest = await asking.hears()
        assert (answered(first), rest) == (1, [NEWS, newest])
        assert await silent.hears(HOLD_SECONDS) == [NEWS, newest]


async def test_who_resumes_hears_the_reply_then_what_was_kept_then_the_news(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.registered()
        app_id = app.session.app_id
        await app.stream.aclose()
        await settle()
        kept = [events.message_id_garbage_collected(bytes([number]) * 16) for number in range(3)]
        for event in kept:
            bench.sessions.deliver(app_id, event, final=True)
        again = await bench.connect().greeted()
        bench.broadcast(NEWS)
        await again.send({"session_token": {"client_instance_token": TOKEN}})
        first, *rest = await again.hears()
        assert first == events.session_token_reply(app_id, resumed=True)
        assert rest == [*kept, NEWS]


async def test_news_do_not_wait_for_ever_for_a_client_that_asks_nothing(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        bench.broadcast(NEWS)
        assert await app.hears(HOLD_SECONDS - 0.1) == []
        assert await app.hears(0.2) == [NEWS]
        bench.broadcast(DOCUMENT)
        assert await app.hears() == [DOCUMENT], "later ones come at once"


async def test_an_application_that_leaves_while_there_is_no_document_is_noticed_at_once(
    autojump_clock: MockClock,
) -> None:
    async with opened() as bench:
        bench.simple_greeter.seconds = 1e6
        app = bench.connect()
        await settle(100.0)
        assert len(bench.sessions) == 1
        await app.stream.aclose()
        await settle()
        assert app.is_ended
        assert trio.current_time() < 200.0
        assert (len(bench.sessions), bench.budget.held) == (0, 0)


async def test_what_was_asked_before_the_greeting_is_read_ahead_up_to_a_limit(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bench.simple_greeter.seconds = 50.0
        app = bench.connect()
        await app.send(*(ask(number) for number in range(20_000)))
        await settle(10.0)
        assert READ_AHEAD <= bench.budget.held < READ_AHEAD + 70_000
        await settle(41.0)
        heard = [await app.receive() for _ in range(20_002)]
        assert heard[:2] == [STATUS, DOCUMENT]
        assert [answered(message) for message in heard[2:]] == list(range(20_000))


# -- requests


async def test_requests_are_answered_in_order_however_they_arrive(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.send(*(ask(number) for number in range(40)))
        for octet in encode_frame(ask(40)):
            await app.stream.send_all(bytes([octet]))
        assert [answered(message) for message in await app.hears()] == list(range(41))
        assert app.served.requests == 41


async def test_messages_that_wait_do_not_hold_up_local_requests(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        for number in range(1, 41):
            await app.send({"send_message": MESSAGE | {"with_surb": True, "surbid": number.to_bytes(16, "big")}})
        await app.send(ask(7))
        assert [answered(message) for message in await app.hears()] == [7]
        assert len(bench.queues) == 40


async def test_what_names_no_known_verb_is_ignored_and_the_rest_served(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.send({}, {"no_such_verb": {"query_id": bytes(16)}}, {"send_loop_decoy": {}}, ask(1))
        assert [answered(message) for message in await app.hears()] == [1]
        assert not app.is_ended


async def test_a_flood_of_one_application_lets_others_have_their_turns(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        flooder = await bench.connect().greeted()
        others = [await bench.connect().greeted() for _ in range(3)]
        await flooder.send(*(ask(number) for number in range(4000)))
        await trio.lowlevel.checkpoint()
        for other in others:
            await other.send(ask(1))
        for other in others:
            assert answered(await other.receive()) == 1
        assert 0 < flooder.served.requests <= 20 * STEPS_IN_A_TURN, "of four thousand"
        assert [answered(await flooder.receive()) for _ in range(4000)] == list(range(4000))


async def test_a_turn_ends_in_the_middle_of_a_frame_of_many_items(autojump_clock: MockClock) -> None:
    many = {"create_courier_envelopes_from_multi_payload": {"query_id": bytes(16), "buffer": [0] * 8000}}
    async with opened() as bench:
        app = await bench.connect().greeted()
        before = bench.turns.taken
        await app.send(many)
        (heard,) = await app.hears()
        assert heard["create_courier_envelopes_from_multi_payload_reply"]["error_code"] == 3
        assert bench.turns.taken >= before + 8000 // 256 // STEPS_IN_A_TURN + 1


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
        encode_frame({"get_pki_document": {"query_id": [0] * 2000}}),
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
        await app.send({"session_token": {"client_instance_token": TOKEN}})
        await app.stream.send_all(encode_frame({"send_message": MESSAGE | {"with_surb": False}}) + b"\xff\xff\xff\xff")
        assert await app.ends_within(1.0)
        assert len(bench.queues) == 1
        assert bench.sessions.away == 1


# -- the last message


async def test_the_shutdown_event_comes_last_after_what_was_held_back(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        bench.broadcast(NEWS)
        app.served.send_shutdown(framed(events.shutdown()))
        bench.nursery.cancel_scope.deadline = trio.current_time() + 0.1
        assert [await app.receive(), await app.receive()] == [NEWS, events.shutdown()]


async def test_an_application_that_was_not_greeted_hears_no_farewell(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bench.simple_greeter.seconds = 30.0
        app = bench.connect()
        await settle()
        app.served.send_shutdown(framed(events.shutdown()))
        assert await app.hears() == []
