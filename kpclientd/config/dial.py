"""Where an application finds its daemon: in a `thinclient.toml`, always read strictly, as all its readers do it.

Or in the daemon's own file, for those who may read that.
"""

from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from kpclientd.config.client_file import TcpTable
from kpclientd.config.declared import Key, Table
from kpclientd.config.listen import read_tcp_address, read_unix_address
from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.config.place import Place
from kpclientd.config.reader import read_file
from kpclientd.config.toml import MAX_FILE_LENGTH, read_toml
from kpclientd.errors import ConfigError

_EXAMPLE: Final = (
    'write a [Dial.Tcp] table with Address = "127.0.0.1:64331", or [Dial.Unix] with Address = "@katzenpost"'
)


class UnixDialTable(Table, frozen=True):
    """`[Dial.Unix]`."""

    address: Annotated[str, Key("the daemon's path, or `@name`", "@katzenpost", required=True)] = ""


class DialTable(Table, frozen=True):
    """`[Dial]`."""

    unix: Annotated[UnixDialTable | None, Key("the daemon listens on a Unix socket")] = None
    tcp: Annotated[TcpTable | None, Key("the daemon listens on TCP")] = None
    ws: Annotated[
        object,
        Key("the daemon listens for WebSocket", refusal=("WebSocket is not supported by this version", _EXAMPLE)),
    ] = None


class DialFile(Table, frozen=True):
    """The whole file."""

    moved = MappingProxyType(
        {
            "Address": "Address is of an older file: it belongs into a [Dial.Tcp] or [Dial.Unix] table now",
            "Listen": "[Listen] is of the daemon's client.toml; an application wants its thinclient.toml",
        }
    )

    dial: Annotated[DialTable, Key("where the daemon listens: exactly one table")] = DialTable()


def load_dial(path: Path) -> ListenTcp | ListenUnix:
    """The place where the daemon listens, according to an application's configuration file.

    Raises:
        ConfigError: the file does not name exactly one place that can be dialled.
        UnknownKeysError: it holds anything else.
    """
    reading = read_file(path, DialFile)
    root, faults = reading.place, reading.faults
    address = faults.attempt(_read_dial, reading.values.dial, root) if not faults.found else None
    faults.explain(root)
    faults.raise_first()
    unknown = root.unknown_fault()
    if unknown is not None:
        raise unknown
    assert address is not None
    return address


def find_daemon(path: Path) -> ListenTcp | ListenUnix:
    """The place where the daemon listens, according to an application's file or to the daemon's own.

    Raises:
        ConfigError: the file is neither, or its daemon cannot be dialled from here.
    """
    if not any(key.casefold() == "listen" for key in read_toml(path, MAX_FILE_LENGTH)):
        return load_dial(path)
    from kpclientd.config.load import load_config  # an application's file needs nothing of it

    for listen in load_config(path).listen:
        if isinstance(listen, ListenUnix) or (isinstance(listen, ListenTcp) and listen.port):
            return listen
    raise ConfigError(
        path, "has neither a Unix socket nor a TCP port that is known before the daemon starts", table="Listen"
    )


def _read_dial(dial: DialTable, root: Place) -> ListenTcp | ListenUnix:
    places = root.tables["Dial"].tables
    match dial.unix, dial.tcp:
        case UnixDialTable() as unix, None:
            return ListenUnix(read_unix_address(unix.address, places["Unix"]))
        case None, TcpTable() as tcp:
            return read_tcp_address(tcp, places["Tcp"])
        case None, None:
            raise root.fault("", "no [Dial] transport is configured", _EXAMPLE)
    raise root.fault("", "exactly one [Dial] transport must be configured", _EXAMPLE)
