"""Applications that read slowly, or not at all: how long they are waited for, and that they hold up nobody."""

import trio
from trio.testing import MockClock, lockstep_stream_pair

from kpclientd.thin.connection import HIGH_WATER, READ_NOTHING_SECONDS
from kpclientd.thin.sessions import LARGE_OUTBOX, SessionBounds
from tests.thin.applications import NEWS, answered, ask, opened
from tests.thin.serving import settle


async def test_an_application_that_reads_nothing_for_a_minute_is_ended(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = bench.connect(lockstep_stream_pair)
        await app.greeted()
        begun = trio.current_time()
        bench.say(app, NEWS)
        await settle(READ_NOTHING_SECONDS - 1.0)
        assert not app.is_ended
        await settle(2.0)
        assert app.is_ended
        assert trio.current_time() - begun < READ_NOTHING_SECONDS + 2.0


async def test_an_application_that_reads_slowly_but_steadily_is_kept(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = bench.connect(lockstep_stream_pair)
        await app.greeted()
        for number in range(5):
            bench.say(app, {"news": {"number": number}})
            await settle(READ_NOTHING_SECONDS - 5.0)
            assert await app.receive() == {"news": {"number": number}}
        assert not app.is_ended


async def test_an_application_that_has_nothing_to_read_is_never_too_slow(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = bench.connect(lockstep_stream_pair)
        await app.greeted()
        await settle(100 * READ_NOTHING_SECONDS)
        bench.say(app, NEWS)
        assert await app.hears() == [NEWS]


async def test_requests_are_not_read_while_too_many_answers_wait_and_all_are_there_afterwards(
    autojump_clock: MockClock,
) -> None:
    async with opened() as bench:
        app = bench.connect(lockstep_stream_pair)
        await app.greeted()
        assert bench.document is not None
        size = len(bench.document.certificate)
        enough = 3 * HIGH_WATER // size
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for number in range(enough):
                await app.send(ask(number, epoch=0))
                sent += 1

        bench.nursery.start_soon(send_all)
        await settle(1.0)
        assert HIGH_WATER < app.session.outbox.bytes_waiting <= HIGH_WATER + 2 * size
        assert sent < enough / 2
        assert [answered(await app.receive()) for _ in range(enough)] == list(range(enough))


async def test_who_waits_for_its_reader_does_not_hold_the_turn(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        slow = bench.connect(lockstep_stream_pair)
        await slow.greeted()
        assert bench.document is not None
        for _ in range(2):
            bench.nursery.start_soon(slow.send, *(ask(0, epoch=0) for _ in range(2000)))
            await settle(0.1)
            if slow.session.outbox.bytes_waiting > HIGH_WATER:
                break
        assert slow.session.outbox.bytes_waiting > HIGH_WATER
        quick = await bench.connect().greeted()
        await quick.send(*(ask(number) for number in range(50)))
        assert [answered(message) for message in await quick.hears()] == list(range(50))


async def test_of_applications_that_leave_too_much_unread_the_worst_is_given_up(autojump_clock: MockClock) -> None:
    async with opened(bounds=SessionBounds(most_bytes_unread=4 * LARGE_OUTBOX)) as bench:
        slow, slower = bench.connect(lockstep_stream_pair), bench.connect(lockstep_stream_pair)
        for app in (slow, slower):
            await app.greeted()
        await settle(0.1)
        bench.say(slow, {"news": {"payload": bytes(LARGE_OUTBOX)}}, final=True)
        bench.say(slower, {"news": {"payload": bytes(LARGE_OUTBOX)}}, final=True)
        bench.say(slower, {"news": {"payload": bytes(LARGE_OUTBOX // 2)}}, final=True)
        await settle(0.1)
        assert not slow.is_ended
        assert not slower.is_ended
        bench.say(slow, {"news": {"payload": bytes(LARGE_OUTBOX)}}, final=True)
        bench.say(slower, {"news": {"payload": bytes(LARGE_OUTBOX)}}, final=True)
        await settle(0.1)
        assert (slow.is_ended, slower.is_ended) == (False, True)


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
