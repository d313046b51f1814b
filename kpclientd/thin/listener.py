"""The sockets on which applications connect: TCP, WebSocket, Unix paths, and abstract Unix names, side by side."""

import errno
import logging
import os
import shutil
import socket
import stat
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from kpclientd.config.model import Listen, ListenTcp, ListenUnix, ListenWebSocket
from kpclientd.log_levels import NOTICE
from kpclientd.thin.activation import close_all, matched
from kpclientd.thin.errors import ListenError
from kpclientd.thin.listener_token import TokenListener, read_token
from kpclientd.transports import TCP_NETWORKS, TRANSPORTS

if TYPE_CHECKING:
    from kpclientd.thin.websocket import WebSocketListener

log = logging.getLogger("client/listener")

BACKLOG: Final = 1024
OWNER_ONLY_UMASK: Final = 0o177

_NOT_OF_THIS_MACHINE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""A kernel without IPv6, or with it switched off; a name that stands for both families is served by the other one."""

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: process, user, group


AppListener: TypeAlias = "trio.SocketListener | TokenListener | WebSocketListener"


@asynccontextmanager
async def open_listeners(
    listens: Sequence[Listen], inherited: Sequence[socket.socket] = (), token_credential: Path | None = None
) -> AsyncIterator[list[AppListener]]:
    """Bind all that the configuration says; socket files are removed at the end, where they are still ours.

    A socket file that is left over from a daemon that died is replaced, after a connect to it was refused.

    Args:
        listens: what the configuration says.
        inherited: listening sockets that a service manager handed over; they are served instead of being bound.
        token_credential: the service manager's file with the token, which goes before those of the configuration.

    Raises:
        ListenError: if one of the addresses cannot be bound, or a socket was handed over that none of them names; the
            text says why. Then none is.
        TokenError: if one of them has no token, and should.
    """
    handed_over = matched(inherited, listens)
    listeners: list[AppListener] = []
    with ExitStack() as undo:
        undo.callback(close_all, inherited)
        for listen in listens:
            handed = ""
            match listen:
                case ListenUnix(address) if address in handed_over:
                    opened: list[AppListener] = [
                        trio.SocketListener(trio.socket.from_stdlib_socket(handed_over[address]))
                    ]
                    handed = ", which was handed over"
                case ListenUnix():
                    opened = [_listen_unix(listen, undo)]
                case ListenTcp(host, port, network, token_file):
                    token = _token(token_file, token_credential)
                    by_tcp = await listen_tcp(host, port, network, undo)
                    opened = [one if token is None else TokenListener(one, token) for one in by_tcp]
                case ListenWebSocket(host, port, origins, token_file):
                    from kpclientd.thin.websocket import WebSocketListener  # its library is for those who need it

                    token = _token(token_file, token_credential)
                    by_tcp = await listen_tcp(host, port, TCP_NETWORKS[0], undo)
                    opened = [WebSocketListener(one, origins, token) for one in by_tcp]
            listeners += opened
            for listener in opened:
                log.log(NOTICE, "Listening on %s%s.", _place(listen, listener), handed)
        yield listeners


def _token(file: Path | None, credential: Path | None) -> bytes | None:
    return read_token(credential or file) if file is not None else None


def _place(listen: Listen, listener: AppListener) -> str:
    if isinstance(listen, ListenUnix):
        return f"unix {listen.address}"
    host, port = listener.socket.getsockname()[:2]
    kind = "tcp" if isinstance(listen, ListenTcp) else "WebSocket"
    shown = ", for those who show the token" if listen.token_file is not None else ""
    return f"{kind} {f'[{host}]' if ':' in host else host}:{port}{shown}"


async def listen_tcp(host: str, port: int, network: str, undo: ExitStack) -> list[trio.SocketListener]:
    """Bind every address of a host; what is bound is closed by `undo`.

    Args:
        host: an address or a name, empty for every interface.
        port: 0 for any free one.
        network: one of Go's for TCP.
        undo: takes what is to be done at the end.

    Raises:
        ListenError: if one cannot be bound.
    """
    listeners: list[trio.SocketListener] = []
    absent: OSError | None = None
    try:
        found = await trio.socket.getaddrinfo(
            host or None,
            port,
            family=TRANSPORTS[network].family or socket.AF_UNSPEC,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        for family, kind, protocol, _, address in found:
            try:
                bound = undo.enter_context(trio.socket.socket(family, kind, protocol))
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                await bound.bind(address)
            except OSError as error:
                if error.errno not in _NOT_OF_THIS_MACHINE:
                    raise
                absent = error
                continue
            bound.listen(BACKLOG)
            listeners.append(trio.SocketListener(bound))
        if absent is not None and not listeners:
            raise absent
    except OSError as error:
        raise ListenError(f"cannot listen on tcp {host}:{port}: {error.strerror or error}") from None
    return listeners


def _listen_unix(listen: ListenUnix, undo: ExitStack) -> trio.SocketListener:
    bound = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    path = None if listen.is_abstract else Path(listen.address)
    try:
        if path is not None:
            _remove_if_stale(path)
        previous = os.umask(OWNER_ONLY_UMASK)
        try:
            bound.bind(listen.socket_address)
        finally:
            os.umask(previous)
        if path is not None:
            # The file goes before the socket closes: once nobody listens, it may be another daemon's that replaced it.
            undo.callback(_remove_if_ours, path, path.lstat().st_ino)
            if listen.group:
                shutil.chown(path, group=listen.group)
            path.chmod(listen.mode)
        bound.listen(BACKLOG)
    except LookupError:
        raise ListenError(f"cannot listen on unix {listen.address}: there is no group {listen.group!r}") from None
    except OSError as error:
        raise ListenError(f"cannot listen on unix {listen.address}: {_why_not_bound(listen, error)}") from None
    bound.setblocking(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(bound))


def _why_not_bound(listen: ListenUnix, error: OSError) -> str:
    if error.errno != errno.EADDRINUSE:
        return error.strerror or str(error)
    if listen.is_abstract or stat.S_ISSOCK(Path(listen.address).lstat().st_mode):
        return "another daemon listens there; stop it, or give one of the two another address"
    return "something that is no socket is in its place; remove it, or choose another path"


def _remove_if_ours(path: Path, number: int) -> None:
    """Remove a socket's file, unless another process has put its own in that place.

    The file's number alone does not tell, as it is given again; who listens there does.
    """
    try:
        if path.lstat().st_ino == number and _listener_of(path) in (None, os.getpid()):
            path.unlink()
    except OSError:
        pass  # it is gone already


def _listener_of(path: Path) -> int | None:
    """The process that listens at a socket's file, where it can be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(str(path)) or not hasattr(socket, "SO_PEERCRED"):
            return None
        process, _, _ = _CREDENTIALS.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return int(process)


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
