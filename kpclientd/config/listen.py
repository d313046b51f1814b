"""The `[Listen]` table: where applications find the daemon."""

from pathlib import Path
from typing import Final

from kpclientd.addresses import ABSTRACT_PREFIX, AddressError, parse_url, require_ip_address, split_host_port
from kpclientd.config.client_file import ListenTable, TcpTable, UnixTable, WebSocketTable
from kpclientd.config.model import OWNER_ONLY, Listen, ListenTcp, ListenUnix, ListenWebSocket
from kpclientd.config.place import Place
from kpclientd.transports import TCP_NETWORKS

MAX_SOCKET_PATH: Final = 107
"""Bytes of a Unix socket's path or abstract name: Linux has 108 with the NUL at its end or its front (unix(7))."""


ALL_MAY: Final = 0o777


def read_listen(table: ListenTable, root: Place) -> tuple[Listen, ...]:
    """Listeners of all kinds, side by side; the text where there is none is the reference's, which takes only one.

    Raises:
        ConfigError: there is no listener, or one that cannot be bound.
    """
    places = root.tables["Listen"].tables
    listeners: list[Listen] = []
    if table.unix is not None:
        listeners += _read_unix_listeners(table.unix, places["Unix"])
    if table.tcp is not None:
        listeners.append(read_tcp_address(table.tcp, places["Tcp"]))
    if table.ws is not None:
        listeners.append(_read_websocket(table.ws, places["Ws"]))
    if not listeners:
        fix = 'add a [Listen.Tcp] table with Address = "127.0.0.1:64331"'
        raise root.fault("", "transport: no listen transport configured", fix)
    return tuple(listeners)


def _read_unix_listeners(table: UnixTable, place: Place) -> list[ListenUnix]:
    first = read_unix_address(table.address, place)
    mode = _read_mode(table.mode, place)
    others = [_unix_address("Addresses", address, place) for address in table.addresses]
    return [ListenUnix(address, mode, table.group) for address in dict.fromkeys([first, *others])]


def _read_mode(text: str, place: Place) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= ALL_MAY or mode & OWNER_ONLY != OWNER_ONLY:
        raise place.fault("Mode", f"is '{text}'", 'write octal permissions that include the owner, such as "0660"')
    return mode


def _read_websocket(table: WebSocketTable, place: Place) -> ListenWebSocket:
    address = place.required("Address", table.address)
    try:
        url = parse_url(address)
    except AddressError as error:
        raise place.fault("Address", str(error), 'write "ws://127.0.0.1:64332"') from error
    if url.scheme != "ws" or url.port is None:
        raise place.fault("Address", f"is '{address}'", 'write "ws://", a host and a port: "ws://127.0.0.1:64332"')
    return ListenWebSocket(url.host, url.port, table.origins, _read_token_file(table.token_file, place))


def _read_token_file(text: str, place: Place) -> Path | None:
    return place.absolute_path("TokenFile", text, "/etc/kpclientd/token")


def read_unix_address(address: str, place: Place) -> str:
    """A Unix socket's `Address`, from the table of a listener, or of who dials it.

    Raises:
        ConfigError: it is missing, or the operating system has no room for it.
    """
    return _unix_address("Address", place.required("Address", address), place)


def _unix_address(key: str, address: str, place: Place) -> str:
    if address in ("", ABSTRACT_PREFIX):
        raise place.fault(key, "transport: empty unix socket address", 'write a path, or "@name"')
    length = len(address.encode())
    limit = MAX_SOCKET_PATH + (1 if address.startswith(ABSTRACT_PREFIX) else 0)
    if length > limit:
        raise place.fault(key, f"is {length} bytes long", f"a Unix socket's address has at most {limit}")
    if "\0" in address:
        raise place.fault(key, "holds a NUL byte", 'write an abstract socket as "@name"')
    return address


def read_tcp_address(table: TcpTable, place: Place) -> ListenTcp:
    """The table of a TCP listener, or of who dials it.

    Raises:
        ConfigError: the address is missing or not `host:port`, the network is none of Go's for TCP, or the token's path
            is not absolute.
    """
    network = table.network
    if network not in TCP_NETWORKS:
        raise place.fault("Network", f"'{network}' is invalid", f"expected one of {', '.join(TCP_NETWORKS)}")
    try:
        host, port = split_host_port(place.required("Address", table.address))
    except AddressError as error:
        raise place.fault("Address", str(error)) from error
    return ListenTcp(host, port, network, _read_token_file(table.token_file, place))


def require_ip_listener(table: ListenTable, root: Place) -> None:
    """Refuse a TCP listener on a host name.

    Raises:
        ConfigError: there is one.
    """
    if table.tcp is None:
        return
    try:
        require_ip_address(table.tcp.address)
    except AddressError as error:
        place = root.tables["Listen"].tables["Tcp"]
        raise place.fault("Address", f"config: Listen.Tcp.Address: {error}") from error
