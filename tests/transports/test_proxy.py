"""Streams through a proxy: what it sees, and that nothing is ever seen by anybody else."""

import math
import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from kpclientd.transports import UpstreamProxy
from kpclientd.transports.dialler import Dialler
from kpclientd.transports.errors import DialError
from sphinx.randomness import seeded
from tests.transports.conftest import Watch
from tests.transports.socks_server import SocksServer, listening

ONION = "a" * 56 + ".onion"
GRANTED = b"\5\0\0\1\0\0\0\0\0\0"


def dialler(proxy: UpstreamProxy, *, hostnames_allowed: bool = False) -> Dialler:
    return Dialler(proxy, hostnames_allowed=hostnames_allowed, randomness=seeded(b"dialler"))


def plain(server: SocksServer, user: str = "", password: str = "") -> UpstreamProxy:
    return UpstreamProxy("socks5", "tcp", server.address, user, password)


def tor(server: SocksServer, network: str = "tcp") -> UpstreamProxy:
    return UpstreamProxy("tor+socks5", network, server.address)


async def exchanged(stream: trio.abc.Stream, data: bytes) -> None:
    """Send `data` through the proxy's echo."""
    async with stream:
        await stream.send_all(data)
        received = b""
        while len(received) < len(data):
            received += await stream.receive_some()
        assert received == data


async def test_a_proxy_without_credentials_sees_these_bytes() -> None:
    async with listening(SocksServer()) as server:
        stream = await dialler(plain(server)).dial(["tcp://192.0.2.1:30004"], isolation=b"gateway")
        await exchanged(stream, b"hello")
        (seen,) = server.seen
    assert seen.greeting == b"\5\1\0"
    assert seen.authentication == b""
    assert seen.request == b"\5\1\0\1\xc0\0\2\1\x75\x34"
    assert seen.payload == b"hello"


async def test_a_proxy_with_credentials_sees_these_bytes() -> None:
    server = SocksServer(accounts={"älice".encode(): b"sesame"})
    async with listening(server):
        made = dialler(plain(server, "älice", "sesame"))
        await exchanged(await made.dial(["tcp6://[2001:db8::1]:1"], isolation=b"gateway"), b"hello")
        (seen,) = server.seen
    assert seen.greeting == b"\5\2\0\2"
    assert seen.request == b"\5\1\0\4\x20\1\x0d\xb8" + bytes(11) + b"\1\0\1"


async def test_wrong_credentials_are_told_and_in_no_message() -> None:
    server = SocksServer(accounts={})
    async with listening(server):
        with pytest.raises(DialError, match="did not accept the credentials") as caught:
            await dialler(plain(server, "alice", "sesame")).dial(["tcp://192.0.2.1:1"], isolation=b"gateway")
    assert "alice" not in str(caught.value)
    assert "sesame" not in str(caught.value)


async def test_names_go_to_the_proxy_as_they_are(watch: Watch, tmp_path: Path) -> None:
    async with listening(SocksServer(), tmp_path / "proxy") as server:
        made = dialler(UpstreamProxy("socks5", "unix", server.address), hostnames_allowed=True)
        await exchanged(await made.dial(["tcp://Gateway.Example:1"], isolation=b"gateway"), b"hello")
        (seen,) = server.seen
    assert seen.request == b"\5\1\0\3\x0fgateway.example\0\1"
    assert watch.resolved == []
    assert watch.connected == [server.address]


async def test_tor_gets_onion_names_and_a_user_for_each_gateway(watch: Watch, tmp_path: Path) -> None:
    async with listening(SocksServer(), tmp_path / "tor") as server:
        made = dialler(tor(server, "unix"))
        for gateway in (b"one", b"two", b"one"):
            stream = await made.dial([f"onion://{ONION}:30004"], isolation=gateway)
            await exchanged(stream, gateway)
        one, two, again = server.seen
    assert [each.greeting for each in server.seen] == [b"\5\1\2"] * 3
    assert one.request == b"\5\1\0\3\x3e" + ONION.encode() + b"\x75\x34"
    assert one.user == again.user != two.user
    assert all(each.user.startswith(b"katzenpost/client:") and each.password == b"\0" for each in server.seen)
    assert watch.resolved == []
    assert watch.connected == [server.address] * 3


async def test_a_gateway_whose_way_has_proved_bad_gets_another_circuit() -> None:
    server = SocksServer()
    async with listening(server):
        made = dialler(tor(server))
        for _ in range(2):
            await exchanged(await made.dial(["tcp://192.0.2.1:1"], isolation=b"gateway"), b"hello")
            made.renew(b"gateway")
    one, other = server.seen
    assert one.user != other.user


async def test_a_proxy_whose_socket_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DialError, match="No such file or directory") as caught:
        await dialler(UpstreamProxy("tor+socks5", "unix", str(tmp_path / "gone"))).dial(
            ["tcp://192.0.2.1:1"], isolation=b"gateway"
        )
    assert caught.value.is_refused


async def test_a_tor_that_would_not_keep_gateways_apart_is_not_used() -> None:
    server = SocksServer(method=0)
    async with listening(server):
        with pytest.raises(DialError, match="was not offered"):
            await dialler(tor(server)).dial([f"onion://{ONION}:1"], isolation=b"gateway")
    assert server.seen[0].request == b""


async def test_several_addresses_are_tried_side_by_side_through_the_proxy_too() -> None:
    def reply(request: bytes) -> bytes:
        return GRANTED if request.endswith(b"\0\2") else b"\5\5\0\1\0\0\0\0\0\0"

    server = SocksServer(reply=reply)
    async with listening(server):
        stream = await dialler(tor(server)).dial(["tcp://192.0.2.1:1", "tcp://192.0.2.2:2"], isolation=b"gateway")
        await exchanged(stream, b"hello")
        assert [seen.request[4:8] for seen in server.seen] == [b"\xc0\0\2\1", b"\xc0\0\2\2"]


async def test_what_the_far_end_says_at_once_is_not_lost() -> None:
    server = SocksServer(prefix=b"welcome")
    async with listening(server):
        stream = await dialler(plain(server)).dial(["tcp://192.0.2.1:1"], isolation=b"gateway")
        async with stream:
            assert await stream.receive_some() == b"welcome"


@pytest.mark.parametrize(
    ("answer", "text", "is_refused"),
    [
        (b"\5\5\0\1\0\0\0\0\0\0", "connection refused", True),
        (b"\5\4\0\1\0\0\0\0\0\0", "host unreachable", False),
        (b"\5\xf0\0\1\0\0\0\0\0\0", "descriptor was not found", False),
        (b"HTTP/1.1 400", "malformed", False),
    ],
)
async def test_what_a_proxy_says_of_a_gateway_is_told(answer: bytes, text: str, is_refused: bool) -> None:
    server = SocksServer(reply=lambda request: answer)
    async with listening(server):
        with pytest.raises(DialError, match=text) as caught:
            await dialler(plain(server)).dial(["tcp://192.0.2.1:1"], isolation=b"gateway")
    assert caught.value.is_refused == is_refused


async def test_a_proxy_that_hangs_up_is_told() -> None:
    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        await stream.aclose()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    proxy = UpstreamProxy("socks5", "tcp", f"127.0.0.1:{listener.socket.getsockname()[1]}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, hang_up, [listener])
        with pytest.raises(DialError, match=r"closed the connection|broke"):
            await dialler(proxy).dial(["tcp://192.0.2.1:1"], isolation=b"gateway")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("within", "server", "text"),
    [
        (math.inf, SocksServer(silent_after=3), "no answer within 30 s: the proxy at {} does not answer"),
        (15.0, SocksServer(silent_after=3), "no answer within 15 s: the proxy at {} does not answer"),
        (
            math.inf,
            SocksServer(reply=lambda _: b""),
            "no answer within 30 s: the proxy at {} was asked, and has not opened the stream",
        ),
    ],
)
async def test_a_silent_proxy_is_given_up_after_half_a_minute_or_what_time_there_is(
    within: float, server: SocksServer, text: str
) -> None:
    clock = trio.testing.MockClock(autojump_threshold=0.01)

    async def main() -> None:
        async with listening(server):
            with pytest.raises(DialError) as caught:
                await dialler(plain(server)).dial(["tcp://192.0.2.1:1"], isolation=b"gateway", within=within)
            assert trio.current_time() == pytest.approx(min(within, 30.0), abs=1.0)
            is_asked = "was asked" in text
            named = "tcp://192.0.2.1:1: " if is_asked else ""
            assert str(caught.value) == named + text.format(plain(server).address)
            assert caught.value.is_by_proxy is not is_asked

    await trio.to_thread.run_sync(lambda: trio.run(main, clock=clock))


async def test_where_the_proxy_is_down_it_is_told_and_not_each_address() -> None:
    proxy = UpstreamProxy("socks5", "tcp", f"127.0.0.1:{refused_port()}")
    with pytest.raises(DialError) as caught:
        await dialler(proxy).dial(["tcp://192.0.2.1:1", "tcp://192.0.2.2:1"], isolation=b"gateway")
    assert str(caught.value) == f"the proxy at {proxy.address} cannot be reached: Connection refused"
    assert caught.value.is_by_proxy and caught.value.is_refused


async def test_what_a_proxy_says_of_a_gateway_is_about_that_gateway() -> None:
    async with listening(SocksServer(reply=lambda _: b"\5\4\0\1" + bytes(6))) as server:
        with pytest.raises(DialError, match=r"192\.0\.2\.1:1: the proxy says: host unreachable") as caught:
            await dialler(plain(server)).dial(["tcp://192.0.2.1:1"], isolation=b"gateway")
    assert not caught.value.is_by_proxy


def refused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


EVERYTHING = [
    "tcp://127.0.0.1:{open}",
    "tcp4://127.0.0.1:{open}",
    "tcp6://[::1]:{open}",
    "quic://127.0.0.1:{open}",
    "onion://name.onion:{open}",
    "tcp://localhost:{open}",
    "ws://127.0.0.1:{open}",
]


@pytest.mark.parametrize("kind", ["socks5", "tor+socks5"])
@pytest.mark.parametrize("hostnames_allowed", [False, True])
@pytest.mark.parametrize(
    ("network", "address"),
    [("tcp", "127.0.0.1:{refused}"), ("unix", "{folder}/nobody"), ("tcp", "localhost:{open}"), ("tcp", "127.0.0.1")],
)
async def test_with_the_proxy_down_or_misconfigured_nothing_leaves(
    watch: Watch, tmp_path: Path, kind: str, hostnames_allowed: bool, network: str, address: str
) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        places = {"open": listener.socket.getsockname()[1], "refused": refused_port(), "folder": tmp_path}
        proxy = UpstreamProxy(kind, network, address.format(**places))
        made = dialler(proxy, hostnames_allowed=hostnames_allowed)
        with pytest.raises(DialError, match="the proxy at"):
            await made.dial([url.format(**places) for url in EVERYTHING], isolation=b"gateway")
    host, _, port = proxy.address.rpartition(":")
    to_proxy = (host, int(port)) if network == "tcp" and "refused" in address else proxy.address
    assert all(address == to_proxy for address in watch.connected)
    assert set(watch.resolved) <= {"127.0.0.1"}
