"""The Loopix client's log, in the form and at the place of the reference.

Modules speak by the loggers below `loopix`. What may be logged: states, counts, addresses and ids. Messages, tokens and
keys never are, though the reference logs the first two.
"""

import logging
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Final, TextIO

from kpclientd.errors import LogFileError

ROOT: Final = "loopix"
CLIENT: Final = f"{ROOT}.client"
TCP_SOCKET: Final = f"{ROOT}.tcp-socket-server"
WEBSOCKET: Final = f"{ROOT}.websocket-server"

TRACE: Final = 5
FATAL: Final = 60
PANIC: Final = 70

LEVELS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "panic": PANIC,
        "fatal": FATAL,
        "error": logging.ERROR,
        "warn": logging.WARNING,
        "warning": logging.WARNING,
        "info": logging.INFO,
        "debug": logging.DEBUG,
        "trace": TRACE,
    }
)
"""The reference's levels, by the names that a configuration gives them."""

_NAMES: Final = {PANIC: "PANI", FATAL: "FATA", TRACE: "TRAC"}
_LEVEL_LETTERS: Final = 4
_COLOURS: Final = {TRACE: 36, logging.DEBUG: 34, logging.INFO: 32, logging.WARNING: 33, logging.ERROR: 31}
_WORST_COLOUR: Final = 35
_OWNER_ONLY: Final = 0o600


class LineFormatter(logging.Formatter):
    """The reference's coloured line; characters that are not for printing are escaped.

    Args:
        client_id: the name under which the client itself speaks.
    """

    def __init__(self, client_id: str) -> None:
        super().__init__()
        self._client_id = client_id

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one record, followed by its traceback if it has one."""
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        module = self._client_id if record.name == CLIENT else record.name.removeprefix(f"{ROOT}.")
        level = _NAMES.get(record.levelno, record.levelname[:_LEVEL_LETTERS])
        colour = _COLOURS.get(record.levelno, _WORST_COLOUR)
        when = f"\x1b[37m[{clock}.{int(record.msecs):03d}]\x1b[0m"
        line = f"{when}\x1b[{colour}m {_printable(module)}/Logf ▶ {level} \x1b[0m- {_printable(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


@contextmanager
def logging_to(client_id: str, *, disable: bool, file: Path | None, level: str) -> Iterator[None]:
    """Send the client's log to a file, or to standard output, for as long as the block runs.

    Args:
        client_id: the name under which the client itself speaks.
        disable: whether there is no log at all.
        file: appended to, made with mode 0600; None for standard output.
        level: one of `LEVELS`, in any letter case.

    Raises:
        LogFileError: if the file cannot be opened, or is not the user's own regular file.
    """
    with _destination(disable, file) as output:
        handler = logging.NullHandler() if output is None else logging.StreamHandler(output)
        handler.setFormatter(LineFormatter(client_id))
        root = logging.getLogger(ROOT)
        before = root.level, root.propagate
        root.addHandler(handler)
        root.setLevel(LEVELS[level.lower()])
        root.propagate = False
        try:
            yield
        finally:
            root.removeHandler(handler)
            level_before, root.propagate = before
            root.setLevel(level_before)


def _destination(disable: bool, file: Path | None) -> AbstractContextManager[TextIO | None]:
    if disable:
        return nullcontext()
    if file is None:
        return nullcontext(sys.stdout)
    # The reference's place is a name in /tmp that anybody can guess: a link or another user's file there is refused.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(file, flags, _OWNER_ONLY)
    except OSError as error:
        raise LogFileError(f"log file {file} cannot be opened: {error.strerror}") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
        os.close(descriptor)
        raise LogFileError(f"log file {file} is not a regular file of this user")
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
