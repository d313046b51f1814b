"""The daemon's log: one line per event, in the reference's format, to standard output, a file or nowhere.

Loggers are named after the module of the reference that would have spoken (`client/conn`, `client/pki`, ...), so that
those who know its logs find their way. What may be logged: states, counts, names of peers, and ids in hex at DEBUG.
Payloads, keys, capabilities, seeds and SURBs never are.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, TextIO

from kpclientd.config.model import Logging
from kpclientd.errors import LogFileError
from kpclientd.log_levels import LEVELS

_LEVEL_LETTERS: Final = 4
_OWNER_ONLY: Final = 0o600
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class LineFormatter(logging.Formatter):
    """`HH:MM:SS.mmm LLLL module: message` in local time; control characters in a message are escaped.

    Peers' words end up in messages: none of them may begin a line of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one record, followed by its traceback if it has one."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = record.levelname[:_LEVEL_LETTERS]
        message = _CONTROL_CHARACTERS.sub(_escape, record.getMessage())
        line = f"{clock}.{int(record.msecs):03d} {level} {record.name}: {message}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


@contextmanager
def logging_to(settings: Logging, stream: TextIO | None = None) -> Iterator[None]:
    """Send the log where the configuration says for as long as the block runs.

    Args:
        settings: destination and level.
        stream: stands in for standard output.

    Raises:
        LogFileError: the file cannot be opened; it is made with mode 0600 where it does not exist.
    """
    with _destination(settings, stream) as output:
        handler = logging.NullHandler() if output is None else logging.StreamHandler(output)
        handler.setFormatter(LineFormatter())
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(LEVELS[settings.level])
        try:
            yield
        finally:
            root.setLevel(level)
            root.removeHandler(handler)


def _destination(settings: Logging, stream: TextIO | None) -> AbstractContextManager[TextIO | None]:
    if settings.disable:
        return nullcontext()
    if settings.file is None:
        return nullcontext(stream or sys.stdout)
    try:
        descriptor = os.open(settings.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
    except OSError as error:
        raise LogFileError(f"log file {settings.file} cannot be opened: {error.strerror}") from error
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def _escape(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]
