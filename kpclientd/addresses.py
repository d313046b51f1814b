"""Addresses as configurations write them, and the rule that none of them may need DNS."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from kpclientd.errors import KpclientdError

MAX_PORT: Final = 65535
LOOPBACK: Final = "127.0.0.1"

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#\s]*)(?:[/?#]\S*)?")
_HOST_PORT: Final = re.compile(r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
_HOST: Final = re.compile(r"\[(?P<bracketed>[^\[\]]*)\]|(?P<host>[^\[\]:]*)")


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
        raise AddressError(f'address "{text}" is not of the form host:port or [IPv6]:port')
    port = int(match["port"])
    if port > MAX_PORT:
        raise AddressError(f'address "{text}" has port {port}, expected at most {MAX_PORT}')
    host = match["bracketed"] if match["bracketed"] is not None else match["host"]
    return host, port


def parse_url(text: str) -> Url:
    """Take an address URL such as `tcp://192.0.2.1:30004` apart; the scheme comes back in lower case.

    Raises:
        AddressError: `text` is no such URL.
    """
    match = _URL.fullmatch(text)
    if match is None:
        raise AddressError(f'"{text}" is not of the form scheme://host:port')
    authority = match["authority"]
    if bare := _HOST.fullmatch(authority):
        host = bare["bracketed"] if bare["bracketed"] is not None else bare["host"]
        port = None
    else:
        host, port = split_host_port(authority)
    if not host:
        raise AddressError(f'address "{text}" has no host')
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


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address without brackets, means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
