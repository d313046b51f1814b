"""The `[Listen]` table: where applications find the daemon."""

from typing import Final

from kpclientd.addresses import AddressError, parse_url, require_ip_address, split_host_port
from kpclientd.config.model import ABSTRACT_PREFIX, OWNER_ONLY, Listen, ListenTcp, ListenUnix, ListenWebSocket
from kpclientd.config.table import Table
from kpclientd.transports import TCP_NETWORKS

MAX_SOCKET_PATH: Final = 107
"""Bytes of a Unix socket's path or abstract name: Linux has 108 with the NUL at its end or its front (unix(7))."""


ALL_MAY: Final = 0o777


def read_listen(root: Table) -> tuple[Listen, ...]:
    """Read the table: listeners of all kinds, side by side; the first text is the reference's, which takes only one.

    Raises:
        ConfigError: there is no listener, or one that cannot be bound.
    """
    table = root.table("Listen")
    unix, tcp, websocket = (table.table(kind) if table else None for kind in ("Unix", "Tcp", "Ws"))
    listeners: list[Listen] = []
    if unix is not None:
        listeners += _read_unix_listeners(unix)
    if tcp is not None:
        listeners.append(read_tcp_address(tcp))
    if websocket is not None:
        listeners.append(_read_websocket(websocket))
    if not listeners:
        fix = 'add a [Listen.Tcp] table with Address = "127.0.0.1:64331"'
        raise root.fault("", "transport: no listen transport configured", fix)
    return tuple(listeners)


def _read_unix_listeners(table: Table) -> list[ListenUnix]:
    first = read_unix_address(table)
    mode, group = _read_mode(table), table.string("Group")
    others = [_unix_address(table, "Addresses", address) for address in table.strings("Addresses")]
    addresses = dict.fromkeys([first.address, *others])
    return [ListenUnix(address, mode, group) for address in addresses]


def _read_mode(table: Table) -> int:
    text = table.string("Mode")
    if not text:
        return OWNER_ONLY
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= ALL_MAY or mode & OWNER_ONLY != OWNER_ONLY:
        raise table.fault("Mode", f"is '{text}'", 'write octal permissions that include the owner, such as "0660"')
    return mode


def _read_websocket(table: Table) -> ListenWebSocket:
    address = table.required_string("Address")
    try:
        url = parse_url(address)
    except AddressError as error:
        raise table.fault("Address", str(error), 'write "ws://127.0.0.1:64332"') from error
    if url.scheme != "ws" or url.port is None:
        raise table.fault("Address", f"is '{address}'", 'write "ws://", a host and a port: "ws://127.0.0.1:64332"')
    return ListenWebSocket(url.host, url.port, table.strings("Origins"))


def read_unix_address(table: Table) -> ListenUnix:
    """Read a Unix socket's `Address` from the table of a listener, or of who dials it.

    Raises:
        ConfigError: it is missing, or the operating system has no room for it.
    """
    return ListenUnix(_unix_address(table, "Address", table.required_string("Address")))


def _unix_address(table: Table, key: str, address: str) -> str:
    if address in ("", ABSTRACT_PREFIX):
        raise table.fault(key, "transport: empty unix socket address", 'write a path, or "@name"')
    length = len(address.encode())
    limit = MAX_SOCKET_PATH + (1 if address.startswith(ABSTRACT_PREFIX) else 0)
    if length > limit:
        raise table.fault(key, f"is {length} bytes long", f"a Unix socket's address has at most {limit}")
    if "\0" in address:
        raise table.fault(key, "holds a NUL byte", 'write an abstract socket as "@name"')
    return address


def read_tcp_address(table: Table) -> ListenTcp:
    """Read `Address` and `Network` from the table of a TCP listener, or of who dials it.

    Raises:
        ConfigError: the address is missing or not `host:port`, or the network is none of Go's for TCP.
    """
    network = table.string("Network") or TCP_NETWORKS[0]
    if network not in TCP_NETWORKS:
        raise table.fault("Network", f"'{network}' is invalid", f"expected one of {', '.join(TCP_NETWORKS)}")
    try:
        host, port = split_host_port(table.required_string("Address"))
    except AddressError as error:
        raise table.fault("Address", str(error)) from error
    return ListenTcp(host, port, network)


def require_ip_listener(root: Table) -> None:
    """Refuse a TCP listener on a host name.

    Raises:
        ConfigError: there is one.
    """
    listen = root.table("Listen")
    tcp = listen.table("Tcp") if listen is not None else None
    if tcp is None:
        return
    try:
        require_ip_address(tcp.string("Address"))
    except AddressError as error:
        raise tcp.fault("Address", f"config: Listen.Tcp.Address: {error}") from error
