"""Answers that lay unread in the socket of an application that was killed come again, each once; read ones do not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from arq import Operation
from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.thin.framing import LENGTH_BYTES
from tests.thin.applications import MESSAGE, TOKEN, App, Bench, Door, opened_door
from tests.thin.serving import decoded, until

KINDS = ["tcp", "unix"]


@asynccontextmanager
async def opened_socket(kind: str, folder: Path, **options: Any) -> AsyncIterator[tuple[Bench, Door]]:
    listen = ListenTcp("127.0.0.1", 0, "tcp4") if kind == "tcp" else ListenUnix(str(folder / "socket"))
    async with opened_door(listen, **options) as (bench, door):
        yield bench, door


async def messages_in_flight(bench: Bench, app: App, count: int) -> list[Operation]:
    """Messages of `app` that were sent, and told so; their replies may come."""
    for number in range(1, count + 1):
        fields = {"id": number.to_bytes(16, "big"), "surbid": number.to_bytes(16, "big"), "with_surb": True}
        await app.send({"send_message": MESSAGE | fields})
    await until(lambda: len(bench.queues) == count)
    operations = [bench.send_next() for _ in range(count)]
    for _ in range(count):
        sent = await app.receive()
        assert sent is not None
        assert "message_sent_event" in sent
    return operations


def reply(bench: Bench, operation: Operation, length: int = 200) -> None:
    assert operation.message_id is not None
    bench.reply_to(operation, operation.message_id + bytes(length))


def number_of(message: dict[str, Any] | None) -> int:
    assert message is not None
    body = message["message_reply_event"]
    assert body["payload"][:16] == body["message_id"]
    return int.from_bytes(body["message_id"], "big")


def unread_answers(app: App) -> int:
    """How many answers the daemon takes for unread."""
    return len(list(app.session.outbox.final()))


async def read_one(app: App) -> dict[str, Any]:
    """Take one message out of the socket, and not a byte more."""
    head = await read_exactly(app, LENGTH_BYTES)
    (message,) = decoded(head + await read_exactly(app, int.from_bytes(head, "big")))
    return message


async def read_exactly(app: App, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await app.stream.receive_some(count - len(data))
    return data


async def goes_no_further(app: App) -> None:
    """Let the daemon look so often that it would have written more, if it did."""
    looks = 0
    look = app.served._look

    def looking() -> int:
        nonlocal looks
        looks += 1
        return look()

    app.served._look = looking  # type: ignore[method-assign]
    await until(lambda: looks == 5)


async def until_unread(app: App, count: int) -> None:
    """Let the daemon find out that so many answers are unread, of all that it has for the application."""
    await until(lambda: unread_answers(app) == count)


async def kill(app: App) -> None:
    """The application ends in the midst of things; what lies in its socket is lost."""
    await trio.aclose_forcefully(app.stream)
    await until(lambda: app.is_ended)


async def resumed(bench: Bench, door: Door) -> App:
    app = await door.connect()
    await app.send({"session_token": {"client_instance_token": TOKEN}})
    assert (await read_one(app))["session_token_reply"]["resumed"]
    return app


async def hears_nothing_more(bench: Bench, app: App) -> bool:
    """Whether the next that comes is an event that is said only now."""
    bench.say(app, {"last": {}})
    return await app.receive() == {"last": {}}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [0, 1, 3, 5])
async def test_those_that_were_not_read_come_again_once_and_those_that_were_do_not(
    kind: str, read: int, tmp_path: Path
) -> None:
    async with opened_socket(kind, tmp_path) as (bench, door):
        app = await door.connect()
        await app.registered()
        operations = await messages_in_flight(bench, app, 5)
        sizes = []
        for operation in operations:
            before = app.session.outbox.bytes
            reply(bench, operation)
            sizes.append(app.session.outbox.bytes - before)
        await until(lambda: not len(app.session.outbox))  # all is written
        assert len(await read_exactly(app, sum(sizes[:read]))) == sum(sizes[:read])
        await until_unread(app, 5 - read)
        await kill(app)
        assert bench.sessions.away == 1
        again = await resumed(bench, door)
        assert [number_of(await again.receive()) for _ in range(5 - read)] == list(range(read + 1, 6))
        assert await hears_nothing_more(bench, again)
        await until_unread(again, 0)
        await kill(again)
        assert await hears_nothing_more(bench, await resumed(bench, door))


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_was_read_but_for_its_last_byte_comes_again_whole(kind: str, tmp_path: Path) -> None:
    async with opened_socket(kind, tmp_path) as (bench, door):
        app = await door.connect()
        await app.registered()
        first, second = await messages_in_flight(bench, app, 2)
        reply(bench, first)
        size = app.session.outbox.bytes
        reply(bench, second)
        await until(lambda: not len(app.session.outbox))
        await read_exactly(app, 2 * size - 1)
        await until_unread(app, 1)
        await kill(app)
        again = await resumed(bench, door)
        assert number_of(await again.receive()) == 2
        assert await hears_nothing_more(bench, again)


@pytest.mark.parametrize("kind", KINDS)
async def test_after_an_orderly_end_nothing_comes_again(kind: str, tmp_path: Path) -> None:
    async with opened_socket(kind, tmp_path) as (bench, door):
        app = await door.connect()
        await app.registered()
        for operation in await messages_in_flight(bench, app, 3):
            reply(bench, operation)
            number_of(await app.receive())
            # At once, before anybody has looked how much was read.
        await app.stream.aclose()
        await until(lambda: app.is_ended)
        assert bench.sessions.counts.answers_kept == 0
        assert await hears_nothing_more(bench, await resumed(bench, door))


@pytest.mark.parametrize("kind", KINDS)
async def test_answers_that_come_while_it_is_away_follow_those_that_were_not_read(kind: str, tmp_path: Path) -> None:
    async with opened_socket(kind, tmp_path) as (bench, door):
        app = await door.connect()
        await app.registered()
        operations = await messages_in_flight(bench, app, 4)
        reply(bench, operations[0])
        reply(bench, operations[1])
        await until(lambda: not len(app.session.outbox))
        await kill(app)
        reply(bench, operations[2])
        again = await door.connect()
        reply(bench, operations[3])
        assert (await again.registered())["resumed"]
        assert [number_of(await again.receive()) for _ in range(4)] == [1, 2, 3, 4]
        assert await hears_nothing_more(bench, again)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_replaced_connection_had_not_read_is_told_on_the_new_one(kind: str, tmp_path: Path) -> None:
    async with opened_socket(kind, tmp_path) as (bench, door):
        old = await door.connect()
        await old.registered()
        operations = await messages_in_flight(bench, old, 3)
        reply(bench, operations[0])
        assert number_of(await old.receive()) == 1
        await until_unread(old, 0)
        reply(bench, operations[1])
        reply(bench, operations[2])
        await until(lambda: not len(old.session.outbox))
        new = await resumed(bench, door)
        assert [number_of(await new.receive()) for _ in range(2)] == [2, 3]
        assert await hears_nothing_more(bench, new)


@pytest.mark.parametrize("kind", KINDS)
async def test_no_more_than_a_window_is_written_ahead_of_the_reader(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpclientd.thin.connection.WINDOW", 50_000)
    monkeypatch.setattr("kpclientd.thin.connection.WRITE_SIZE", 1)  # one answer at a time
    async with opened_socket(kind, tmp_path) as (bench, door):
        app = await door.connect()
        await app.registered()
        operations = await messages_in_flight(bench, app, 20)
        for operation in operations:
            reply(bench, operation, length=10_000)
        await until(lambda: len(app.session.outbox) == 15)
        await goes_no_further(app)
        assert len(app.session.outbox) == 15, "five of ten thousand bytes are more than a window"
        assert [number_of(await read_one(app)) for _ in range(2)] == [1, 2]
        await until(lambda: len(app.session.outbox) == 13)
        await goes_no_further(app)
        assert len(app.session.outbox) == 13
        await until_unread(app, 18)
        await kill(app)
        again = await resumed(bench, door)
        assert [number_of(await again.receive()) for _ in range(18)] == list(range(3, 21))
        assert await hears_nothing_more(bench, again)


@pytest.mark.parametrize("kind", KINDS)
async def test_over_many_deaths_every_answer_is_read_once(kind: str, tmp_path: Path) -> None:
    async with opened_socket(kind, tmp_path) as (bench, door):
        app = await door.connect()
        await app.registered()
        operations = await messages_in_flight(bench, app, 30)
        heard: list[int] = []
        for number, operation in enumerate(operations):
            reply(bench, operation, length=number * 100)
            if number % 4 == 3:
                heard.append(number_of(await read_one(app)))
                await until_unread(app, number + 1 - len(heard))
                await kill(app)
                app = await resumed(bench, door)
        while len(heard) < 30:
            heard.append(number_of(await read_one(app)))
        assert heard == list(range(1, 31))
        assert await hears_nothing_more(bench, app)


@pytest.mark.parametrize("kind", KINDS)
async def test_who_reads_nothing_while_more_waits_is_ended_and_loses_none_of_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpclientd.thin.connection.WINDOW", 5_000)
    monkeypatch.setattr("kpclientd.thin.connection.WRITE_SIZE", 1)  # one answer at a time: the others wait
    monkeypatch.setattr("kpclientd.thin.connection.READ_NOTHING_SECONDS", 0.05)
    async with opened_socket(kind, tmp_path) as (bench, door):
        app = await door.connect()
        await app.registered()
        for operation in await messages_in_flight(bench, app, 4):
            reply(bench, operation, length=6_000)
        await until(lambda: app.is_ended)
        assert bench.sessions.away == 1
        monkeypatch.undo()
        again = await resumed(bench, door)
        assert [number_of(await read_one(again)) for _ in range(4)] == [1, 2, 3, 4]
        assert await hears_nothing_more(bench, again)
