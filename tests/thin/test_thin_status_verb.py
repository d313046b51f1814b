"""`daemon_status`: answered before the greeting too, whole to the operator alone."""

import pytest
from trio.testing import MockClock

from kpclientd.thin import events
from kpclientd.thin.connection import AppConnection
from tests.thin.applications import DOCUMENT, STATUS, answered, ask, opened

ASK: dict[str, object] = {"daemon_status": {}}


async def test_it_does_not_wait_for_a_document(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bench.simple_greeter.seconds = 30.0
        app = bench.connect()
        await app.send(ASK)
        await app.send(ASK)
        first, second = await app.hears(1.0)
        assert first["daemon_status_reply"]["error_code"] == events.SUCCESS
        assert second == first
        assert await app.hears(30.0) == [STATUS, DOCUMENT], "the greeting comes all the same"


async def test_requests_keep_their_order_where_one_of_them_could_be_early(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bench.simple_greeter.seconds = 30.0
        app = bench.connect()
        for request in (ASK, ask(1), ASK, ask(2)):
            await app.send(request)
        assert [list(message) for message in await app.hears(29.0)] == [["daemon_status_reply"]]
        heard = await app.hears(2.0)
        assert heard[:2] == [STATUS, DOCUMENT]
        assert answered(heard[2]) == 1
        assert "daemon_status_reply" in heard[3]
        assert answered(heard[4]) == 2


async def test_garbage_before_the_greeting_ends_the_connection(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        bench.simple_greeter.seconds = 30.0
        app = bench.connect()
        await app.stream.send_all(b"\x00\x00\x00\x01\xff")
        assert await app.ends_within(1.0)


@pytest.mark.parametrize("is_operator", [True, False])
async def test_only_who_runs_the_daemon_is_told_of_applications(
    is_operator: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AppConnection, "is_operator", lambda self: is_operator)
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.send(ASK)
        (message,) = await app.hears()
        reply = message["daemon_status_reply"]
        assert reply["is_whole"] is reply["status"]["is_whole"] is is_operator
        assert reply["status"]["asks"] == next(iter(bench.sessions)).app_id


async def test_a_bad_query_id_is_refused(autojump_clock: MockClock) -> None:
    async with opened() as bench:
        app = await bench.connect().greeted()
        await app.send({"daemon_status": {"query_id": b"short"}})
        (message,) = await app.hears()
        assert message["daemon_status_reply"]["error_code"] == events.INVALID_REQUEST
        assert message["daemon_status_reply"]["status"] == {}
