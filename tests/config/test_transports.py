"""The list of ways to a gateway, and the one of them that is dialled."""

import socket
from collections.abc import Callable

import pytest
import trio

from kpclientd.addresses import scheme_of
from kpclientd.config.peers import require_ip_url
from kpclientd.transports import (
    DIALLED_SCHEMES,
    PEER_SCHEMES,
    TCP_NETWORKS,
    TRANSPORTS,
    DialError,
    dial,
    dial_tcp,
)


def test_what_this_version_knows_and_dials() -> None:
    assert list(TRANSPORTS) == ["tcp", "tcp4", "tcp6", "quic", "ws", "onion"]
    assert TCP_NETWORKS == DIALLED_SCHEMES == ("tcp", "tcp4", "tcp6")
    assert PEER_SCHEMES == ("tcp", "tcp4", "tcp6", "quic", "onion")
    assert all(scheme == transport.scheme for scheme, transport in TRANSPORTS.items())


def test_only_names_that_tor_resolves_are_no_literals() -> None:
    require_ip_url("onion://name.onion")
    assert [scheme for scheme, transport in TRANSPORTS.items() if transport.resolved_elsewhere] == ["onion"]


@pytest.mark.parametrize(
    ("url", "scheme"), [("tcp://a:1", "tcp"), ("TCP4://a:1", "tcp4"), ("nowhere", "nowhere"), ("", "")]
)
def test_a_scheme_is_what_stands_first_in_lower_case(url: str, scheme: str) -> None:
    assert scheme_of(url) == scheme


@pytest.mark.parametrize("url", ["quic://127.0.0.1:1", "ws://127.0.0.1:1", "onion://a:1", "http://a:1", "nowhere", ""])
async def test_what_has_no_dialler_is_not_dialled(url: str) -> None:
    with pytest.raises(DialError, match="a scheme that this version does not dial"):
        await dial(url)


@pytest.mark.parametrize("scheme", DIALLED_SCHEMES)
async def test_a_stream_that_was_dialled_holds_nothing_back_and_notices_a_dead_peer(scheme: str) -> None:
    host = "::1" if scheme == "tcp6" else "127.0.0.1"
    (listener,) = await trio.open_tcp_listeners(0, host=host)
    async with listener:
        port = listener.socket.getsockname()[1]
        stream = await dial(f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}")
        assert isinstance(stream, trio.SocketStream)
        async with stream, await listener.accept() as accepted:
            assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            await stream.send_all(b"hello")
            assert await accepted.receive_some(5) == b"hello"


async def refused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


async def test_an_address_where_nobody_listens_is_told_with_the_systems_reason() -> None:
    url = f"tcp://127.0.0.1:{await refused_port()}"
    with pytest.raises(DialError, match=f"{url} cannot be reached: .*[Rr]efused"):
        await dial(url)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("tcp://127.0.0.1", "lacks a port"),
        ("tcp://", "has no host"),
        ("tcp://127.0.0.1:0x10", "port"),
        ("tcp://" + "a" * 300 + ":1", "cannot be reached"),
    ],
)
async def test_an_address_that_is_none_is_told(url: str, text: str) -> None:
    with pytest.raises(DialError, match=text):
        await dial_tcp(url)


async def test_who_does_not_answer_in_time_is_given_up(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int]] = []

    async def never(host: str, port: int) -> None:
        opened.append((host, port))
        await trio.sleep_forever()

    open_tcp_stream: Callable[..., object] = never
    monkeypatch.setattr(trio, "open_tcp_stream", open_tcp_stream)
    with pytest.raises(DialError, match=r"tcp://192\.0\.2\.1:5 did not answer within 60 s"):
        await dial("tcp://192.0.2.1:5")
    assert (opened, trio.current_time()) == ([("192.0.2.1", 5)], 60.0)
