"""The `[Listen]` table: where applications find the daemon. Exactly one place."""

from typing import Final

from kpclientd.addresses import AddressError, require_ip_address, split_host_port
from kpclientd.config.model import ABSTRACT_PREFIX, ListenTcp, ListenUnix
from kpclientd.config.table import Table
from kpclientd.transports import TCP_NETWORKS

MAX_SOCKET_PATH: Final = 107
"""Bytes of a Unix socket's path or abstract name: Linux has 108 with the NUL at its end or its front (unix(7))."""


def read_listen(root: Table) -> ListenTcp | ListenUnix:
    """Read the table; the two first texts are the reference's.

    Raises:
        ConfigError: there is no listener, more than one, or one that cannot be bound.
    """
    table = root.table("Listen")
    unix, tcp, websocket = (table.table(kind) if table else None for kind in ("Unix", "Tcp", "Ws"))
    given = [listener for listener in (unix, tcp, websocket) if listener is not None]
    if not given:
        fix = 'add a [Listen.Tcp] table with Address = "127.0.0.1:64331"'
        raise root.fault("", "transport: no listen transport configured", fix)
    if len(given) > 1:
        fix = f"keep one of {', '.join(f'[{listener.name}]' for listener in given)}"
        raise root.fault("", "transport: exactly one listen transport must be configured", fix)
    if websocket is not None:
        websocket.string("Address")
        raise websocket.fault("", "WebSocket is not supported by this version", "use [Listen.Tcp] or [Listen.Unix]")
    return read_unix_address(unix) if unix is not None else read_tcp_address(given[0])


def read_unix_address(table: Table) -> ListenUnix:
    """Read a Unix socket's `Address` from the table of a listener, or of who dials it.

    Raises:
        ConfigError: it is missing, or the operating system has no room for it.
    """
    address = table.required_string("Address")
    length = len(address.encode())
    limit = MAX_SOCKET_PATH + (1 if address.startswith(ABSTRACT_PREFIX) else 0)
    if length > limit:
        raise table.fault("Address", f"is {length} bytes long", f"a Unix socket's address has at most {limit}")
    if "\0" in address:
        raise table.fault("Address", "holds a NUL byte", 'write an abstract socket as "@name"')
    return ListenUnix(address)


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
