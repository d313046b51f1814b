"""Who is at the other end of a socket: the user is known by Unix sockets and by TCP from this machine."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from kpclientd.thin.peer import peer_of, user_of

NOBODY = 65534


def connect_as_nobody(address: str | tuple[str, int], family: int, reading: int, writing: int) -> None:
    """Connect, and stay until the other end of the pipe is closed."""
    os.close(writing)
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.connect(address)
    os.read(reading, 1)


@asynccontextmanager
async def accepted(family: int, folder: Path, *, as_nobody: bool = False) -> AsyncIterator[trio.abc.Stream]:
    """What a listener of that family accepts, from this user or from another one."""
    address: str | tuple[str, int] = str(folder / "socket") if family == socket.AF_UNIX else ("127.0.0.1", 0)
    if family == socket.AF_INET6:
        address = ("::1", 0)
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind(address)
        listening.listen()
        address = listening.getsockname()[:2] if family != socket.AF_UNIX else address
        reading, writing = os.pipe()
        child = 0
        connection = None
        if as_nobody:
            folder.chmod(0o755)
            if isinstance(address, str):
                os.chmod(address, 0o666)  # noqa: PTH101
            child = os.fork()
            if not child:
                try:
                    connect_as_nobody(address, family, reading, writing)
                finally:
                    os._exit(0)
        else:
            connection = socket.create_connection(address) if isinstance(address, tuple) else _unix(address)
        theirs = listening.accept()[0]
        theirs.setblocking(False)
        try:
            yield trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
        finally:
            os.close(writing)
            os.close(reading)
            theirs.close()
            if connection is not None:
                connection.close()
            if child:
                os.waitpid(child, 0)


def _unix(address: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(address)
    return connection


FAMILIES = [socket.AF_UNIX, socket.AF_INET, socket.AF_INET6]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
async def test_the_same_user_is_known(family: int, tmp_path: Path) -> None:
    if family == socket.AF_INET6 and not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    async with accepted(family, tmp_path) as stream:
        assert user_of(stream) == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a while")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=lambda family: family.name)
async def test_another_user_is_known_too(family: int, tmp_path: Path) -> None:
    if family == socket.AF_INET6 and not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    async with accepted(family, tmp_path, as_nobody=True) as stream:
        assert user_of(stream) == NOBODY


async def test_of_other_streams_nobody_knows() -> None:
    ours, _ = trio.testing.memory_stream_pair()
    assert user_of(ours) is None
    assert peer_of(ours) is None


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
