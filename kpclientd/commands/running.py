"""What the commands that use the client have in common: where the daemon is, statuses, and how they end."""

import argparse
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio

from kpclientd.client import BoxDeletedError, BoxNotWrittenError, CapabilityTextError
from kpclientd.command_parser import MISUSED
from kpclientd.commands.stream_files import StreamFileError
from kpclientd.config.dial import find_daemon
from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.errors import ConfigError
from sphinx.errors import MixnetError

DONE: Final = 0
FAILED: Final = 1
NOT_WRITTEN: Final = 3
DELETED: Final = 4
INTERRUPTED: Final = 130

DAEMON_FILE: Final = "client.toml"
FILES: Final = ("thinclient.toml", DAEMON_FILE)
"""An application's file, or the daemon's: either says where the daemon is."""

SYSTEM_FOLDER: Final = Path("/etc/kpclientd")

_STATUS_OF: Final[tuple[tuple[type[Exception], int], ...]] = (
    (ConfigError, MISUSED),
    (StreamFileError, MISUSED),
    (CapabilityTextError, MISUSED),
    (BoxNotWrittenError, NOT_WRITTEN),
    (BoxDeletedError, DELETED),
)

Work = Callable[[], Awaitable[None]]


def file_path(text: str) -> Path:
    """Read the path of a file beside which others have their place, so it must have a name."""
    path = Path(text)
    if not path.name:
        raise argparse.ArgumentTypeError(f"'{text}' is not the name of a file")
    return path


def add_config(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Add the option that says where the daemon is; `flags` where -c is another one's."""
    parser.add_argument(
        *(flags or ("-c", "--config")),
        type=Path,
        metavar="FILE",
        help=f"an application's file, or the daemon's; default: {' or '.join(FILES)} here, in ~/.config/kpclientd or "
        f"in {SYSTEM_FOLDER}",
    )


def daemon_of(options: argparse.Namespace) -> ListenTcp | ListenUnix:
    """Where the daemon is, by the file that was given, or by the first that is found.

    Raises:
        ConfigError: there is no such file, or it does not say.
    """
    return find_daemon(options.config if options.config is not None else found_file(*FILES))


def found_file(*names: str) -> Path:
    """The first readable file of these names, here or where configurations are kept.

    Raises:
        ConfigError: there is none.
    """
    home = Path(os.environ.get("XDG_CONFIG_HOME") or _home() / ".config")
    for folder in (Path(), home / "kpclientd", SYSTEM_FOLDER):
        for path in (folder / name for name in names):
            if os.access(path, os.R_OK):
                return path
    raise ConfigError(
        Path(names[0]),
        f"is neither here nor in {home}/kpclientd nor in {SYSTEM_FOLDER}",
        fix="say where it is by --config",
    )


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # of a user whom the system does not know, without HOME
        return Path("/")


def run(name: str, work: Work, *, hint: Callable[[], str] = lambda: "") -> int:
    """Run a command until it ends, or a signal ends it; returns its exit status.

    Args:
        name: of the command.
        work: what it does.
        hint: what is said after anything that ended it early.
    """
    try:
        if trio.run(_until_interrupted, work):
            return DONE
        _say(name, "interrupted", hint())
        return INTERRUPTED
    except BrokenPipeError:
        return FAILED
    except (MixnetError, OSError) as error:
        status = next((status for kind, status in _STATUS_OF if isinstance(error, kind)), FAILED)
        _say(name, str(error), hint() if status == FAILED else "")
        return status


def _say(name: str, text: str, hint: str) -> None:
    sys.stderr.write(f"kpclientd {name}: {text}{hint and f'; {hint}'}\n")


async def _until_interrupted(work: Work) -> bool:
    """Do it, and return True; or False, if a signal came before it was done."""
    failures: list[Exception] = []
    is_done = False

    async def do() -> None:
        nonlocal is_done
        try:
            await work()
            is_done = True
        except Exception as error:  # raised behind the nursery, which would make a group of it
            failures.append(error)
        nursery.cancel_scope.cancel()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(do)
            async for _ in signals:
                nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]
    return is_done
