"""Which addresses may be dialled, and what of an address the one who dials needs.

The rules, each with its reason:

* An address has a host and a port, and the host is a literal or a well-formed name: a URL out of a document is as
  hostile as any byte from outside.
* A name is refused unless the configuration allows names: what stands in a document must not decide whom DNS is asked
  about. This holds with a proxy too, which would ask in our place.
* An onion name goes to Tor or nowhere: no resolver may ever see one (RFC 7686), and no other proxy knows it.
* Where there is a proxy, only what it can carry is dialled. QUIC would go around it.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kpclientd.addresses import AddressError, ip_literal, normal_host_name, parse_url, require_ip_literal, shortened
from kpclientd.transports.registry import TRANSPORTS, Transport
from kpclientd.transports.upstream import UpstreamProxy

_ONION: Final = ".onion"
_NEEDS_TOR: Final = 'can only be reached through Tor ([UpstreamProxy] Type = "tor+socks5")'
_VERSIONS: Final[Mapping[int, int]] = {socket.AF_INET: 4, socket.AF_INET6: 6}


@dataclass(frozen=True, slots=True)
class Target:
    """An address that may be dialled: a literal or a name in ASCII, and a port above 0."""

    transport: Transport
    host: str
    port: int


def target_of(url: str, proxy: UpstreamProxy, *, hostnames_allowed: bool) -> Target:
    """Take an address URL apart.

    Raises:
        AddressError: it is malformed, or must not be dialled here; the text quotes it and says why.
    """
    parts = parse_url(url)
    transport = TRANSPORTS.get(parts.scheme)
    if transport is None or not _goes(transport, proxy):
        raise AddressError(f'address "{shortened(url)}" {_why_not(transport, proxy)}')
    if not parts.port:
        raise AddressError(f'address "{shortened(url)}" lacks a port')
    return Target(transport, _host(url, parts.host, transport, proxy, hostnames_allowed), parts.port)


def dialled_schemes(proxy: UpstreamProxy) -> tuple[str, ...]:
    """The schemes of what can be dialled at all by that way, in the order of the registry."""
    return tuple(scheme for scheme, transport in TRANSPORTS.items() if _goes(transport, proxy))


def _goes(transport: Transport, proxy: UpstreamProxy) -> bool:
    if not proxy.is_used:
        return transport.connect is not None
    return transport.by_proxy and (proxy.is_tor or not transport.resolved_elsewhere)


def _why_not(transport: Transport | None, proxy: UpstreamProxy) -> str:
    if transport is None or (transport.connect is None and not transport.by_proxy):
        return "has a scheme that this version does not dial"
    if transport.resolved_elsewhere:
        return _NEEDS_TOR
    return f"would go around the proxy of type {proxy.type}"


def _host(url: str, host: str, transport: Transport, proxy: UpstreamProxy, hostnames_allowed: bool) -> str:
    literal = ip_literal(host)
    if literal is not None:
        if transport.resolved_elsewhere:
            raise AddressError(f'address "{shortened(url)}" has no onion name')
        wanted = _VERSIONS.get(transport.family)
        if wanted is not None and literal.version != wanted:
            raise AddressError(f'address "{shortened(url)}" is not of IPv{wanted}')
        return str(literal)
    name = normal_host_name(url, host)
    if name.endswith(_ONION):
        if not proxy.is_tor:
            raise AddressError(f'address "{shortened(url)}" {_NEEDS_TOR}')
        if not transport.resolved_elsewhere and not hostnames_allowed:
            raise AddressError(f'address "{shortened(url)}" has an onion name: write onion:// before it')
    elif transport.resolved_elsewhere:
        raise AddressError(f'address "{shortened(url)}" has no onion name')
    if not (transport.resolved_elsewhere or hostnames_allowed):
        require_ip_literal(shortened(url), shortened(host))
    return name
