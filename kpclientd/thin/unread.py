"""How much of what was written to an application lies unread in the operating system.

A write that succeeded says nothing of the reader: the bytes wait in its socket. When it dies they are lost with it, so
whoever wants to give them again must know which they were. On Linux the kernel tells, for both ends of a local
connection (sock_diag(7)): a socket of this machine has so many bytes in its receive queue. Elsewhere, and for streams
that are no such sockets, nobody knows, and what was written counts as read.
"""

import os
import socket
import struct
from typing import Final, Protocol

import trio

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_HEADER: Final = struct.Struct("=IHHII")
_INET_REQUEST: Final = struct.Struct("=BBBBI2s2s16s16sIQ")
_QUEUE: Final = struct.Struct("=I")
_RECEIVE_QUEUE_AT: Final = 4 + 48 + 4  # after family, state and timers, the socket's id, and its expiry
_INET_ANSWER_LENGTH: Final = 72
_INET_DIAG_INFO: Final = 2
_COUNT: Final = struct.Struct("=Q")
_BYTES_RECEIVED_AT: Final = 128  # tcpi_bytes_received of struct tcp_info
_UNIX_REQUEST: Final = struct.Struct("=BBHIIIQ")
_UNIX_ANSWER_LENGTH: Final = 16
_ATTRIBUTE: Final = struct.Struct("=HH")
_ALIGNMENT: Final = 4
_ALL_STATES: Final = 0xFFFFFFFF
_NO_COOKIE: Final = 0xFFFFFFFFFFFFFFFF
_UDIAG_SHOW_PEER: Final = 4
_UDIAG_SHOW_RQLEN: Final = 16
_UNIX_DIAG_PEER: Final = 2
_UNIX_DIAG_RQLEN: Final = 4
_ANSWER_BYTES: Final = 8192
_IN6_LENGTH: Final = 16


class Unread(Protocol):
    """Tells how many bytes that were written to a stream its reader has not taken; None if nobody knows."""

    def __call__(self, written: int, /) -> int | None:
        """Ask anew; `written` is how many bytes the stream has taken since its beginning."""


def unread_of(stream: trio.abc.Stream) -> Unread:
    """The question for one stream, whatever it is."""
    if not isinstance(stream, trio.SocketStream) or not hasattr(socket, "AF_NETLINK"):
        return _unknown
    try:
        if stream.socket.family == socket.AF_UNIX:
            return _UnixQuestion(stream.socket)
        return _InetQuestion(stream.socket)
    except (OSError, ValueError):
        return _unknown


def _unknown(_written: int) -> int | None:
    return None


class _Question:
    """One question to the kernel, asked again and again: for a reader's receive queue, and the bytes not yet there."""

    def __init__(self, request: bytes) -> None:
        length = _HEADER.size + len(request)
        self._request = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + request

    def ask(self) -> bytes | None:
        """The kernel's answer without its header, or None where there is no such socket."""
        try:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
                netlink.setblocking(False)
                netlink.send(self._request)
                answer = netlink.recv(_ANSWER_BYTES)
        except OSError:
            return None
        kind = _HEADER.unpack_from(answer)[1]
        return answer[_HEADER.size :] if kind == _SOCK_DIAG_BY_FAMILY else None


class _InetQuestion:
    """A TCP connection of this machine with itself.

    The reader's kernel counts what it has received in order, and of that what was not read. What we wrote beyond that
    is on its way, or was dropped for want of room and will be sent again.
    """

    def __init__(self, ours: trio.socket.SocketType) -> None:
        self._theirs = _Question(_inet_request(ours.family, ours.getpeername(), ours.getsockname()))

    def __call__(self, written: int, /) -> int | None:
        answer = self._theirs.ask()
        info = _attribute(answer, _INET_ANSWER_LENGTH, _INET_DIAG_INFO)
        if answer is None or info is None or len(info) < _BYTES_RECEIVED_AT + _COUNT.size:
            return None
        received = int(_COUNT.unpack_from(info, _BYTES_RECEIVED_AT)[0])
        unread = int(_QUEUE.unpack_from(answer, _RECEIVE_QUEUE_AT)[0])
        return max(0, written - received) + unread


def _inet_request(family: int, source: tuple[object, ...], destination: tuple[object, ...]) -> bytes:
    def packed(address: tuple[object, ...]) -> tuple[bytes, bytes]:
        host = socket.inet_pton(family, str(address[0]).partition("%")[0]).ljust(_IN6_LENGTH, b"\0")
        return int(str(address[1])).to_bytes(2, "big"), host

    (source_port, source_host), (destination_port, destination_host) = packed(source), packed(destination)
    return _INET_REQUEST.pack(
        family,
        socket.IPPROTO_TCP,
        1 << (_INET_DIAG_INFO - 1),
        0,
        _ALL_STATES,
        source_port,
        destination_port,
        source_host,
        destination_host,
        0,
        _NO_COOKIE,
    )


class _UnixQuestion:
    """A Unix socket's peer is found by its inode; its receive queue holds all that is unread."""

    def __init__(self, ours: trio.socket.SocketType) -> None:
        inode = os.fstat(ours.fileno()).st_ino
        answer = _Question(_unix_request(inode, _UDIAG_SHOW_PEER)).ask()
        peer = _attribute(answer, _UNIX_ANSWER_LENGTH, _UNIX_DIAG_PEER)
        if peer is None:
            raise ValueError("the kernel does not tell the peer of a Unix socket")
        self._theirs = _Question(_unix_request(int(_QUEUE.unpack_from(peer)[0]), _UDIAG_SHOW_RQLEN))

    def __call__(self, written: int, /) -> int | None:
        queue = _attribute(self._theirs.ask(), _UNIX_ANSWER_LENGTH, _UNIX_DIAG_RQLEN)
        return None if queue is None else int(_QUEUE.unpack_from(queue)[0])


def _unix_request(inode: int, show: int) -> bytes:
    return _UNIX_REQUEST.pack(socket.AF_UNIX, 0, 0, _ALL_STATES, inode, show, _NO_COOKIE)


def _attribute(answer: bytes | None, offset: int, wanted: int) -> bytes | None:
    """The content of one attribute of an answer whose attributes begin at `offset`."""
    while answer is not None and offset + _ATTRIBUTE.size <= len(answer):
        length, kind = _ATTRIBUTE.unpack_from(answer, offset)
        if kind == wanted and length >= _ATTRIBUTE.size + _QUEUE.size:
            return answer[offset + _ATTRIBUTE.size : offset + length]
        offset += max(_ATTRIBUTE.size, -(-length // _ALIGNMENT) * _ALIGNMENT)
    return None
