"""Addresses as configurations write them, and the rule that none of them may need DNS."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from kpclientd.errors import KpclientdError

MAX_PORT: Final = 65535
ABSTRACT_PREFIX: Final = "@"
"""First character of an abstract Unix socket's name, where the address itself has a NUL."""

LOOPBACK: Final = "127.0.0.1"

MAX_NAME: Final = 253
"""Characters of a host name: what fits into the 255 bytes that DNS, and a SOCKS request, have for it (RFC 1035)."""

SHOWN_LENGTH: Final = 120
"""Characters of an address in a message; a document's may have any length."""

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#\s]*)(?:[/?#]\S*)?")
_HOST_PORT: Final = re.compile(r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
_HOST: Final = re.compile(r"\[(?P<bracketed>[^\[\]]*)\]|(?P<host>[^\[\]:]*)")
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


class AddressError(KpclientdError):
    """An address cannot be used; the message quotes it and says why."""


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of an address URL that dialling needs; `port` is None where the URL has none."""

    scheme: str
    host: str
    port: int | None


def split_host_port(text: str) -> tuple[str, int]:
    """Take `host:port` or `[IPv6]:port` apart.

    Raises:
        AddressError: `text` has another form, or the port is out of range.
    """
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise AddressError(f'address "{shortened(text)}" is not of the form host:port or [IPv6]:port')
    port = int(match["port"])
    if port > MAX_PORT:
        raise AddressError(f'address "{shortened(text)}" has port {port}, expected at most {MAX_PORT}')
    host = match["bracketed"] if match["bracketed"] is not None else match["host"]
    return host, port


def parse_url(text: str) -> Url:
    """Take an address URL such as `tcp://192.0.2.1:30004` apart; the scheme comes back in lower case.

    Raises:
        AddressError: `text` is no such URL.
    """
    match = _URL.fullmatch(text)
    if match is None:
        raise AddressError(f'"{shortened(text)}" is not of the form scheme://host:port')
    authority = match["authority"]
    if bare := _HOST.fullmatch(authority):
        host = bare["bracketed"] if bare["bracketed"] is not None else bare["host"]
        port = None
    else:
        host, port = split_host_port(authority)
    if not host:
        raise AddressError(f'address "{shortened(text)}" has no host')
    return Url(match["scheme"].lower(), host, port)


def scheme_of(url: str) -> str:
    """The scheme of an address URL, in lower case, whatever follows it."""
    return url.partition("://")[0].lower()


def require_ip_address(text: str) -> None:
    """Refuse a `host:port` whose host is a name.

    Raises:
        AddressError: it is one, or `text` is not `host:port`.
    """
    require_ip_literal(text, split_host_port(text)[0])


def require_ip_literal(text: str, host: str) -> None:
    """Refuse a `host` that is a name; `text` is the address that it is part of.

    Raises:
        AddressError: it is one.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise AddressError(
            f'address "{text}" has hostname "{host}" which is not an IP literal; production deployments must not '
            "rely on DNS resolution (set AllowHostnameAddresses=true to allow it in a test network)"
        ) from None


def ip_literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `host` spells, or None; an interface's name at its end (`%eth0`) makes it none."""
    try:
        return ipaddress.ip_address(host) if "%" not in host else None
    except ValueError:
        return None


def normal_host_name(text: str, host: str) -> str:
    """The host name `host` as DNS and proxies take it: ASCII, in lower case; `text` is the address it is part of.

    A name that ends in a number is refused: resolvers read `127.1` or `0x7f000001` as addresses.

    Raises:
        AddressError: it is no host name.
    """
    name = host
    if not host.isascii():
        try:
            name = host.encode("idna").decode() if len(host) <= MAX_NAME else ""
        except UnicodeError:
            name = ""
    labels = name.removesuffix(".").split(".")
    well_formed = len(name) <= MAX_NAME and all(_LABEL.fullmatch(label) for label in labels)
    if not well_formed or _NUMBER.fullmatch(labels[-1]):
        raise AddressError(f'address "{shortened(text)}" has no proper host name')
    return ".".join(labels).lower()


def shortened(text: str) -> str:
    """`text` for a message, cut where it is long."""
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}..."


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address without brackets, means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unix_socket_address(address: str) -> str:
    """A Unix socket's address as bind and connect take it: an abstract name, `@name`, begins with a NUL there."""
    return address.replace(ABSTRACT_PREFIX, "\0", 1) if address.startswith(ABSTRACT_PREFIX) else address
