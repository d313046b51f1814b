"""Reads a `thinclient.toml`: where an application finds its daemon. Always strict, as all its readers are."""

from pathlib import Path
from typing import Final

from kpclientd.config.listen import read_tcp_address, read_unix_address
from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.config.table import read_table

_EXAMPLE: Final = (
    'write a [Dial.Tcp] table with Address = "127.0.0.1:64331", or [Dial.Unix] with Address = "@katzenpost"'
)


def load_dial(path: Path) -> ListenTcp | ListenUnix:
    """The place where the daemon listens, according to an application's configuration file.

    Raises:
        ConfigError: the file does not name exactly one place that can be dialled.
        UnknownKeysError: it holds anything else.
    """
    root = read_table(path)
    dial = root.table("Dial")
    unix, tcp, websocket = (dial.table(kind) if dial else None for kind in ("Unix", "Tcp", "Ws"))
    given = [table for table in (unix, tcp, websocket) if table is not None]
    if len(given) != 1:
        fault = "no [Dial] transport is configured" if not given else "exactly one [Dial] transport must be configured"
        raise root.fault("", fault, _EXAMPLE)
    if websocket is not None:
        raise websocket.fault("", "WebSocket is not supported by this version", _EXAMPLE)
    address = read_unix_address(unix) if unix is not None else read_tcp_address(given[0])
    root.check_known()
    return address
