"""Echoes and other services by the library, over losses, breaks of the connection and a daemon that does not return."""

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from kpclientd.client import DaemonLostError, NoAnswerError, RefusedError, UnknownServiceError, connect
from kpclientd.client.client import client_by
from kpclientd.client.connection import DaemonUnreachableError, ThinClient
from kpclientd.config.model import ListenUnix
from sphinx.randomness import seeded
from tests.cli.scripted_daemon import Script, ScriptedDaemon, echoed
from tests.client.storing import Station
from tests.support.world import world


async def test_an_echo_brings_the_same_bytes_back_over_loss(autojump_clock: MockClock) -> None:
    async with world(is_watched=False) as here, Station(here, b"e" * 16).client() as client:
        assert client.is_online
        longest = bytes(range(250)) * 8
        assert client.longest_message == len(longest)
        assert await client.echo(longest) == longest
        assert await client.echo(b"") == b""
        here.network.faults.loss = 0.4
        answers: list[bytes] = []

        async def one(number: int) -> None:
            answers.append((await client.ask("echo", b"%d" % number, attempts=20)).rstrip(b"\0"))

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(one, number)
        assert sorted(answers) == [b"%d" % number for number in range(10)]


async def test_what_cannot_be_asked_is_told_with_the_reason(autojump_clock: MockClock) -> None:
    async with world(is_watched=False) as here, Station(here, b"e" * 16).client() as client:
        with pytest.raises(RefusedError, match="2001"):
            await client.echo(bytes(2001))
        with pytest.raises(UnknownServiceError, match=r"the network has .*echo"):
            await client.ask("oracle", b"?")
        here.network.faults.loss = 1.0
        with pytest.raises(NoAnswerError, match="asked 2 times"):
            await client.ask("echo", b"?", attempts=2)
        await client.send("echo", b"into the blue")


async def test_cuts_and_restarts_cost_no_answer(autojump_clock: MockClock) -> None:
    async with world(is_watched=False) as here:
        station = Station(here, b"e" * 16)
        async with station.client() as client, trio.open_nursery() as nursery:
            answers: list[bytes] = []

            async def one(number: int) -> None:
                answers.append(await client.echo(b"%d" % number))

            for number in range(12):
                nursery.start_soon(one, number)
                await trio.sleep(0.4)
                if number % 4 == 3:
                    await station.cut()
                if number == 6:
                    await here.restart()
        assert sorted(answers) == sorted(b"%d" % number for number in range(12))
        assert len(station.streams) >= 4


async def test_a_daemon_that_is_away_for_too_long_is_lost_to_all_who_wait(autojump_clock: MockClock) -> None:
    async with world(is_watched=False) as here:
        station = Station(here, b"e" * 16)
        is_gone = False

        async def dial() -> ThinClient:
            if is_gone:
                raise DaemonUnreachableError("no daemon listens there")
            return await station.dial()

        lost: list[str] = []
        async with client_by(dial, seeded(b"client"), patience=50.0) as client:

            async def one() -> None:
                with pytest.raises(DaemonLostError) as raised:
                    await client.echo(b"?")
                lost.append(str(raised.value))

            here.network.faults.loss = 1.0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one)
                nursery.start_soon(one)
                await trio.sleep(1)
                is_gone = True
                await trio.aclose_forcefully(station.streams[-1])
                await trio.sleep(10)
                assert not client.is_online
            await one()
            assert lost == ["the daemon is away for 50 s now: no daemon listens there"] * 3


async def test_who_asks_a_daemon_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachableError):
        async with connect(ListenUnix(str(tmp_path / "absent"))):
            pass


async def test_a_daemon_that_forgot_the_session_is_asked_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    def left_and_cut(request: dict[str, Any]) -> Script:
        if len(daemon.requests) > 2:
            return [(0, echoed(request))]
        sent = {"message_sent_event": {"surbid": request["surbid"], "sent_at": 0, "reply_eta": 10**9}}
        return [(0.1, sent), (0.2, None)]

    daemon = ScriptedDaemon(scripts=[left_and_cut])
    async with daemon.listening(tmp_path) as address, connect(address) as client:
        assert await client.echo(b"hello") == b"hello"
    asked = [request for request in daemon.requests if "send_message" in request]
    assert len(asked) == 2  # this daemon had forgotten the session, and with it the message
