"""The unmodified `katzenpost-thinclient` from PyPI when its connection ends, or its daemon."""

import asyncio
import logging
import socket

import pytest

from kpclientd.state.written_page import page_of
from tests.interop.application import Client, until
from tests.interop.network import Running


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_cut_connection_is_resumed_and_every_answer_comes(
    running: Running, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with Client(running.thinclient(kind)) as here:
            wanted = {}
            for number in range(20):
                text = f"message {number}".encode()
                wanted[await here.send(text)] = [text]
            here.client.socket.shutdown(socket.SHUT_RDWR)
            await here.until_answered(len(wanted))
            assert here.replies == wanted
            assert len(here.daemons) == 1

    caplog.set_level(logging.INFO, "thinclient")
    asyncio.run(scenario())
    assert "resumed=True" in caplog.text
    assert "Received ShutdownEvent" not in caplog.text


def test_a_stopped_daemon_takes_leave_and_the_next_one_is_found(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        with running.another_daemon("restarted") as config:
            here = Client(config)
            await here.client.start(asyncio.get_running_loop())
            first = await here.send(b"to the first daemon")
            await here.until_answered(1)
        await until(lambda: "Received ShutdownEvent" in caplog.text)
        with running.another_daemon("restarted"):
            await until(lambda: len(here.daemons) == 2 and here.client.is_connected())
            second = await here.send(b"to the second")
            await here.until_answered(2)
            assert here.replies == {first: [b"to the first daemon"], second: [b"to the second"]}
            here.client.stop()
            await asyncio.gather(here.client.task, return_exceptions=True)

    caplog.set_level(logging.INFO, "thinclient")
    asyncio.run(scenario())
    assert "resumed=False" in caplog.text


def test_with_a_state_file_the_session_goes_on_with_the_next_daemon(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    more = f'\n[ARQ]\nStateFile = "{running.directory}/kept-state"\n'

    async def scenario() -> None:
        with running.another_daemon("kept", more) as config:
            here = Client(config)
            await here.client.start(asyncio.get_running_loop())
            wanted = {await here.send(b"answered"): [b"answered"]}
            await here.until_answered(1)
            for number in range(30):  # more than leave before the daemon does
                text = f"waits {number}".encode()
                wanted[await here.send(text)] = [text]
            await here.client.get_pki_document_raw()  # the daemon has read all of them
            answered = len(here.replies)
        with running.another_daemon("kept", more):
            await until(lambda: len(here.daemons) == 2 and here.client.is_connected())
            await here.until_answered(20)  # those that had left by then were plain messages, sent once
            assert all(here.replies[name] == wanted[name] for name in here.replies)
            assert answered < 20
            here.client.stop()
            await asyncio.gather(here.client.task, return_exceptions=True)

    caplog.set_level(logging.INFO, "thinclient")
    asyncio.run(scenario())
    assert "resumed=True" in caplog.text
    assert not page_of(running.directory / "kept-state").exists(), "nobody is left who might come back"
