"""The `[UpstreamProxy]` table: how the gateway is reached."""

from pathlib import Path
from typing import Final

from kpclientd.addresses import AddressError, require_ip_address
from kpclientd.config.model import UpstreamProxy
from kpclientd.config.table import Table

MAX_CREDENTIAL_LENGTH: Final = 255
"""User and password each have a one-byte length (RFC 1929)."""

NONE: Final = "none"
_SOCKS5: Final = "socks5"
_TOR: Final = "tor+socks5"


def read_proxy(table: Table | None) -> UpstreamProxy:
    """Read the table's values; no table means no proxy.

    Raises:
        ConfigError: a value has the wrong type.
    """
    if table is None:
        return UpstreamProxy()
    return UpstreamProxy(
        type=table.string("Type").lower() or NONE,
        network=table.string("Network"),
        address=table.string("Address"),
        user=table.string("User"),
        password=table.string("Password"),
    )


def check_proxy(proxy: UpstreamProxy, table: Table | None) -> None:
    """Refuse what the reference refuses, with its texts and in its order, and then what this version cannot do.

    Raises:
        ConfigError: the settings contradict each other, or name a proxy, which is not supported yet.
    """
    if table is None or proxy.type == NONE:
        return
    if proxy.type not in (_SOCKS5, _TOR):
        raise table.fault("Type", f"proxy/config: Type '{proxy.type}' is invalid", f'expected "{NONE}"')
    _check_credentials(proxy, table)
    _check_address(proxy, table)
    raise table.fault(
        "Type",
        f'"{proxy.type}" is not supported by this version, and no traffic may go around a proxy',
        f'only Type = "{NONE}" works, if a direct connection to the gateway is acceptable',
    )


def _check_credentials(proxy: UpstreamProxy, table: Table) -> None:
    for key, value in (("User", proxy.user), ("Password", proxy.password)):
        length = len(value.encode())
        if length > MAX_CREDENTIAL_LENGTH:
            raise table.fault(
                key, f"proxy/config: {key} too long: {length} bytes", f"at most {MAX_CREDENTIAL_LENGTH} are allowed"
            )
    if bool(proxy.user) != bool(proxy.password):
        raise table.fault("", "proxy/config: Both User and Password must be specified", "or neither")
    if proxy.type == _TOR and proxy.user:
        raise table.fault(
            "",
            "proxy/config: Tor SOCKS5 conflicts with setting User/Password",
            "remove both, they carry Tor's stream isolation",
        )


def _check_address(proxy: UpstreamProxy, table: Table) -> None:
    match proxy.network:
        case "tcp":
            try:
                require_ip_address(proxy.address)
            except AddressError as error:
                raise table.fault("Address", f"proxy/config: {error}") from error
        case "unix":
            if not _is_socket(Path(proxy.address)):
                raise table.fault("Address", f"proxy/config: '{proxy.address}' is not an existing socket")
        case other:
            raise table.fault("Network", f"proxy/config: Network '{other}' is invalid", 'expected "tcp" or "unix"')


def _is_socket(path: Path) -> bool:
    try:
        return path.is_socket()
    except OSError:  # a directory on the way that may not be searched
        return False
