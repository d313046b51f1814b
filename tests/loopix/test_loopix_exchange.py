"""Connections to nodes and to the directory: what they ask, and how long they wait."""

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from kpclientd.loopix import directory_client
from kpclientd.loopix import exchange as exchange_module
from kpclientd.loopix.directory_client import DirectoryClient
from kpclientd.loopix.errors import DirectoryError, ExchangeBroken, RegistrationError, Unreachable
from kpclientd.loopix.exchange import CONNECT_SECONDS, EXCHANGE_SECONDS, dial_tcp, exchange
from kpclientd.loopix.messages_pb2 import ProviderResponse
from kpclientd.loopix.nodes import MixConfig
from kpclientd.loopix.packet import COMM, TOKEN, general
from kpclientd.loopix.registration import token_of
from kpclientd.loopix.view import FETCH_SECONDS, NetworkView

Serve = Callable[[trio.abc.Stream], Awaitable[None]]


def node(port: int) -> MixConfig:
    return MixConfig("node", "127.0.0.1", str(port), bytes(32))


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def in_memory(serve: Serve, nursery: trio.Nursery) -> exchange_module.Dial:
    async def dial(host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(serve, theirs)
        return ours

    return dial


async def test_a_packet_arrives_in_one_read_and_the_whole_reply_comes_back() -> None:
    packet, reply = bytes(range(256)) * 4, bytes(300_000)
    reads: list[bytes] = []

    async def serve(stream: trio.abc.Stream) -> None:
        reads.append(bytes(await stream.receive_some(1024)))
        await stream.send_all(reply)
        await stream.aclose()

    async with listening(serve) as port:
        assert await exchange(dial_tcp, node(port), packet) == reply
    assert reads == [packet]


async def test_nobody_there_is_told_from_a_broken_connection() -> None:
    async def reset(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1)
        await trio.aclose_forcefully(stream)  # what is unread makes it a reset

    async with listening(reset) as port:
        with pytest.raises(ExchangeBroken):
            await exchange(dial_tcp, node(port), bytes(1024))
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} cannot be reached"):
        await exchange(dial_tcp, node(port), b"packet")


async def test_a_node_that_never_answers_is_not_waited_for(autojump_clock: trio.abc.Clock) -> None:
    async with trio.open_nursery() as nursery:

        async def silent(stream: trio.abc.Stream) -> None:
            await trio.sleep_forever()

        start = trio.current_time()
        with pytest.raises(ExchangeBroken, match="30 s"):
            await exchange(in_memory(silent, nursery), node(1), b"packet")
        assert trio.current_time() - start == pytest.approx(EXCHANGE_SECONDS)
        nursery.cancel_scope.cancel()


async def test_a_connection_that_does_not_come_about_is_not_waited_for(autojump_clock: trio.abc.Clock) -> None:
    async def dial(host: str, port: int) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise OSError(errno.ETIMEDOUT, "never")

    start = trio.current_time()
    with pytest.raises(Unreachable, match="10 s"):
        await exchange(dial, node(1), b"packet")
    assert trio.current_time() - start == pytest.approx(CONNECT_SECONDS)


async def test_a_reply_without_end_is_cut(autojump_clock: trio.abc.Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_module, "MAX_REPLY", 1000)
    async with trio.open_nursery() as nursery:

        async def flood(stream: trio.abc.Stream) -> None:
            await stream.send_all(bytes(1001))

        with pytest.raises(ExchangeBroken, match="more than 1000 bytes"):
            await exchange(in_memory(flood, nursery), node(1), b"packet")


@asynccontextmanager
async def answering(status: str, body: bytes, header: str = "") -> AsyncIterator[tuple[str, list[bytes]]]:
    """A directory that gives the same answer to all; its URL, and the requests it got."""
    requests: list[bytes] = []

    async def serve(stream: trio.abc.Stream) -> None:
        async with stream:
            requests.append(bytes(await stream.receive_some(65536)))
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{header}\r\n"
            with trio.move_on_after(5):
                try:
                    await stream.send_all(head.encode() + body)
                except trio.BrokenResourceError:
                    pass  # it read enough

    async with listening(serve) as port:
        yield f"http://127.0.0.1:{port}/api/presence/topology", requests


async def test_the_topology_is_asked_for_as_the_reference_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with answering("200 OK", b"{}") as (url, requests):
        assert await DirectoryClient(url).fetch() == b"{}"
    assert requests[0].startswith(b"GET /api/presence/topology HTTP/1.1\r\n")


async def test_other_statuses_and_lengths_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering("503 Service Unavailable", b"{}") as (url, _):
        with pytest.raises(DirectoryError, match="status 503, expected 200"):
            await DirectoryClient(url).fetch()
    monkeypatch.setattr(directory_client, "MAX_TOPOLOGY", 10)
    async with answering("200 OK", bytes(11)) as (url, _):
        with pytest.raises(DirectoryError, match="more than 10 bytes"):
            await DirectoryClient(url).fetch()


async def test_a_redirection_is_followed() -> None:
    async with (
        answering("200 OK", b'{"here": 1}') as (target, _),
        answering("302 Found", b"", f"Location: {target}\r\n") as (url, _),
    ):
        assert await DirectoryClient(url).fetch() == b'{"here": 1}'


async def test_a_directory_that_is_not_there_is_an_error() -> None:
    async with answering("200 OK", b"{}") as (url, _):
        pass
    with pytest.raises(DirectoryError, match="cannot be asked"):
        await DirectoryClient(url).fetch()


@pytest.mark.parametrize("url", ["", "topology", "ftp://localhost/", "http://", "http://[::1/", "http://a:99999999/"])
def test_what_is_no_url_of_a_directory_is_refused(url: str) -> None:
    with pytest.raises(DirectoryError):
        DirectoryClient(url)


async def test_a_silent_directory_is_not_waited_for(autojump_clock: trio.abc.Clock) -> None:
    async def silent() -> bytes:
        await trio.sleep_forever()
        return b""

    start = trio.current_time()
    with pytest.raises(DirectoryError, match="did not answer within 10 s"):
        await NetworkView(silent).refresh()
    assert trio.current_time() - start == pytest.approx(FETCH_SECONDS)


def test_a_registration_is_answered_by_exactly_one_token() -> None:
    token = general(TOKEN, b"token")
    assert token_of(ProviderResponse(NumberOfPackets=7, Packets=[token]).SerializeToString()) == b"token"
    for packets in ([], [token, token], [general(COMM, b"token")], [general(TOKEN, b"")], [b"\xff"]):
        with pytest.raises(RegistrationError):
            token_of(ProviderResponse(NumberOfPackets=1, Packets=packets).SerializeToString())
    with pytest.raises(RegistrationError):
        token_of(b"\xff")
