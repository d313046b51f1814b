"""Who is at the other end of a socket, as far as the kernel tells.

Over a Unix socket it tells the process and its user. Of a TCP connection from this machine to this machine it lists
the other end too, with its user, in /proc/self/net/tcp (proc(5)); whoever is on another machine is in no such list.
"""

import socket
import struct
from pathlib import Path
from typing import Final

import trio

from kpclientd.thin.written_marks import PeerProcess

_CREDENTIALS: Final = struct.Struct("=iII")
_FIELDS_BEFORE_START: Final = 19
"""In /proc/PID/stat, from the one after the program's name to the time of the process's start (proc(5))."""

_TABLES: Final = {socket.AF_INET: "tcp", socket.AF_INET6: "tcp6"}
_FIELDS_BEFORE_USER: Final = 4
"""In a row of such a list, which begins with both ends from the point of view of its owner, between them and its user:
state, queues, timer and retransmissions."""


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


def user_of(stream: trio.abc.Stream) -> int | None:
    """The number of the user who connected to us by `stream`; None where nobody knows."""
    if not isinstance(stream, trio.SocketStream):
        return None
    try:
        if stream.socket.family == socket.AF_UNIX:
            credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            return int(_CREDENTIALS.unpack(credentials)[1])
        theirs, ours = stream.socket.getpeername(), stream.socket.getsockname()
        ends = f" {_listed(stream.socket.family, theirs)} {_listed(stream.socket.family, ours)} ".encode()
        # A list of thousands, so it is not taken apart.
        rest = Path(f"/proc/self/net/{_TABLES[stream.socket.family]}").read_bytes().partition(ends)[2]
        return int(rest.split(maxsplit=_FIELDS_BEFORE_USER + 1)[_FIELDS_BEFORE_USER]) if rest else None
    except (OSError, AttributeError, KeyError, ValueError, IndexError, struct.error):
        return None


def _listed(family: int, address: tuple[str, int]) -> str:
    """An end of a connection as the lists have it: 32-bit words in the machine's own order, and the port."""
    packed = socket.inet_pton(family, address[0].partition("%")[0])
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{address[1]:04X}"
