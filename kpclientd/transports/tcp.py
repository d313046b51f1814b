"""Streams over TCP, without Nagle's delay, with keep-alive probes.

A literal is never given to a resolver; a name is, where the configuration allows names, and its addresses are raced.
"""

import os
import socket
from functools import partial
from typing import Any, Final

import trio

from kpclientd.addresses import ip_literal
from kpclientd.streams import reason_of
from kpclientd.transports.errors import DialError
from kpclientd.transports.race import Race

KEEPALIVE_SECONDS: Final = 15

MOST_ADDRESSES: Final = 8
"""Addresses of one name that are tried; a resolver's answer may have hundreds."""

_NOBODY_LISTENS: Final = (ConnectionRefusedError, FileNotFoundError)
"""A Unix socket goes with who listened at it."""

SocketAddress = Any
"""As the socket module has it: of two or four members for IP, a path for Unix."""


async def connect_tcp(host: str, port: int, family: int = socket.AF_UNSPEC) -> trio.abc.Stream:
    """Open a TCP stream to `host`, a literal or a name in ASCII, by sockets of `family`.

    Raises:
        DialError: if the name is unknown, or none of its addresses can be reached. There is no deadline.
    """
    found = await resolve(host, port, family, socket.SOCK_STREAM)
    if len(found) == 1:
        return await connect_socket(*found[0])
    return await Race({address[0]: partial(connect_socket, kind, address) for kind, address in found}).run()


async def resolve(host: str, port: int, family: int, kind: int) -> list[tuple[int, SocketAddress]]:
    """The families and addresses of `host`, at least one.

    Raises:
        DialError: if it has none.
    """
    flags = socket.AI_NUMERICHOST if ip_literal(host) is not None else 0
    try:
        found = await trio.socket.getaddrinfo(host, port, family, kind, flags=flags | socket.AI_NUMERICSERV)
    except OSError as error:
        raise DialError(f"its name cannot be resolved: {reason_of(error)}") from None
    if not found:
        raise DialError("its name has no address")
    addresses: dict[tuple[int, SocketAddress], None] = {(entry[0], entry[4]): None for entry in found}
    return list(addresses)[:MOST_ADDRESSES]


async def connect_socket(family: int, address: SocketAddress) -> trio.abc.Stream:
    """Open a stream by a socket of `family`, IP or Unix.

    Raises:
        DialError: if that fails; the text is the system's reason.
    """
    try:
        raw = trio.socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise DialError(reason_of(error)) from None
    try:
        await raw.connect(address)
        stream = trio.SocketStream(raw)
        if family != socket.AF_UNIX:
            _tune(stream)
    except OSError as error:
        raw.close()
        # trio's own text begins with the address, which is told already.
        reason = os.strerror(error.errno) if error.errno else reason_of(error)
        raise DialError(reason, is_refused=isinstance(error, _NOBODY_LISTENS)) from None
    except BaseException:
        raw.close()
        raise
    return stream


def _tune(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if hasattr(socket, option):
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), KEEPALIVE_SECONDS)
