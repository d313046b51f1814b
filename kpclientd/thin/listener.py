"""The socket on which applications connect: TCP, a Unix path, or an abstract Unix name."""

import errno
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.thin.errors import ListenError
from kpclientd.transports import TRANSPORTS

BACKLOG: Final = 1024
OWNER_ONLY_UMASK: Final = 0o177


@asynccontextmanager
async def open_listeners(listen: ListenTcp | ListenUnix) -> AsyncIterator[list[trio.SocketListener]]:
    """Bind what the configuration says; a socket file is removed at the end.

    A socket file that is left over from a daemon that died is replaced, after a connect to it was refused.

    Raises:
        ListenError: if the address cannot be bound; the text says why.
    """
    if isinstance(listen, ListenTcp):
        listeners = await _listen_tcp(listen)
    else:
        listeners = [_listen_unix(listen)]
    try:
        yield listeners
    finally:
        # The file goes first: once nobody listens, it may be another daemon's that replaced it.
        if isinstance(listen, ListenUnix) and not listen.is_abstract:
            Path(listen.address).unlink(missing_ok=True)
        for listener in listeners:
            listener.socket.close()


async def _listen_tcp(listen: ListenTcp) -> list[trio.SocketListener]:
    listeners: list[trio.SocketListener] = []
    try:
        found = await trio.socket.getaddrinfo(
            listen.host or None,
            listen.port,
            family=TRANSPORTS[listen.network].family or socket.AF_UNSPEC,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        for family, kind, protocol, _, address in found:
            with ExitStack() as undo:
                bound = undo.enter_context(trio.socket.socket(family, kind, protocol))
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                await bound.bind(address)
                bound.listen(BACKLOG)
                listeners.append(trio.SocketListener(bound))
                undo.pop_all()
    except OSError as error:
        for listener in listeners:
            listener.socket.close()
        raise ListenError(f"cannot listen on tcp {listen.host}:{listen.port}: {error.strerror or error}") from None
    return listeners


def _listen_unix(listen: ListenUnix) -> trio.SocketListener:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not listen.is_abstract:
            _remove_if_stale(Path(listen.address))
        previous = os.umask(OWNER_ONLY_UMASK)
        try:
            bound.bind(listen.socket_address)
        finally:
            os.umask(previous)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise ListenError(f"cannot listen on unix {listen.address}: {error.strerror or error}") from None
    bound.setblocking(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(bound))


def _remove_if_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        refused = probe.connect_ex(str(path)) == errno.ECONNREFUSED
    if refused:
        path.unlink(missing_ok=True)
