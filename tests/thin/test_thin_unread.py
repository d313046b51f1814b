"""How much of what was written lies unread: asked of the kernel, for real sockets on this machine."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import memory_stream_pair

from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.thin.listener import open_listeners
from kpclientd.thin.unread import Unread, unread_of
from tests.thin.serving import until

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="only Linux tells how much is unread")

KINDS = ["tcp4", "tcp6", "unix", "abstract"]


@asynccontextmanager
async def pair(kind: str, folder: Path) -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    """The daemon's end and the application's."""
    if kind.startswith("tcp"):
        listen: ListenTcp | ListenUnix = ListenTcp("::1" if kind == "tcp6" else "127.0.0.1", 0, kind)
    else:
        listen = ListenUnix(f"{'@' if kind == 'abstract' else ''}{folder / 'socket'}")
    async with open_listeners((listen,)) as (listener,):
        assert isinstance(listener, trio.SocketListener)
        if isinstance(listen, ListenUnix):
            theirs = await trio.open_unix_socket(listen.socket_address)
        else:
            theirs = await trio.open_tcp_stream(*listener.socket.getsockname()[:2])
        ours = await listener.accept()
        async with ours, theirs:
            yield ours, theirs


async def settled(unread: Unread, written: int, expected: int) -> int | None:
    """What is unread once it has come as far as it goes."""
    await until(lambda: unread(written) == expected)
    for _ in range(20):
        await trio.lowlevel.checkpoint()
    return unread(written)


async def read_exactly(stream: trio.abc.ReceiveStream, count: int) -> None:
    while count:
        data = await stream.receive_some(count)
        assert data
        count -= len(data)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_written_and_not_read_is_counted_to_the_byte(kind: str, tmp_path: Path) -> None:
    async with pair(kind, tmp_path) as (ours, theirs):
        unread = unread_of(ours)
        assert unread(0) == 0
        await ours.send_all(bytes(1000))
        assert await settled(unread, 1000, 1000) == 1000
        left = 1000
        for count in (1, 99, 400):
            await read_exactly(theirs, count)
            left -= count
            assert await settled(unread, 1000, left) == left
        await ours.send_all(bytes(77))
        assert await settled(unread, 1077, left + 77) == left + 77
        await read_exactly(theirs, left + 77)
        assert await settled(unread, 1077, 0) == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_more_than_the_reader_has_room_for_is_counted_too(kind: str, tmp_path: Path) -> None:
    async with pair(kind, tmp_path) as (ours, theirs):
        unread, written = unread_of(ours), 0
        try:
            while True:
                written += ours.socket._sock.send(bytes(65_536), socket.MSG_DONTWAIT)  # type: ignore[attr-defined]
        except BlockingIOError:
            pass
        assert written > 100_000
        assert await settled(unread, written, written) == written
        await read_exactly(theirs, 50_000)
        assert await settled(unread, written, written - 50_000) == written - 50_000
        await read_exactly(theirs, written - 50_000)
        assert await settled(unread, written, 0) == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_what_the_reader_writes_is_no_part_of_it(kind: str, tmp_path: Path) -> None:
    async with pair(kind, tmp_path) as (ours, theirs):
        unread = unread_of(ours)
        await theirs.send_all(bytes(5000))
        await ours.send_all(bytes(300))
        assert await settled(unread, 300, 300) == 300
        await read_exactly(ours, 5000)
        assert unread(300) == 300


@pytest.mark.parametrize("kind", KINDS)
async def test_connections_are_told_apart(kind: str, tmp_path: Path) -> None:
    async with pair(kind, tmp_path) as (ours, _):
        (tmp_path / "other").mkdir()
        async with pair(kind, tmp_path / "other") as (other, _):
            await ours.send_all(bytes(10))
            await other.send_all(bytes(20))
            assert await settled(unread_of(ours), 10, 10) == 10
            assert await settled(unread_of(other), 20, 20) == 20


@pytest.mark.parametrize("kind", KINDS)
async def test_of_a_reader_that_is_gone_nothing_is_known(kind: str, tmp_path: Path) -> None:
    async with pair(kind, tmp_path) as (ours, theirs):
        unread = unread_of(ours)
        await ours.send_all(bytes(10))
        assert await settled(unread, 10, 10) == 10
        await theirs.aclose()
        await until(lambda: unread(10) is None)
        assert unread(10) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_asking_leaves_no_descriptor_open(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with pair(kind, tmp_path) as (ours, _):
        unread = unread_of(ours)
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            unread(0)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_of_a_stream_in_memory_nobody_knows() -> None:
    ours, _ = memory_stream_pair()
    unread = unread_of(ours)
    await ours.send_all(bytes(10))
    assert unread(10) is None


async def test_where_the_kernel_cannot_be_asked_nobody_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make: Callable[..., socket.socket] = socket.socket

    def refusing(family: int = -1, *arguments: int, **options: int) -> socket.socket:
        if family == socket.AF_NETLINK:
            raise PermissionError("no netlink here")
        return make(family, *arguments, **options)

    for kind in ("tcp4", "unix"):
        async with pair(kind, tmp_path) as (ours, _):
            with monkeypatch.context() as patch:
                patch.setattr("kpclientd.thin.unread.socket.socket", refusing)
                assert unread_of(ours)(0) is None


async def test_without_netlink_nobody_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with pair("tcp4", tmp_path) as (ours, _):
        monkeypatch.delattr("kpclientd.thin.unread.socket.AF_NETLINK")
        assert unread_of(ours)(0) is None
