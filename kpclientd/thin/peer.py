"""Which process is at the other end of a socket, as far as the kernel tells: over a Unix socket of this machine."""

import socket
import struct
from pathlib import Path
from typing import Final

import trio

from kpclientd.thin.written_marks import PeerProcess

_CREDENTIALS: Final = struct.Struct("=iII")
_FIELDS_BEFORE_START: Final = 19
"""In /proc/PID/stat, from the one after the program's name to the time of the process's start (proc(5))."""


def peer_of(stream: trio.abc.Stream) -> PeerProcess | None:
    """The process that connected to us by `stream`; None where nobody knows."""
    if not isinstance(stream, trio.SocketStream) or stream.socket.family != socket.AF_UNIX:
        return None
    try:
        credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        process = _CREDENTIALS.unpack(credentials)[0]
        # The program's name stands in brackets, and may hold anything.
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        return PeerProcess(process, int(fields[_FIELDS_BEFORE_START]))
    except (OSError, AttributeError, ValueError, IndexError, struct.error):
        return None
