"""Tells when addresses of this machine come and go: what a laptop does that changes its network.

On Linux the kernel says so on a netlink socket (rtnetlink(7)), which needs no right. Elsewhere nobody tells, and a link
that is cut is noticed by its own deadlines.
"""

import ipaddress
import logging
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import trio

log = logging.getLogger("katzenpost/client")

QUIET_SECONDS: Final = 3.0
"""Between two changes that are told: a network that is being set up tells many."""

_NETLINK_ROUTE: Final = 0
_GROUPS: Final = 0x10 | 0x40 | 0x100 | 0x400  # addresses and routes, of IPv4 and IPv6
_NEW_ADDRESS: Final = 20
_GONE_ADDRESS: Final = 21
_NEW_ROUTE: Final = 24
_HEADER: Final = struct.Struct("=IHHII")
_ADDRESS: Final = struct.Struct("=BBBBI")  # family, prefix, flags, scope, interface
_ATTRIBUTE: Final = struct.Struct("=HH")
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_ADDRESS_LENGTHS: Final[Mapping[int, int]] = {socket.AF_INET: 4, socket.AF_INET6: 16}
_ALIGNMENT: Final = 4
_RECEIVE_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class NetworkChange:
    """What has changed: addresses that are gone, and whether there is a new one, or a new route."""

    gone: frozenset[str]
    is_new: bool


async def watch_network(on_change: Callable[[NetworkChange], None]) -> None:
    """Call `on_change` at each change, for ever; returns at once where the system does not tell."""
    if not hasattr(socket, "AF_NETLINK"):
        return
    try:
        raw = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
        raw.bind((0, _GROUPS))
    except OSError as error:
        log.debug("changes of the network are not told: %s", error)
        return
    with trio.socket.from_stdlib_socket(raw) as netlink:
        gone: set[str] = set()
        is_new = False
        while True:
            with trio.move_on_after(QUIET_SECONDS if gone or is_new else float("inf")) as waiting:
                change = parse_messages(await _receive(netlink))
                gone |= change.gone
                is_new = is_new or change.is_new
            if waiting.cancelled_caught or change.gone:
                on_change(NetworkChange(frozenset(gone), is_new))
                gone, is_new = set(), False


async def _receive(netlink: trio.socket.SocketType) -> bytes:
    try:
        return await netlink.recv(_RECEIVE_BYTES)
    except OSError as error:  # more changes than the kernel keeps for us
        log.debug("changes of the network were missed: %s", error)
        return b""


def parse_messages(data: bytes) -> NetworkChange:
    """What the kernel's messages tell; what is not understood is passed over."""
    gone: set[str] = set()
    is_new = False
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            break
        body = data[offset + _HEADER.size : offset + length]
        if kind == _GONE_ADDRESS:
            gone |= set(_addresses(body))
        elif kind in (_NEW_ADDRESS, _NEW_ROUTE):
            is_new = True
        offset += -(-length // _ALIGNMENT) * _ALIGNMENT
    return NetworkChange(frozenset(gone), is_new)


def _addresses(body: bytes) -> Iterator[str]:
    if len(body) < _ADDRESS.size:
        return
    wanted = _ADDRESS_LENGTHS.get(body[0])
    offset = _ADDRESS.size
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size:
            return
        value = body[offset + _ATTRIBUTE.size : offset + length]
        if kind in (_IFA_ADDRESS, _IFA_LOCAL) and len(value) == wanted:
            yield str(ipaddress.ip_address(value))
        offset += -(-length // _ALIGNMENT) * _ALIGNMENT
