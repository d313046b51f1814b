"""Dials a gateway's address."""

import socket
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import trio

from kpclientd.gateway.errors import DialError
from kpclientd.streams import reason_of

CONNECT_SECONDS: Final = 60.0
KEEPALIVE_SECONDS: Final = 15

Dial = Callable[[str], Awaitable[trio.abc.Stream]]
"""Opens a byte stream to a URL; raises DialError."""


async def dial_tcp(url: str) -> trio.abc.Stream:
    """Open a TCP stream to `url` (`tcp://host:port`), without Nagle's delay, with keep-alive probes.

    Raises:
        DialError: if the address is malformed or nobody answers there within a minute.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise DialError(f"{url!r} is not an address: {error}") from None
    if host is None or port is None:
        raise DialError(f"{url!r} lacks a host or a port")
    try:
        with trio.fail_after(CONNECT_SECONDS):
            stream = await trio.open_tcp_stream(host, port)
    except trio.TooSlowError:
        raise DialError(f"{url} did not answer within {CONNECT_SECONDS:.0f} s") from None
    except OSError as error:
        raise DialError(f"{url} cannot be reached: {reason_of(error)}") from None
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if hasattr(socket, option):
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), KEEPALIVE_SECONDS)
    return stream
