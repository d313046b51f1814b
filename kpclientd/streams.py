"""What everything that reads and writes byte streams shares."""

import errno
import socket
import struct
from collections.abc import Callable
from typing import Final, TypeVar

import trio

READ_SIZE: Final = 65536
"""Bytes asked of a stream at once."""

RETRY_SECONDS: Final = 0.1
"""Between two tries to accept where the system lacks what a connection takes."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

StreamT = TypeVar("StreamT", bound=trio.abc.AsyncResource)

_LINGER_NOT_AT_ALL: Final = struct.pack("ii", 1, 0)
"""struct linger: closing sends a reset instead of what is still buffered."""


async def accept_next(
    listener: trio.abc.Listener[StreamT], on_exhausted: Callable[[OSError], None] = lambda error: None
) -> StreamT:
    """Wait for the next connection; while descriptors or memory are lacking, try again a little later.

    Args:
        listener: accepts it.
        on_exhausted: told of each try that failed for that.

    Raises:
        OSError: if it fails for anything else.
    """
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            on_exhausted(error)
        await trio.sleep(RETRY_SECONDS)


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
