"""How a connection ends, and what stays of it: departures at any byte, takeovers, deadlines of frames, faults."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from kpclientd.thin.budget import FrameBudget
from kpclientd.thin.connection import FRAME_SECONDS, AppConnection
from kpclientd.thin.fields import Fields
from kpclientd.thin.framing import encode_frame
from kpclientd.thin.verbs.table import TABLE
from kpclientd.thin.verbs.verb import Caller, Verb
from tests.thin.applications import MESSAGE, TOKEN, Bench, answered, ask, opened
from tests.thin.serving import settle

KIBIBYTE = 1024


@pytest.mark.parametrize("partial", [b"", b"\x00\x00", encode_frame(ask())[:20]])
async def test_an_application_may_vanish_at_any_byte(partial: bytes, autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.stream.send_all(partial)
        await app.stream.aclose()
        await settle()
        assert app.is_ended
        assert (len(bench.sessions), len(bench.destroyed), bench.budget.held) == (0, 1, 0)


async def test_what_an_application_sent_before_it_left_is_still_served(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.registered()
        await app.send(*({"send_message": MESSAGE | {"with_surb": False}} for _ in range(100)))
        await app.stream.aclose()
        await settle()
        assert app.is_ended
        assert len(bench.queues) == 100


async def test_a_session_with_a_token_outlives_its_connection(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        first = await app.registered()
        await app.stream.aclose()
        await settle()
        assert (bench.sessions.away, bench.destroyed) == (1, [])
        again = await bench.connect().greeted()
        assert await again.registered() == {"app_id": first["app_id"], "resumed": True}


async def test_messages_sent_before_the_token_that_resumes_a_session_are_that_sessions(
    autojump_clock: MockClock,
) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        first = await app.registered()
        await app.stream.aclose()
        await settle()
        again = await bench.connect().greeted()
        await again.send({"send_message": MESSAGE | {"id": b"m" * 16, "with_surb": True, "surbid": b"s" * 16}})
        assert (await again.registered())["app_id"] == first["app_id"]
        operation = bench.send_next()
        assert operation.owner == first["app_id"]
        bench.reply_to(operation, b"answer")
        assert [next(iter(heard)) for heard in await again.hears()] == ["message_sent_event", "message_reply_event"]
        assert len(bench.destroyed) == 1


async def test_thin_close_ends_the_connection_without_a_word(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.registered()
        await app.send({"thin_close": {}}, ask())
        assert await app.hears() == []
        assert app.is_ended
        assert (len(bench.sessions), len(bench.destroyed)) == (0, 1)


async def test_a_connection_whose_session_was_taken_over_is_closed_and_the_new_one_served(
    autojump_clock: MockClock,
) -> None:
    async with opened() as bench:
        old = await bench.connect().greeted()
        await old.registered()
        new = await bench.connect().greeted()
        assert (await new.registered())["resumed"]
        assert await old.ends_within(1.0)
        await new.send(ask(1))
        assert [answered(message) for message in await new.hears()] == [1]


async def test_what_a_replaced_connection_had_sent_in_the_same_moment_is_not_served(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        old = await bench.connect().greeted()
        await old.registered()
        new = await bench.connect().greeted()
        await old.send({"thin_close": {}})
        await new.send({"session_token": {"client_instance_token": TOKEN}})
        await new.hears()
        await new.send(ask(1))
        assert [answered(message) for message in await new.hears()] == [1], "thin_close came first, or not at all"
        assert len(bench.sessions) == 1


async def test_after_a_replacement_the_rest_of_a_pipeline_is_dropped(autojump_clock: MockClock) -> None:
    taken_over: list[bool] = []

    async def take_over(caller: Caller, request: None) -> None:
        """Somebody else presents the token at this very moment."""
        other = caller.services.sessions.open(new.served)
        caller.services.sessions.register(other, TOKEN)
        taken_over.append(True)

    row = Verb("take_over", lambda fields: None, take_over)
    async with opened(table=(*TABLE, row)) as bench:
        old, new = await bench.connect().greeted(), await bench.connect().greeted()
        await old.registered()
        app_id = old.session.app_id
        await old.send({"take_over": {}}, {"thin_close": {}}, {"take_over": {}}, ask())
        assert await old.hears() == []
        assert old.is_ended
        assert taken_over == [True]
        session = bench.sessions.find(app_id)
        assert session is not None
        assert session.connection is new.served


# -- deadlines and budgets of frames


@pytest.mark.parametrize("sent", [1, 4, 5, 20])
async def test_a_frame_that_has_begun_is_waited_for_and_no_longer(sent: int, autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await trio.sleep(1000.0)
        await app.stream.send_all(encode_frame(ask())[:sent])
        await settle(FRAME_SECONDS - 0.1)
        assert not app.is_ended
        await settle(0.2)
        assert app.is_ended
        assert bench.budget.held == 0


async def test_a_frame_that_comes_drop_by_drop_has_one_deadline_from_its_first_byte(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        frame = encode_frame(ask())
        for place in range(12):
            await app.stream.send_all(frame[place : place + 1])
            await settle(FRAME_SECONDS / 10 - 0.01)
            assert app.is_ended == (place >= 10)
            if app.is_ended:
                return
        raise AssertionError("it was never ended")


async def test_each_frame_has_a_deadline_of_its_own(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        for number in range(5):
            frame = encode_frame(ask(number))
            await app.stream.send_all(frame[:10])
            await settle(FRAME_SECONDS - 1.0)
            await app.stream.send_all(frame[10:] + encode_frame(ask(number + 100))[:10])
            assert [answered(message) for message in await app.hears()] == [number]
            await settle(FRAME_SECONDS - 1.0)
            await app.stream.send_all(encode_frame(ask(number + 100))[10:])
            assert [answered(message) for message in await app.hears()] == [number + 100]
        await settle(10 * FRAME_SECONDS)
        assert not app.is_ended, "between frames nobody is waited for"


async def test_of_unfinished_frames_over_the_budget_the_one_that_began_first_is_ended(
    autojump_clock: MockClock,
) -> None:
    async with opened(budget=FrameBudget(300 * KIBIBYTE)) as bench:
        slow, fast = await bench.connect().greeted(), await bench.connect().greeted()
        long_frame = encode_frame({"send_message": {"payload": bytes(280 * KIBIBYTE)}})
        await slow.stream.send_all(long_frame[: 100 * KIBIBYTE])
        await settle(1.0)
        assert bench.budget.held == 100 * KIBIBYTE - 4
        await fast.stream.send_all(long_frame)
        await fast.send(ask(1))
        assert [answered(message) for message in await fast.hears()] == [1]
        assert (slow.is_ended, fast.is_ended) == (True, False)
        assert (bench.budget.held, bench.budget.ended) == (0, 1)


async def test_a_fast_sender_of_long_frames_is_never_ended_however_many_are_slow(autojump_clock: MockClock) -> None:
    async with opened(budget=FrameBudget(1000 * KIBIBYTE)) as bench:
        long_frame = encode_frame({"send_message": {"payload": bytes(900 * KIBIBYTE)}})
        fast = await bench.connect().greeted()
        slow = []
        for number in range(10):
            slow.append(await bench.connect().greeted())
            await slow[-1].stream.send_all(long_frame[: 60 * KIBIBYTE])
            await settle(0.1)
            await fast.stream.send_all(long_frame)
            await fast.send(ask(number))
            assert [answered(message) for message in await fast.hears()] == [number]
            assert bench.budget.held <= 1000 * KIBIBYTE
        assert not fast.is_ended
        assert bench.budget.ended == sum(app.is_ended for app in slow) >= 8


# -- faults


async def test_a_fault_in_serving_closes_the_socket_and_forgets_the_session(autojump_clock: MockClock) -> None:
    async def fail(caller: Caller, request: Any) -> None:
        raise RuntimeError("a fault of the daemon")

    def parse(fields: Fields) -> None:
        return None

    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, table=(Verb("fail", parse, fail),))
        ours, theirs = memory_stream_pair()
        await ours.send_all(encode_frame({"fail": {}}))
        connection = AppConnection(theirs, bench.services, bench.greeter, bench.turns, bench.budget, bench.table)
        with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a fault of the daemon"), flatten_subgroups=True):
            await connection.serve()
        assert len(bench.sessions) == 0
        while await ours.receive_some():
            pass
        other = await bench.connect().greeted()
        await other.send({"nothing": {}})
        await settle()
        assert not other.is_ended, "and the turn was given back"
        nursery.cancel_scope.cancel()
