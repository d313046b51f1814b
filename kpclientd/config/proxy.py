"""The `[UpstreamProxy]` table: how the gateway is reached.

Whoever configures a proxy must not be connected without it because of a slip of the pen: a key that nobody knows is
refused in this table, and a table that may have been meant for it is, also where other unknown keys are only warned of.
"""

from pathlib import Path
from typing import Final

from kpclientd.addresses import AddressError, require_ip_address
from kpclientd.config.client_file import ProxyTable
from kpclientd.config.place import Place
from kpclientd.transports import UpstreamProxy
from kpclientd.transports.socks5 import LONGEST_FIELD
from kpclientd.transports.upstream import NO_PROXY, SOCKS5, TOR

TABLE: Final = "UpstreamProxy"

_TELLING: Final = ("proxy", "proxies", "socks")
"""Parts of names that mean a proxy, whatever else they mean."""

_LEAST_LIKENESS: Final = 0.7


def read_proxy(table: ProxyTable) -> UpstreamProxy:
    """The settings; what has one meaning in any case comes in lower case."""
    return UpstreamProxy(
        type=table.type.lower(),
        network=table.network.lower(),
        address=table.address,
        user=table.user,
        password=table.password,
    )


def check_proxy(proxy: UpstreamProxy, root: Place) -> None:
    """Refuse what the reference refuses, with its texts and in its order, and then keys that nobody knows.

    Raises:
        ConfigError: the settings contradict each other, or the table holds anything else.
    """
    place = root.tables[TABLE]
    if proxy.type not in (NO_PROXY, SOCKS5, TOR):
        fix = f'expected "{NO_PROXY}", "{SOCKS5}" or "{TOR}"'
        raise place.fault("Type", f"proxy/config: Type '{proxy.type}' is invalid", fix)
    if proxy.is_used:
        _check_credentials(proxy, place)
        _check_address(proxy, place)
    for key in sorted(place.unknown):
        raise place.fault(key, "is unknown, and a proxy must not be missed by a misspelling", "correct or remove it")


def refuse_misspelt(root: Place) -> None:
    """Refuse an unknown key, at any level, that may have been meant for the table.

    Args:
        root: the file.

    Raises:
        ConfigError: the first such key.
    """
    for name in root.unknown_keys():
        if any(_may_mean_proxy(part) for part in name.split(".")):
            fault = "is unknown, and may mean a proxy, which must not be missed"
            raise root.fault(name, fault, f"write [{TABLE}] if that is meant, or remove it")


def _may_mean_proxy(key: str) -> bool:
    from difflib import SequenceMatcher  # needed only where a key is unknown

    folded = key.casefold()
    if any(part in folded for part in _TELLING):
        return True
    return SequenceMatcher(None, folded, TABLE.casefold()).ratio() >= _LEAST_LIKENESS


def _check_credentials(proxy: UpstreamProxy, place: Place) -> None:
    for key, value in (("User", proxy.user), ("Password", proxy.password)):
        length = len(value.encode())
        if length > LONGEST_FIELD:
            raise place.fault(
                key, f"proxy/config: {key} too long: {length} bytes", f"at most {LONGEST_FIELD} are allowed"
            )
    if bool(proxy.user) != bool(proxy.password):
        raise place.fault("", "proxy/config: Both User and Password must be specified", "or neither")
    if proxy.is_tor and proxy.user:
        raise place.fault(
            "",
            "proxy/config: Tor SOCKS5 conflicts with setting User/Password",
            "remove both, they carry Tor's stream isolation",
        )


def _check_address(proxy: UpstreamProxy, place: Place) -> None:
    match proxy.network:
        case "tcp":
            try:
                require_ip_address(proxy.address)
            except AddressError as error:
                raise place.fault("Address", f"proxy/config: {error}") from error
        case "unix":
            if not _is_socket(Path(proxy.address)):
                raise place.fault("Address", f"proxy/config: '{proxy.address}' is not an existing socket")
        case other:
            raise place.fault("Network", f"proxy/config: Network '{other}' is invalid", 'expected "tcp" or "unix"')


def _is_socket(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:  # a directory on the way that may not be searched
        return False
