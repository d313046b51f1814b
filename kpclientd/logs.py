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
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from kpclientd.config.model import Logging
from kpclientd.errors import LogFileError
from kpclientd.log_levels import LEVELS

_LEVEL_LETTERS: Final = 4
_OWNER_ONLY: Final = 0o600
_STANDARD_OUTPUT: Final = Path("/dev/stdout")
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


class LogOutput:
    """Where the log goes; made by `logging_to`.

    Args:
        settings: destination and level.
        stream: stands in for standard output.

    Raises:
        LogFileError: the file cannot be opened; it is made with mode 0600 where it does not exist.
    """

    def __init__(self, settings: Logging, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._file: TextIO | None = None
        self._handler: logging.Handler = logging.NullHandler()
        self.reopen(settings)

    def reopen(self, settings: Logging) -> None:
        """Send the log where `settings` say, and open the file anew: the old one may have been renamed.

        Raises:
            LogFileError: the file cannot be opened; then all stays as it was.
        """
        file = None if settings.disable or settings.file is None else _opened(settings.file)
        output = file or self._stream or sys.stdout
        handler = logging.NullHandler() if settings.disable else logging.StreamHandler(output)
        handler.setFormatter(LineFormatter())
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(LEVELS[settings.level])
        self.close()
        self._handler, self._file = handler, file

    def close(self) -> None:
        """Send the log nowhere any more."""
        logging.getLogger().removeHandler(self._handler)
        self._handler.flush()
        if self._file is not None:
            self._file.close()


@contextmanager
def logging_to(settings: Logging, stream: TextIO | None = None) -> Iterator[LogOutput]:
    """Send the log where the configuration says for as long as the block runs; afterwards all is as before.

    Args:
        settings: destination and level.
        stream: stands in for standard output.

    Raises:
        LogFileError: the file cannot be opened; it is made with mode 0600 where it does not exist.
    """
    root = logging.getLogger()
    level = root.level
    output = LogOutput(settings, stream)
    try:
        yield output
    finally:
        root.setLevel(level)
        output.close()


def _opened(path: Path) -> TextIO:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
    except OSError as error:
        fix = "; leave File empty for standard output" if path == _STANDARD_OUTPUT else ""
        raise LogFileError(f"log file {path} cannot be opened: {error.strerror}{fix}") from error
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def _escape(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]
