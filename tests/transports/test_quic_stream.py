"""Streams over QUIC from trio: the contract of its streams, and real sockets."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from kpclientd.localnet import quic_listener
from kpclientd.localnet.quic_listener import QuicListener, open_quic_listener
from kpclientd.transports import UpstreamProxy
from kpclientd.transports.dialler import Dialler
from kpclientd.transports.errors import DialError
from kpclientd.transports.quic import QuicStream, _ConnectedSocket, connect_quic
from sphinx.randomness import seeded
from tests.transports.quic_pair import MemoryDatagrams, new_client, stream_pair


async def clogged_pair() -> tuple[QuicStream, QuicStream]:
    near, far = await stream_pair()
    for stream in (near, far):
        with trio.move_on_after(5):
            while True:
                await stream.send_all(bytes(65536))
    return near, far


async def test_it_keeps_the_contract_of_trios_streams(autojump_clock: trio.testing.MockClock) -> None:
    await trio.testing.check_half_closeable_stream(stream_pair, clogged_pair)


async def test_bytes_survive_a_network_that_loses_a_tenth(autojump_clock: trio.testing.MockClock) -> None:
    near, far = await stream_pair(loss=0.1)
    data = os.urandom(300_000)
    async with near, far, trio.open_nursery() as nursery:
        nursery.start_soon(near.send_all, data)
        nursery.start_soon(far.send_all, data)
        for stream in (near, far):
            received = b""
            while len(received) < len(data):
                received += await stream.receive_some()
            assert received == data


async def test_what_was_written_before_closing_still_arrives(autojump_clock: trio.testing.MockClock) -> None:
    near, far = await stream_pair(loss=0.2)
    data = os.urandom(100_000)
    await near.send_all(data)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.aclose)
        received = b""
        while more := await far.receive_some():
            received += more
    assert received == data
    await far.aclose()


async def test_a_dead_peer_breaks_the_stream_after_half_a_minute(autojump_clock: trio.testing.MockClock) -> None:
    near, far = await stream_pair()
    near._datagrams.other = None  # type: ignore[attr-defined]
    far._datagrams.other = None  # type: ignore[attr-defined]
    with pytest.raises(trio.BrokenResourceError, match="silent for 30 s"):
        await near.receive_some()
    with pytest.raises(trio.BrokenResourceError, match="silent for 30 s"):
        await near.send_all(b"anybody?")
    assert near._datagrams.is_closed  # type: ignore[attr-defined]
    await trio.aclose_forcefully(near)
    await trio.aclose_forcefully(far)


async def test_a_server_that_never_answers_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    stream = QuicStream(new_client(trio.current_time()), MemoryDatagrams(("192.0.2.1", 1)))
    with pytest.raises(DialError, match="silent for 30 s") as caught:
        await stream.wait_established()
    assert not caught.value.is_refused
    await stream.aclose()


async def test_a_dial_that_is_given_up_lingers_for_nobody(autojump_clock: trio.testing.MockClock) -> None:
    stream = QuicStream(new_client(trio.current_time()), MemoryDatagrams(("192.0.2.1", 1)))
    await stream.aclose()
    assert trio.current_time() == 0.0


@asynccontextmanager
async def echoing(listener: QuicListener) -> AsyncIterator[QuicListener]:
    async def echo(stream: QuicStream) -> None:
        async with stream:
            while data := await stream.receive_some():
                await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, echo, [listener])
        yield listener
        nursery.cancel_scope.cancel()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_gateway_is_dialled_over_quic() -> None:
    dialler = Dialler(UpstreamProxy(), hostnames_allowed=False, randomness=seeded(b"dialler"))
    async with echoing(await open_quic_listener()) as listener:
        stream = await dialler.dial([f"quic://127.0.0.1:{listener.port}"], isolation=b"gateway")
        data = os.urandom(1_000_000)
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, data)
            received = b""
            while len(received) < len(data):
                received += await stream.receive_some()
        assert received == data


async def test_many_streams_share_one_socket_and_leave_nothing_behind() -> None:
    async with echoing(await open_quic_listener(host="::1")) as listener:

        async def talk(word: bytes) -> None:
            async with await connect_quic("::1", listener.port) as stream:
                await stream.send_all(word)
                assert await stream.receive_some() == word

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(talk, b"%d" % number)
        with trio.fail_after(5):
            while listener.routes or listener.connections:
                await trio.sleep(0.01)


async def test_a_port_where_nobody_listens_refuses_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DialError, match="refused") as caught:
        await connect_quic("127.0.0.1", port)
    assert caught.value.is_refused


async def test_a_dial_that_is_called_off_closes_its_socket() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        before = descriptors()
        with trio.move_on_after(0.05) as scope:
            await connect_quic("127.0.0.1", silent.getsockname()[1])
        assert scope.cancelled_caught
        await trio.testing.wait_all_tasks_blocked()
        assert descriptors() == before


async def test_a_client_sends_to_nobody_but_the_one_it_dialled() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw,
    ):
        peer.bind(("127.0.0.1", 0))
        raw.connect(peer.getsockname())
        datagrams = _ConnectedSocket(raw, peer.getsockname())
        datagrams.send(b"to the address that the peer would prefer", ("127.0.0.1", 9))
        datagrams.send(b"to the peer", peer.getsockname())
        assert peer.recv(100) == b"to the peer"


async def test_a_connection_without_a_stream_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    autojump_clock.autojump_threshold = 0.05
    async with echoing(await open_quic_listener()) as listener:
        stream = await connect_quic("127.0.0.1", listener.port)
        with pytest.raises(trio.BrokenResourceError, match="the peer closed the connection"):
            await stream.receive_some()
        assert trio.current_time() >= 25.0
        await stream.aclose()
        assert not listener.connections


async def test_a_listener_has_room_for_so_many_and_again_once_one_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic_listener, "MOST_CONNECTIONS", 1)
    async with echoing(await open_quic_listener()) as listener:
        async with await connect_quic("127.0.0.1", listener.port) as first:
            await first.send_all(b"hello")
            assert await first.receive_some() == b"hello"
            with trio.move_on_after(0.3) as scope:
                await connect_quic("127.0.0.1", listener.port)
            assert scope.cancelled_caught
        with trio.fail_after(5):
            while listener.connections:
                await trio.sleep(0.01)
        await (await connect_quic("127.0.0.1", listener.port)).aclose()


async def test_junk_at_the_listener_is_ignored() -> None:
    async with echoing(await open_quic_listener()) as listener:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for junk in (
                b"",
                b"\0",
                os.urandom(1200),
                b"\xc0\0\0\0\1\x08" + bytes(1200),
                b"\xc3\0\0\0\1" + bytes(1300),
            ):
                sender.sendto(junk, listener.socket.getsockname())
            sender.sendto(
                b"\xc0\x1a\x2a\x3a\x4a\x08" + b"othernet" + b"\x08" + bytes(1300), listener.socket.getsockname()
            )
            sender.setblocking(False)
            with trio.fail_after(5):
                await trio.lowlevel.wait_readable(sender)
            answer = sender.recv(2000)
            assert answer[0] & 0x80
            assert answer[1:5] == bytes(4), "an unknown version is answered by a negotiation"
        async with await connect_quic("127.0.0.1", listener.port) as stream:
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"


async def test_a_closed_listener_accepts_nobody() -> None:
    listener = await open_quic_listener()
    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await listener.accept()

        nursery.start_soon(accept)
        await trio.testing.wait_all_tasks_blocked()
        await listener.aclose()
    await listener.aclose()
