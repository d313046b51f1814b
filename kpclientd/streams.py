"""What everything that reads and writes byte streams shares."""

import socket
import struct
from typing import Final

import trio

READ_SIZE: Final = 65536
"""Bytes asked of a stream at once."""

_LINGER_NOT_AT_ALL: Final = struct.pack("ii", 1, 0)
"""struct linger: closing sends a reset instead of what is still buffered."""


def reset_when_closed(stream: trio.abc.Stream) -> None:
    """Let the closing of `stream` be a reset, where it is a socket."""
    if isinstance(stream, trio.SocketStream):
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)


def reason_of(error: Exception) -> str:
    """Why a connection did not come about, or broke, in the system's words, without the error's number.

    trio gathers the attempts at each of a name's addresses in a group: the first one's reason stands for all. Where a
    stream breaks, it tells the system's error as the cause of its own.
    """
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup) and cause.exceptions:
        return str(cause.exceptions[0])
    if isinstance(cause, OSError):
        return reason_of(cause)
    return getattr(error, "strerror", None) or str(error)
