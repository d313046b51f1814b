"""The ways to a gateway: every URL scheme that networks use, and who dials it. The one list of them.

A new transport is a row here. What nobody dials is known by name, so that a configuration or a document may name it,
and is passed over when a gateway is dialled. `ws` is such a name: the reference has it in its lists, but no gateway of
it listens there, nor does its client dial it.
"""

import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trio.abc import Stream

Connect = Callable[[str, int, int], "Awaitable[Stream]"]
"""Opens a stream to a host (a literal, or a name in ASCII) and a port, by sockets of a family; raises DialError."""


_QUIC: Final = "kpclientd.transports.quic"


@dataclass(frozen=True, slots=True)
class Transport:
    """One URL scheme.

    Attributes:
        scheme: as URLs begin.
        for_peers: whether a configured gateway or authority may have such an address.
        family: of the sockets that it uses.
        is_tcp: whether it is TCP, which applications may come by too.
        connect: opens a stream without a proxy, or None where that is impossible.
        by_proxy: whether a SOCKS proxy can open a stream to such an address.
        resolved_elsewhere: names in such addresses are never looked up by this machine; only Tor knows them.
    """

    scheme: str
    for_peers: bool = True
    family: int = socket.AF_UNSPEC
    is_tcp: bool = False
    connect: Connect | None = None
    by_proxy: bool = False
    resolved_elsewhere: bool = False


async def _connect_tcp(host: str, port: int, family: int) -> "Stream":
    from kpclientd.transports.tcp import connect_tcp  # trio is not needed to read a configuration

    return await connect_tcp(host, port, family)


async def _connect_quic(host: str, port: int, family: int) -> "Stream":
    import trio

    # Its library is large: only those who need it load it, and not on the event loop.
    connect = _load_quic() if _QUIC in sys.modules else await trio.to_thread.run_sync(_load_quic)
    return await connect(host, port, family)


def _load_quic() -> Connect:
    from kpclientd.transports.quic import connect_quic

    return connect_quic


TRANSPORTS: Final[Mapping[str, Transport]] = {
    transport.scheme: transport
    for transport in (
        Transport("tcp", is_tcp=True, connect=_connect_tcp, by_proxy=True),
        Transport("tcp4", family=socket.AF_INET, is_tcp=True, connect=_connect_tcp, by_proxy=True),
        Transport("tcp6", family=socket.AF_INET6, is_tcp=True, connect=_connect_tcp, by_proxy=True),
        Transport("quic", connect=_connect_quic),
        Transport("ws", for_peers=False),
        Transport("onion", by_proxy=True, resolved_elsewhere=True),
    )
}
"""In the order in which a gateway's addresses are tried where the configuration has no other wish."""

TCP_NETWORKS: Final = tuple(scheme for scheme, transport in TRANSPORTS.items() if transport.is_tcp)
"""Go's names for TCP over either, or over one, family of addresses."""

PEER_SCHEMES: Final = tuple(scheme for scheme, transport in TRANSPORTS.items() if transport.for_peers)

DIALLED_SCHEMES: Final = tuple(
    scheme for scheme, transport in TRANSPORTS.items() if transport.connect is not None or transport.by_proxy
)
"""Those that are dialled by one way or another; which by the way that is configured, `targets` says."""
