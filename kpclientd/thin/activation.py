"""Sockets that a service manager has bound and hands over, so that it can start the daemon when somebody connects.

They are descriptors from 3 on, counted in `LISTEN_FDS`, and meant for the process whose number is in `LISTEN_PID`. Each
is matched by its own address with those that `[Listen.Unix]` names; the rest of these the daemon binds. One that nobody
asked for is refused before anything is bound: whoever handed it over meant something that the configuration does not
say. They are the manager's: neither mode nor group is changed, and their files stay.

Source: the Katzenpost client daemon, "socket activation"; sd_listen_fds(3).
"""

import os
import socket
from collections.abc import MutableMapping, Sequence
from typing import Final

from kpclientd.addresses import ABSTRACT_PREFIX
from kpclientd.config.model import Listen, ListenUnix
from kpclientd.thin.errors import ListenError

FIRST_DESCRIPTOR: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def inherited_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Take over the sockets that are meant for this process; the variables that tell of them are unset in any case.

    Raises:
        ListenError: their number is none, or one of them is no listening socket; then none is left open.
    """
    process, count, _ = (environ.pop(variable, "") for variable in _VARIABLES)
    if process != str(os.getpid()):
        return []
    if not (count.isascii() and count.isdecimal()):
        raise ListenError(f'transport: invalid LISTEN_FDS "{count}"')
    sockets: list[socket.socket] = []
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        try:
            sockets.append(_listening(descriptor))
        except OSError as error:
            close_all(sockets)
            reason = error.strerror or str(error)
            raise ListenError(f"transport: inherited fd {descriptor}: {reason}") from None
    return sockets


def matched(inherited: Sequence[socket.socket], listens: Sequence[Listen]) -> dict[str, socket.socket]:
    """The sockets that were handed over, by the configured address that each has.

    Raises:
        ListenError: one has none of these addresses; then all are closed.
    """
    wanted = {listen.address for listen in listens if isinstance(listen, ListenUnix)}
    found: dict[str, socket.socket] = {}
    for one in inherited:
        address = shown_address(one)
        if address not in wanted or address in found:
            close_all(inherited)
            raise ListenError(
                f"transport: inherited socket {address} matches no configured [Listen.Unix] address;"
                " the service manager's socket unit and the configuration must name the same one"
            )
        found[address] = one
    return found


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close them; the service manager has its own descriptors of them."""
    for one in sockets:
        one.close()


def shown_address(one: socket.socket) -> str:
    """A socket's own address as a configuration would write it."""
    address = one.getsockname()
    if isinstance(address, bytes):
        return os.fsdecode(address).replace("\0", ABSTRACT_PREFIX, 1)
    if isinstance(address, str):
        return address
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def _listening(descriptor: int) -> socket.socket:
    """The listening stream socket behind a descriptor, which it takes over.

    Raises:
        OSError: there is none; the descriptor is left as it is.
    """
    os.set_inheritable(descriptor, False)
    one = socket.socket(fileno=descriptor)
    if one.type != socket.SOCK_STREAM or not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        one.detach()
        raise OSError("it is no listening socket")
    one.setblocking(False)
    return one
