"""The dialler over real sockets, and on a virtual clock where nobody answers."""

import socket
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from kpclientd.transports import UpstreamProxy
from kpclientd.transports.dialler import Dialler
from kpclientd.transports.errors import DialError
from sphinx.randomness import seeded
from tests.transports.conftest import Watch


def dialler(proxy: UpstreamProxy | None = None, *, hostnames_allowed: bool = False) -> Dialler:
    return Dialler(proxy or UpstreamProxy(), hostnames_allowed=hostnames_allowed, randomness=seeded(b"dialler"))


async def dial(*addresses: str, hostnames_allowed: bool = False) -> trio.abc.Stream:
    return await dialler(hostnames_allowed=hostnames_allowed).dial(addresses, isolation=b"gateway")


async def listener_at(host: str = "127.0.0.1") -> trio.SocketListener:
    (listener,) = await trio.open_tcp_listeners(0, host=host)
    return listener


def port_of(listener: trio.SocketListener) -> int:
    return int(listener.socket.getsockname()[1])


def refused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


class BlackHole:
    """A listener with a full backlog: what connects to it is neither accepted nor refused."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._waiting = []
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(self._listener.getsockname())
            self._waiting.append(waiting)

    def __enter__(self) -> str:
        return self.url

    def __exit__(self, *reason: object) -> None:
        for each in (self._listener, *self._waiting):
            each.close()


@pytest.mark.parametrize("scheme", ["tcp", "tcp4", "tcp6"])
async def test_a_stream_that_was_dialled_holds_nothing_back_and_notices_a_dead_peer(scheme: str) -> None:
    host = "::1" if scheme == "tcp6" else "127.0.0.1"
    listener = await listener_at(host)
    async with listener:
        stream = await dial(f"{scheme}://[{host}]:{port_of(listener)}")
        assert isinstance(stream, trio.SocketStream)
        async with stream, await listener.accept() as accepted:
            assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
            await stream.send_all(b"hello")
            assert await accepted.receive_some(5) == b"hello"


async def test_a_good_address_is_found_behind_black_holes_and_refusals() -> None:
    listener = await listener_at()
    with BlackHole() as one, BlackHole() as other:
        async with listener:
            good = f"tcp://127.0.0.1:{port_of(listener)}"
            stream = await dial(one, f"tcp://127.0.0.1:{refused_port()}", other, "tcp://a..b:1", good)
            async with stream, await listener.accept() as accepted:
                await stream.send_all(b"hello")
                assert await accepted.receive_some(5) == b"hello"


async def test_an_address_where_nobody_listens_is_told_with_the_systems_reason() -> None:
    urls = [f"tcp://127.0.0.1:{refused_port()}" for _ in range(2)]
    with pytest.raises(DialError, match=f"{urls[0]}, {urls[1]}: Connection refused") as caught:
        await dial(*urls)
    assert caught.value.is_refused


async def test_each_address_is_told_once_and_also_why_one_is_none() -> None:
    url = f"tcp://127.0.0.1:{refused_port()}"
    with pytest.raises(DialError) as caught:
        await dial(url, url, "tcp://a..b:1", "quic://192.0.2.1", "ws://192.0.2.1:1")
    text = str(caught.value)
    assert all(text.count(part) == 1 for part in (url, "tcp://a..b:1", "quic://192.0.2.1", "ws://192.0.2.1:1"))
    assert caught.value.is_refused


async def test_nothing_to_dial_is_told_and_not_called_refused() -> None:
    for addresses, text in (([], "there is no address"), (["tcp://a..b:1"], "no proper host name")):
        with pytest.raises(DialError, match=text) as caught:
            await dial(*addresses, hostnames_allowed=True)
        assert not caught.value.is_refused


class HoleSockets(trio.abc.SocketFactory):
    """Sockets whose connecting never ends, and a note of what was tried when."""

    def __init__(self) -> None:
        self.tried: list[tuple[float, object]] = []

    def socket(self, family: int = -1, type: int = -1, proto: int = -1) -> trio.socket.SocketType:  # noqa: A002
        real = trio.socket.from_stdlib_socket(socket.socket(family, type, proto))
        factory = self

        async def connect(address: object) -> None:
            factory.tried.append((trio.current_time(), address))
            await trio.sleep_forever()

        real.connect = connect  # type: ignore[method-assign]
        return real


async def test_who_does_not_answer_in_time_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    holes = HoleSockets()
    trio.socket.set_custom_socket_factory(holes)
    with pytest.raises(DialError) as caught:
        await dial("tcp://192.0.2.1:5", "tcp4://192.0.2.2:5", "tcp6://[2001:db8::1]:5")
    assert str(caught.value) == ("tcp://192.0.2.1:5, tcp4://192.0.2.2:5, tcp6://[2001:db8::1]:5: no answer within 10 s")
    assert not caught.value.is_refused
    assert trio.current_time() == 10.0
    expected = [(0.0, ("192.0.2.1", 5)), (0.25, ("192.0.2.2", 5)), (0.5, ("2001:db8::1", 5, 0, 0))]
    assert holes.tried == expected


async def test_a_document_with_thousands_of_addresses_opens_a_few_sockets(
    autojump_clock: trio.testing.MockClock,
) -> None:
    holes = HoleSockets()
    trio.socket.set_custom_socket_factory(holes)
    with pytest.raises(DialError):
        await dial(*(f"tcp://192.0.2.1:{port}" for port in range(1, 5000)))
    assert len(holes.tried) == 16


class Resolver(trio.abc.HostnameResolver):
    """Knows one name, and keeps what it was asked."""

    def __init__(self, addresses: Sequence[tuple[int, str]]) -> None:
        self.addresses = addresses
        self.asked: list[object] = []

    async def getaddrinfo(self, host: bytes | None, port: bytes | str | int | None, family: int = 0, *rest: int) -> Any:
        self.asked.append(host)
        found = [each for each in self.addresses if family in (socket.AF_UNSPEC, each[0])]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        tails: dict[int, tuple[int, ...]] = {socket.AF_INET: (), socket.AF_INET6: (0, 0)}
        return [(kind, socket.SOCK_STREAM, 6, "", (address, port, *tails[kind])) for kind, address in found]

    async def getnameinfo(self, *arguments: object) -> tuple[str, str]:
        raise NotImplementedError


async def test_a_name_out_of_a_document_never_reaches_a_resolver(watch: Watch) -> None:
    resolver = Resolver([(socket.AF_INET, "127.0.0.1")])
    trio.socket.set_custom_hostname_resolver(resolver)
    names = [f"{scheme}://gateway.example:1" for scheme in ("tcp", "tcp4", "tcp6", "quic")]
    with pytest.raises(DialError, match="which is not an IP literal"):
        await dial(*names, "onion://name.onion:1", "tcp://name.onion:1")
    assert resolver.asked == watch.resolved == watch.connected == []


@pytest.mark.parametrize(
    ("scheme", "tried"),
    [
        ("tcp", ["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
        ("tcp4", ["192.0.2.1", "192.0.2.2"]),
        ("tcp6", ["2001:db8::1"]),
    ],
)
async def test_all_addresses_of_a_name_are_raced_of_the_family_that_the_scheme_names(
    autojump_clock: trio.testing.MockClock, scheme: str, tried: list[str]
) -> None:
    holes = HoleSockets()
    known = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"), (socket.AF_INET, "192.0.2.2")]
    resolver = Resolver(known)
    trio.socket.set_custom_hostname_resolver(resolver)
    trio.socket.set_custom_socket_factory(holes)
    with pytest.raises(DialError, match="no answer within 10 s"):
        await dial(f"{scheme}://gateway.example:5", hostnames_allowed=True)
    assert resolver.asked == [b"gateway.example"]
    assert [address[0] for _, address in holes.tried if isinstance(address, tuple)] == tried


async def test_of_a_name_with_hundreds_of_addresses_a_few_are_tried(autojump_clock: trio.testing.MockClock) -> None:
    holes = HoleSockets()
    trio.socket.set_custom_hostname_resolver(Resolver([(socket.AF_INET, f"192.0.2.{i}") for i in range(200)]))
    trio.socket.set_custom_socket_factory(holes)
    with pytest.raises(DialError):
        await dial("tcp://gateway.example:5", hostnames_allowed=True)
    assert len(holes.tried) == 8


async def test_a_literal_is_parsed_and_given_to_no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def getaddrinfo(host: str, *rest: object, flags: int) -> list[object]:
        asked.append((host, bool(flags & socket.AI_NUMERICHOST)))
        return []

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    for url in ("tcp://192.0.2.1:1", "tcp://[2001:db8::1]:1", "tcp://gateway.example:1"):
        with pytest.raises(DialError):
            await dial(url, hostnames_allowed=True)
    assert asked == [("192.0.2.1", True), ("2001:db8::1", True), ("gateway.example", False)]


async def test_an_unknown_name_is_told() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver([]))
    with pytest.raises(DialError, match="cannot be resolved: Name or service not known"):
        await dial("tcp://gateway.example:5", hostnames_allowed=True)


@pytest.mark.parametrize("kind", ["http", "socks4", "SOCKS5", ""])
def test_a_proxy_of_an_unknown_type_lets_nothing_leave(kind: str) -> None:
    with pytest.raises(DialError, match="unknown type"):
        dialler(UpstreamProxy(kind, "tcp", "127.0.0.1:1"))


@pytest.mark.parametrize(
    ("url", "by"),
    [
        ("tcp://192.0.2.1:1", ("none", "socks5", "tor+socks5")),
        ("quic://192.0.2.1:1", ("none",)),
        ("onion://name.onion:1", ("tor+socks5",)),
        ("ws://192.0.2.1:1", ()),
        ("tcp://gateway.example:1", ()),
        ("tcp://a..b:1", ()),
    ],
)
def test_what_can_be_dialled_is_known_beforehand(url: str, by: tuple[str, ...], watch: Watch) -> None:
    able = [
        kind
        for kind in ("none", "socks5", "tor+socks5")
        if dialler(UpstreamProxy(kind, "tcp", "127.0.0.1:1")).can_dial(url)
    ]
    assert able == list(by)
    assert (dialler().fault_of(url) is None) == ("none" in by)
    assert watch.resolved == watch.connected == []


async def test_no_descriptors_left_is_told_like_any_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*arguments: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(trio.socket, "socket", exhausted)
    with pytest.raises(DialError, match="Too many open files"):
        await dial("tcp://192.0.2.1:1")


async def test_the_watch_sees_what_it_is_for(watch: Watch) -> None:
    listener = await listener_at()
    async with listener, await dial(f"tcp4://127.0.0.1:{port_of(listener)}"):
        assert watch.connected == [("127.0.0.1", port_of(listener))]
    with pytest.raises(DialError):  # whether or not this machine knows that name
        await dial(f"tcp4://localhost:{refused_port()}", hostnames_allowed=True)
    assert "localhost" in [host.decode() if isinstance(host, bytes) else host for host in watch.resolved]
