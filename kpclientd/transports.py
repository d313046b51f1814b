"""The ways to a gateway: every URL scheme that networks use, and who dials it. The one list of them.

A new transport is a row here with its dialler. What has none is known by name, so that a configuration or a document
may name it, and is passed over when a gateway is dialled.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kpclientd.addresses import AddressError, parse_url, scheme_of
from kpclientd.errors import KpclientdError

if TYPE_CHECKING:
    from trio import SocketStream
    from trio.abc import Stream

CONNECT_SECONDS: Final = 60.0
KEEPALIVE_SECONDS: Final = 15

Dial = Callable[[str], "Awaitable[Stream]"]
"""Opens a byte stream to a URL; raises DialError."""


class DialError(KpclientdError):
    """A gateway's address cannot be reached; `is_refused` if somebody there refused."""

    def __init__(self, message: str, *, is_refused: bool = False) -> None:
        super().__init__(message)
        self.is_refused = is_refused


@dataclass(frozen=True, slots=True)
class Transport:
    """One URL scheme.

    Attributes:
        scheme: as URLs begin.
        for_peers: whether a configured gateway or authority may have such an address.
        family: of the sockets that it uses, where it is TCP.
        dial: opens a stream, or None where this version cannot.
        resolved_elsewhere: names in such addresses are never looked up by this machine.
    """

    scheme: str
    for_peers: bool = True
    family: int | None = None
    dial: Dial | None = None
    resolved_elsewhere: bool = False


async def dial_tcp(url: str) -> "Stream":
    """Open a TCP stream to `url` (`tcp://host:port`), without Nagle's delay, with keep-alive probes.

    Raises:
        DialError: if the address is malformed or nobody answers there within a minute.
    """
    import trio  # not needed to read a configuration

    from kpclientd.streams import reason_of

    try:
        parts = parse_url(url)
    except AddressError as error:
        raise DialError(str(error)) from None
    if parts.port is None:
        raise DialError(f"{url!r} lacks a port")
    try:
        with trio.fail_after(CONNECT_SECONDS):
            stream = await trio.open_tcp_stream(parts.host, parts.port)
    except trio.TooSlowError:
        raise DialError(f"{url} did not answer within {CONNECT_SECONDS:.0f} s") from None
    except (OSError, UnicodeError) as error:
        raise DialError(f"{url} cannot be reached: {reason_of(error)}") from None
    _tune(stream)
    return stream


def _tune(stream: "SocketStream") -> None:
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if hasattr(socket, option):
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), KEEPALIVE_SECONDS)


TRANSPORTS: Final[Mapping[str, Transport]] = {
    transport.scheme: transport
    for transport in (
        Transport("tcp", family=socket.AF_UNSPEC, dial=dial_tcp),
        Transport("tcp4", family=socket.AF_INET, dial=dial_tcp),
        Transport("tcp6", family=socket.AF_INET6, dial=dial_tcp),
        Transport("quic"),
        Transport("ws", for_peers=False),
        Transport("onion", resolved_elsewhere=True),
    )
}
"""In the order in which a gateway's addresses are tried where the configuration has no other wish."""

TCP_NETWORKS: Final = tuple(scheme for scheme, transport in TRANSPORTS.items() if transport.family is not None)
"""Go's names for TCP over either, or over one, family of addresses."""

PEER_SCHEMES: Final = tuple(scheme for scheme, transport in TRANSPORTS.items() if transport.for_peers)
DIALLED_SCHEMES: Final = tuple(scheme for scheme, transport in TRANSPORTS.items() if transport.dial is not None)


async def dial(url: str) -> "Stream":
    """Open a stream to `url` by the transport of its scheme.

    Raises:
        DialError: if no transport dials that scheme, or the address cannot be reached.
    """
    transport = TRANSPORTS.get(scheme_of(url))
    if transport is None or transport.dial is None:
        raise DialError(f"{url!r} has a scheme that this version does not dial")
    return await transport.dial(url)


class Dialler:
    """Dials addresses, one after the other."""

    def __init__(self, proxy: object, *, hostnames_allowed: bool, randomness: object) -> None:
        self._hostnames_allowed = hostnames_allowed

    def can_dial(self, url: str) -> bool:
        """Whether an address can be dialled from here."""
        return scheme_of(url) in DIALLED_SCHEMES

    async def dial(self, addresses: "Sequence[str]", *, isolation: bytes) -> "Stream":
        """Open a stream to the first that answers."""
        failures = []
        for address in addresses:
            try:
                return await dial(address)
            except DialError as error:
                failures.append(str(error))
        raise DialError("; ".join(failures))
