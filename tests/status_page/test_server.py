"""The status page's server: whatever its clients do, it takes little, and the next one is served."""

import errno
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from kpclientd.status_page.server import (
    ACCEPTS_A_SECOND,
    BURST_SECONDS,
    CONNECTION_SECONDS,
    LINGER_SECONDS,
    MOST_CONNECTIONS,
    MOST_HEAD_BYTES,
    WebServer,
)
from kpclientd.status_page.site import Resource, Site
from tests.status_page.in_memory import Client, MemoryListener, answer

GET = b"GET /figures HTTP/1.1\r\nHost: localhost\r\n\r\n"
FIGURES = b"figures of the test"


async def figures() -> bytes:
    return FIGURES


async def fault() -> bytes:
    raise RuntimeError("a fault of the test")


@asynccontextmanager
async def served() -> AsyncIterator[MemoryListener]:
    site = Site({"/figures": Resource("text/plain", figures), "/fault": Resource("text/plain", fault)})
    listener = MemoryListener()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(WebServer(site, [listener]).run)
        yield listener
        nursery.cancel_scope.cancel()


async def ask(listener: MemoryListener, request: bytes = GET) -> bytes:
    client = listener.connect()
    await client.send_all(request)
    return await answer(client)


async def test_a_request_is_answered_and_the_connection_closed(autojump_clock: trio.abc.Clock) -> None:
    async with served() as listener:
        told = await ask(listener)
        assert told.startswith(b"HTTP/1.1 200 OK\r\n") and told.endswith(b"\r\n\r\n" + FIGURES)
        assert b"Content-Length: %d\r\n" % len(FIGURES) in told
        head = await ask(listener, GET.replace(b"GET", b"HEAD"))
        assert head == told.removesuffix(FIGURES)


async def test_what_follows_a_request_is_not_answered(autojump_clock: trio.abc.Clock) -> None:
    async with served() as listener:
        assert (await ask(listener, GET * 3)).count(FIGURES) == 1
        refused = await ask(
            listener, GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\nx")
        )
        assert refused.startswith(b"HTTP/1.1 405 ")


async def test_a_request_may_come_byte_by_byte(autojump_clock: trio.abc.Clock) -> None:
    async with served() as listener:
        client = listener.connect()
        for number in range(len(GET)):
            await client.send_all(GET[number : number + 1])
            await trio.sleep(0.01)
        assert FIGURES in await answer(client)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32 + b"\r\n\r\n", b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"421"),
        (b"GET /figures HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /figures HTTP/1.0\r\n\r\n", b"421"),
        (b"GET /figures HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", b"400"),
        (b"GET /figures HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * MOST_HEAD_BYTES * 2, b"431"),
        (b"GET /" + b"x" * MOST_HEAD_BYTES * 2, b"431"),
        (b"GET /figures HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", b"200"),
        (b"GET /figures HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", b"200"),
        (b"GET /figures HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff", b"200"),
    ],
)
async def test_what_is_no_plain_request_gets_a_plain_answer(
    autojump_clock: trio.abc.Clock, request_bytes: bytes, status: bytes
) -> None:
    async with served() as listener:
        told = await ask(listener, request_bytes)
        assert told.startswith(b"HTTP/1.1 " + status), told
        assert FIGURES in await ask(listener)


async def test_who_says_nothing_is_closed_in_time(autojump_clock: trio.abc.Clock) -> None:
    async with served() as listener:
        began = trio.current_time()
        silent, slow = listener.connect(), listener.connect()
        await slow.send_all(GET[:-1])
        assert await answer(silent) == await answer(slow) == b""
        assert trio.current_time() - began == pytest.approx(CONNECTION_SECONDS)


async def test_who_goes_on_sending_is_not_listened_to_for_long(autojump_clock: trio.abc.Clock) -> None:
    async with served() as listener:
        client = listener.connect()
        await client.send_all(GET)
        began = trio.current_time()
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await client.send_all(b"x" * 1000)
                await trio.sleep(0.01)
        assert trio.current_time() - began <= LINGER_SECONDS + 0.02


async def test_who_does_not_read_is_given_up(autojump_clock: trio.abc.Clock) -> None:
    async with served() as listener:
        client = listener.connect_without_buffers()
        began = trio.current_time()
        await client.send_all(GET)
        assert FIGURES in await ask(listener)
        await trio.sleep_until(began + CONNECTION_SECONDS + 0.1)
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"x")


async def test_a_newcomer_takes_the_place_of_the_oldest(autojump_clock: trio.abc.Clock) -> None:
    async with served() as listener:
        silent = [listener.connect() for _ in range(MOST_CONNECTIONS)]
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        assert FIGURES in await ask(listener)
        assert trio.current_time() == began
        assert await answer(silent[0]) == b""
        assert trio.current_time() == began
        await silent[1].send_all(GET)
        assert FIGURES in await answer(silent[1])


async def test_of_a_flood_only_some_are_let_in(autojump_clock: trio.abc.Clock) -> None:
    async with served() as listener:
        flood = [listener.connect() for _ in range(1000)]
        seconds = 3.0
        answered: list[Client] = []

        async def count(client: Client) -> None:
            try:
                await client.send_all(GET)
            except trio.BrokenResourceError:
                return  # a newcomer has its place
            if FIGURES in await answer(client):
                answered.append(client)

        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for client in flood:
                    nursery.start_soon(count, client)
        assert len(answered) <= (seconds + BURST_SECONDS) * ACCEPTS_A_SECOND + 1
        assert len(answered) >= (seconds - 0.1) * ACCEPTS_A_SECOND


async def test_a_lack_of_descriptors_passes(autojump_clock: trio.abc.Clock) -> None:
    async with served() as listener:
        listener.fail(OSError(errno.EMFILE, "Too many open files"))
        assert FIGURES in await ask(listener)


async def test_a_fault_of_the_daemon_concerns_only_who_asked(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as listener:
        assert await ask(listener, GET.replace(b"figures", b"fault")) == b""
        assert FIGURES in await ask(listener)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


class Steps(trio.abc.Instrument):
    """Counts the steps of tasks."""

    number = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.number += 1


async def test_nothing_wakes_while_nobody_asks(autojump_clock: trio.abc.Clock) -> None:
    async with served() as listener:
        assert FIGURES in await ask(listener)
        await trio.sleep(CONNECTION_SECONDS * 2)
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        await trio.sleep(86_400)
        trio.lowlevel.remove_instrument(steps)
    assert steps.number == 1  # this one, that slept
