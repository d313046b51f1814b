"""Slow verbs: answers keep the order of requests, nobody waits for another's, and work ends with its connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock

from kpclientd.thin.connection import FRAME_SECONDS, READ_AHEAD
from kpclientd.thin.fields import Fields
from kpclientd.thin.framing import encode_frame
from kpclientd.thin.verbs.table import TABLE
from kpclientd.thin.verbs.verb import Caller, Verb
from kpclientd.thin.workers import Workers
from tests.thin.applications import TOKEN, App, Bench, answered, ask, opened
from tests.thin.serving import settle, until


class SlowWork:
    """A verb whose work ends when a test says so."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.fails = False
        self._may_end: dict[int, trio.Event] = {}
        self.row = Verb("slow", self._parse, self._handle, "slow_reply", frozenset({0}), is_slow=True)

    def let_end(self, number: int) -> None:
        self._may_end.setdefault(number, trio.Event()).set()

    def _parse(self, fields: Fields) -> int:
        return fields.unsigned("number")

    async def _handle(self, caller: Caller, number: int) -> dict[str, Any]:
        self.begun.append(number)
        try:
            await self._may_end.setdefault(number, trio.Event()).wait()
        except trio.Cancelled:
            self.cancelled.append(number)
            raise
        self.ended.append(number)
        if self.fails:
            raise RuntimeError("a fault in slow work")
        return {"number": number, "error_code": 0}


def slow(number: int) -> dict[str, Any]:
    return {"slow": {"number": number}}


def order(heard: list[dict[str, Any]]) -> list[str]:
    """Which requests were answered, slow ones marked."""
    return [
        f"slow {message['slow_reply']['number']}" if "slow_reply" in message else str(answered(message))
        for message in heard
    ]


@asynccontextmanager
async def bench_with_slow_work(**options: Any) -> AsyncIterator[tuple[Bench, SlowWork]]:
    work = SlowWork()
    async with opened(table=(*TABLE, work.row), **options) as bench:
        yield bench, work


async def test_what_stands_behind_a_slow_request_waits_for_its_answer(autojump_clock: MockClock) -> None:
    async with bench_with_slow_work() as (bench, work):
        app = await bench.connect().greeted()
        await app.send(ask(1), slow(2), ask(3), slow(4), ask(5))
        assert order(await app.hears()) == ["1"]
        assert work.begun == [2]
        work.let_end(4)
        assert order(await app.hears()) == []
        work.let_end(2)
        assert order(await app.hears()) == ["slow 2", "3", "slow 4", "5"]
        assert work.begun == work.ended == [2, 4]


async def test_a_slow_request_of_one_application_holds_up_no_other(autojump_clock: MockClock) -> None:
    async with bench_with_slow_work() as (bench, work):
        busy, other = await bench.connect().greeted(), await bench.connect().greeted()
        await busy.send(slow(1))
        await other.send(*(ask(number) for number in range(50)))
        assert [answered(message) for message in await other.hears()] == list(range(50))
        assert work.ended == []
        work.let_end(1)
        assert order(await busy.hears()) == ["slow 1"]


async def test_events_are_told_while_slow_work_is_under_way(autojump_clock: MockClock) -> None:
    async with bench_with_slow_work() as (bench, _):
        app = await bench.connect().greeted()
        await app.send(slow(1))
        await settle()
        bench.say(app, {"event": {}})
        assert await app.hears() == [{"event": {}}]


async def test_an_application_that_leaves_takes_its_work_with_it(autojump_clock: MockClock) -> None:
    async with bench_with_slow_work() as (bench, work):
        app = await bench.connect().greeted()
        await app.send(slow(1), slow(2), ask(3))
        await settle()
        assert work.begun == [1]
        await app.stream.aclose()
        await settle()
        assert app.is_ended
        assert (work.begun, work.cancelled, work.ended) == ([1], [1], [])
        assert len(bench.sessions) == 0


async def test_a_connection_that_is_taken_over_takes_its_work_with_it(autojump_clock: MockClock) -> None:
    async with bench_with_slow_work() as (bench, work):
        old = await bench.connect().greeted()
        await old.registered()
        await old.send(slow(1), ask(2))
        await settle()
        new = await bench.connect().greeted()
        await new.registered()
        await settle()
        assert (old.is_ended, work.cancelled) == (True, [1])
        await new.send(ask(3))
        assert order(await new.hears()) == ["3"]


async def test_what_comes_meanwhile_is_read_ahead_up_to_a_limit_and_served_afterwards(
    autojump_clock: MockClock,
) -> None:
    async with bench_with_slow_work() as (bench, work):
        app = await bench.connect().greeted()
        await app.send(slow(0), *(ask(number) for number in range(1, 20_000)))
        await settle(1.0)
        assert READ_AHEAD <= bench.budget.held < READ_AHEAD + 70_000
        work.let_end(0)
        heard = [await app.receive() for _ in range(20_000)]
        assert order([message for message in heard if message]) == ["slow 0", *map(str, range(1, 20_000))]


async def test_a_whole_request_that_waits_behind_slow_work_is_no_unfinished_frame(autojump_clock: MockClock) -> None:
    async with bench_with_slow_work() as (bench, work):
        app = await bench.connect().greeted()
        await app.send(slow(1))
        await settle(1.0)
        await app.send(ask(2))
        await settle(2 * FRAME_SECONDS)
        assert not app.is_ended
        work.let_end(1)
        assert order(await app.hears()) == ["slow 1", "2"]


async def test_a_frame_that_begins_during_slow_work_has_a_deadline_all_the_same(autojump_clock: MockClock) -> None:
    async with bench_with_slow_work() as (bench, work):
        app = await bench.connect().greeted()
        await app.send(slow(1))
        await settle(1.0)
        await app.stream.send_all(encode_frame(ask(2))[:10])
        await settle(FRAME_SECONDS - 1.0)
        assert not app.is_ended
        await settle(2.0)
        assert app.is_ended
        assert work.cancelled == [1]


async def test_a_frame_that_begins_behind_whole_requests_has_a_deadline_too(autojump_clock: MockClock) -> None:
    async with bench_with_slow_work() as (bench, work):
        app = await bench.connect().greeted()
        await app.send(slow(1))
        await settle(1.0)
        await app.send(ask(2), ask(3))
        await settle(10 * FRAME_SECONDS)
        await app.stream.send_all(encode_frame(ask(4)) + encode_frame(ask(5))[:10])
        await settle(FRAME_SECONDS - 1.0)
        assert not app.is_ended
        await settle(2.0)
        assert app.is_ended
        assert work.cancelled == [1]


async def test_slow_work_before_a_token_answers_the_session_that_is_resumed(autojump_clock: MockClock) -> None:
    async with bench_with_slow_work() as (bench, work):
        first = await bench.connect().greeted()
        await first.registered()
        await first.stream.aclose()
        again = await bench.connect().greeted()
        await again.send(slow(1), {"session_token": {"client_instance_token": TOKEN}})
        await settle()
        work.let_end(1)
        heard = await again.hears()
        assert [next(iter(message)) for message in heard] == ["slow_reply", "session_token_reply"]
        assert heard[1]["session_token_reply"]["resumed"]


async def test_a_slow_request_that_came_with_the_end_of_its_connection_is_not_begun(autojump_clock: MockClock) -> None:
    async with bench_with_slow_work() as (bench, work):
        app = await bench.connect().greeted()
        await app.send(ask(1), slow(2))
        await app.stream.aclose()
        await settle()
        assert app.is_ended
        assert work.ended == []
        assert work.begun == work.cancelled


async def test_real_workers_serve_applications_fairly_and_in_their_order() -> None:
    def parse(fields: Fields) -> int:
        return fields.unsigned("number")

    async def handle(caller: Caller, number: int) -> dict[str, Any]:
        square = await caller.services.workers.run(caller.app_id, lambda: number * number)
        return {"number": square, "error_code": 0}

    row = Verb("slow", parse, handle, "slow_reply", frozenset({0}), is_slow=True)
    workers = Workers(threads=2)
    async with opened(table=(*TABLE, row), workers=workers) as bench:
        apps = [await bench.connect().greeted() for _ in range(3)]
        for app in apps:
            await app.send(*(slow(number) for number in range(20)), ask(7))
        for app in apps:
            heard = [await app.receive() for _ in range(21)]
            assert order([message for message in heard if message]) == [
                *(f"slow {number * number}" for number in range(20)),
                "7",
            ]
        assert (workers.done, workers.running, workers.waiting) == (60, 0, 0)


async def test_work_that_waits_for_a_thread_is_never_begun_when_its_application_leaves() -> None:
    begun: list[int] = []
    may_end = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def parse(fields: Fields) -> int:
        return fields.unsigned("number")

    async def handle(caller: Caller, number: int) -> dict[str, Any]:
        def work() -> None:
            begun.append(number)
            trio.from_thread.run(may_end.wait, trio_token=token)

        await caller.services.workers.run(caller.app_id, work)
        return {"number": number, "error_code": 0}

    row = Verb("slow", parse, handle, "slow_reply", frozenset({0}), is_slow=True)
    workers = Workers(threads=1)
    async with opened(table=(*TABLE, row), workers=workers) as bench:
        busy, leaving = await bench.connect().greeted(), await bench.connect().greeted()
        await busy.send(slow(1))
        await until(lambda: begun == [1])
        await leaving.send(slow(2))
        await until(lambda: workers.waiting == 1)
        await leaving.stream.aclose()
        await until(lambda: leaving.is_ended)
        may_end.set()
        assert await reply(busy) == "slow 1"
        await busy.send(slow(3))
        assert await reply(busy) == "slow 3"
        assert begun == [1, 3]


async def reply(app: App) -> str:
    message = await app.receive()
    assert message is not None
    return order([message])[0]
