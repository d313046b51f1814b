"""The sockets for applications: real ones, on the loopback and in a directory of the test's own."""

import errno
import grp
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from kpclientd.config.model import ListenTcp, ListenUnix, ListenWebSocket
from kpclientd.thin.errors import ListenError
from kpclientd.thin.listener import AppListener, open_listeners

LOOPBACK = "127.0.0.1"
DEADLINE = 10.0


async def greet(listener: AppListener, stream: trio.abc.Stream) -> trio.SocketStream:
    """Accept the connection of `stream` and carry a word over it."""
    with trio.fail_after(DEADLINE):
        accepted = await listener.accept()
        await stream.send_all(b"hello")
        assert await accepted.receive_some(16) == b"hello"
    assert isinstance(accepted, trio.SocketStream)
    return accepted


async def dial_unix(listen: ListenUnix) -> trio.abc.Stream:
    return await trio.open_unix_socket(listen.socket_address)


def leave_stale_socket(path: Path) -> None:
    """What a daemon leaves that was killed."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kpclientd.sock"


async def test_applications_come_by_tcp_and_small_frames_are_not_held_back() -> None:
    async with open_listeners((ListenTcp(LOOPBACK, 0, "tcp"),)) as (listener,):
        host, port = listener.socket.getsockname()[:2]
        assert host == LOOPBACK
        async with await trio.open_tcp_stream(host, port) as stream, await greet(listener, stream) as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_tcp_port_is_free_again_afterwards() -> None:
    async with open_listeners((ListenTcp(LOOPBACK, 0, "tcp4"),)) as (listener,):
        port = listener.socket.getsockname()[1]
    async with open_listeners((ListenTcp(LOOPBACK, port, "tcp4"),)) as (listener,):
        assert listener.socket.getsockname()[1] == port


async def test_a_tcp_port_that_is_taken_is_named_and_nothing_stays_open() -> None:
    async with open_listeners((ListenTcp(LOOPBACK, 0, "tcp4"),)) as (listener,):
        port = listener.socket.getsockname()[1]
        with pytest.raises(ListenError, match=f"tcp {LOOPBACK}:{port}: Address already in use"):
            async with open_listeners((ListenTcp(LOOPBACK, port, "tcp4"),)):
                pass


@pytest.mark.parametrize(("host", "network"), [("::1", "tcp4"), (LOOPBACK, "tcp6")])
async def test_an_address_of_the_other_family_is_refused(host: str, network: str) -> None:
    with pytest.raises(ListenError, match="cannot listen on tcp"):
        async with open_listeners((ListenTcp(host, 0, network),)):
            pass


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
async def test_without_ipv6_every_interface_is_that_of_ipv4(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    make = trio.socket.socket

    def without_ipv6(family: int, *more: int) -> object:
        if family == socket.AF_INET6:
            raise OSError(number, os.strerror(number))
        return make(family, *more)

    monkeypatch.setattr(trio.socket, "socket", without_ipv6)
    async with open_listeners([ListenTcp("", 0, "tcp")]) as listeners:
        (listener,) = listeners
        assert listener.socket.family == socket.AF_INET
    with pytest.raises(ListenError, match=os.strerror(number)):
        async with open_listeners([ListenTcp("::1", 0, "tcp")]):
            pytest.fail("there is no such family")


async def test_a_unix_socket_is_its_owners_alone_and_its_file_goes_at_the_end(path: Path) -> None:
    listen = ListenUnix(str(path))
    async with open_listeners((listen,)) as (listener,):
        mode = path.lstat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
        async with await dial_unix(listen) as stream, await greet(listener, stream):
            pass
    assert not path.exists()


async def test_binding_leaves_the_processs_umask_as_it_was(path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with open_listeners((ListenUnix(str(path)),)):
            pass
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


async def test_the_socket_file_goes_when_serving_fails_too(path: Path) -> None:
    with pytest.raises(RuntimeError):
        async with open_listeners((ListenUnix(str(path)),)):
            raise RuntimeError("a fault of the daemon")
    assert not path.exists()


async def test_a_socket_file_left_by_a_daemon_that_died_is_replaced(path: Path) -> None:
    leave_stale_socket(path)
    listen = ListenUnix(str(path))
    async with (
        open_listeners((listen,)) as (listener,),
        await dial_unix(listen) as stream,
        await greet(listener, stream),
    ):
        pass


async def test_a_socket_that_another_daemon_listens_on_is_refused_and_left_alone(path: Path) -> None:
    listen = ListenUnix(str(path))
    async with open_listeners((listen,)) as (listener,):
        with pytest.raises(ListenError, match="another daemon listens there"):
            async with open_listeners((listen,)):
                pass
        async with await dial_unix(listen) as stream:
            await (await listener.accept()).aclose()  # the probe of the second daemon
            async with await greet(listener, stream):
                pass


async def test_a_file_that_is_no_socket_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ListenError, match="something that is no socket is in its place"):
        async with open_listeners((ListenUnix(str(path)),)):
            pass
    assert path.read_text() == "precious"


async def test_a_directory_that_is_not_there_is_told(path: Path) -> None:
    missing = path.parent / "missing" / "kpclientd.sock"
    with pytest.raises(ListenError, match=f"unix {missing}: No such file or directory"):
        async with open_listeners((ListenUnix(str(missing)),)):
            pass


async def test_an_abstract_socket_has_a_name_and_no_file(path: Path) -> None:
    listen = ListenUnix(f"@{path}")
    async with open_listeners((listen,)) as (listener,):
        assert not path.exists()
        async with await dial_unix(listen) as stream, await greet(listener, stream):
            pass
        with pytest.raises(ListenError, match="another daemon listens there"):
            async with open_listeners((listen,)):
                pass
    assert not path.exists()


async def test_listeners_of_all_kinds_stand_side_by_side_and_each_is_said(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    listens = (
        ListenUnix(str(path)),
        ListenUnix(f"@{path}"),
        ListenTcp(LOOPBACK, 0, "tcp"),
        ListenWebSocket(LOOPBACK, 0),
    )
    async with open_listeners(listens) as (unix, abstract, tcp, websocket):
        for listen, listener in zip(listens[:2], (unix, abstract), strict=True):
            assert isinstance(listen, ListenUnix)
            async with await dial_unix(listen) as stream, await greet(listener, stream):
                pass
        async with await trio.open_tcp_stream(*tcp.socket.getsockname()[:2]) as stream, await greet(tcp, stream):
            pass
        ports = [listener.socket.getsockname()[1] for listener in (tcp, websocket)]
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"Listening on unix {path}.",
        f"Listening on unix @{path}.",
        f"Listening on tcp {LOOPBACK}:{ports[0]}.",
        f"Listening on WebSocket {LOOPBACK}:{ports[1]}.",
    ]
    assert not path.exists()


async def test_one_that_cannot_be_bound_closes_the_others(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "nowhere" / "socket"
    with pytest.raises(ListenError, match=str(other)):
        async with open_listeners((ListenUnix(str(path)), ListenUnix(str(other)))):
            pass
    assert not path.exists()


async def test_others_may_be_let_in_by_mode_and_group(path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    async with open_listeners((ListenUnix(str(path), 0o660, group),)):
        found = path.lstat()
        assert stat.S_IMODE(found.st_mode) == 0o660 and found.st_gid == os.getgid()


async def test_a_group_that_does_not_exist_is_told(path: Path) -> None:
    with pytest.raises(ListenError, match="there is no group 'nobody-has-this'"):
        async with open_listeners((ListenUnix(str(path), 0o660, "nobody-has-this"),)):
            pass
    assert not path.exists()


ANOTHER_DAEMON = """
import os, socket, sys
os.unlink(sys.argv[1])
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("ready", flush=True)
sys.stdin.read()
"""


async def test_a_daemon_that_stops_leaves_the_socket_of_one_that_replaced_it(path: Path) -> None:
    async with open_listeners((ListenUnix(str(path)),)):
        other = subprocess.Popen(
            [sys.executable, "-c", ANOTHER_DAEMON, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
    assert path.exists()
    other.communicate(b"")
