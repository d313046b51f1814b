"""The daemon's log: one line per event, to standard output, a file or nowhere.

Three forms: text, with the time as ISO 8601 has it; JSON, if the configuration says so; and where standard output is
the journal's, which keeps times by itself, text behind a priority instead of the time. Whatever a message or a
traceback holds, each of its lines begins like the others, so that nobody's words can pass for a line of their own.

Loggers are named after the module of the reference that would have spoken (`client/conn`, `client/pki`, ...), so that
those who know its logs find their way. What may be logged: states, counts, names of peers, and ids in hex at DEBUG.
Payloads, keys, capabilities, seeds and SURBs never are.

Source: sd-daemon(3) for priorities, systemd.exec(5) for `JOURNAL_STREAM`.
"""

import io
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, TextIO

from kpclientd.config.model import Logging
from kpclientd.errors import LogFileError
from kpclientd.log_levels import LEVELS, LOG_FORMATS, NOTICE

_LEVEL_LETTERS: Final = 4
_OWNER_ONLY: Final = 0o600
_STANDARD_STREAMS: Final = frozenset(map(Path, ("/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2")))
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (NOTICE, 5), (logging.INFO, 6), (0, 7))
"""Of the journal, which are syslog's, by the least level that each stands for."""


class TextFormatter(logging.Formatter):
    """`TIME LLLL module: message`, the time local, with milliseconds and its offset from UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of one record: the message, and its traceback if it has one."""
        start = self._start(record)
        return "\n".join(f"{start}{line}" for line in _lines(record, self))

    def _start(self, record: logging.LogRecord) -> str:
        return f"{_local_time(record)} {record.levelname[:_LEVEL_LETTERS]} {record.name}: "


class JournalFormatter(TextFormatter):
    """`<N>module: message`, where N is the priority."""

    def _start(self, record: logging.LogRecord) -> str:
        return f"<{_priority(record)}>{record.name}: "


class JsonFormatter(logging.Formatter):
    """An object in a line: time, level, module, message, and traceback if there is one.

    Args:
        in_journal: whether a priority stands before it, which the journal takes away.
    """

    def __init__(self, *, in_journal: bool) -> None:
        super().__init__()
        import json  # for those who want it

        self._encode = json.dumps
        self._in_journal = in_journal

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one record."""
        message, *traceback = _lines(record, self)
        told = {
            "time": _local_time(record),
            "level": record.levelname,
            "module": record.name,
            "message": message,
            **({"traceback": "\n".join(traceback)} if traceback else {}),
        }
        start = f"<{_priority(record)}>" if self._in_journal else ""
        return start + self._encode(told)


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream. That it cannot be written is said once, on standard error: the log tells nothing then.

    The daemon goes on, for a full disk must not end it.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._is_failing = False
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever the locale can write

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            self.stream.write(self.format(record) + self.terminator)
            self.stream.flush()
            self._is_failing = False
        except (OSError, ValueError) as error:
            self._fail(error)

    def flush(self) -> None:
        """Write what is buffered; give it up if that is not possible, or the interpreter's own end would fail on it."""
        if self.stream.closed:
            return
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self._fail(error)
            if self.stream is sys.stdout:
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())

    def _fail(self, error: Exception) -> None:
        if self._is_failing:
            return
        self._is_failing = True
        try:
            print(f"kpclientd: the log cannot be written: {error}", file=sys.stderr, flush=True)
        except (OSError, ValueError):
            pass  # there is nobody left to tell


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream is the journal's."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


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
        handler: logging.Handler = logging.NullHandler() if settings.disable else LogHandler(output)
        handler.setFormatter(_formatter(settings, in_journal=is_journal(output, os.environ)))
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
            try:
                self._file.close()
            except OSError:
                pass  # it was said that it cannot be written


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
        fix = "; leave File empty for standard output" if path in _STANDARD_STREAMS else ""
        raise LogFileError(f"log file {path} cannot be opened: {error.strerror}{fix}") from error
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def _formatter(settings: Logging, *, in_journal: bool) -> logging.Formatter:
    if settings.format == LOG_FORMATS[1]:
        return JsonFormatter(in_journal=in_journal)
    return JournalFormatter() if in_journal else TextFormatter()


def _lines(record: logging.LogRecord, formatter: logging.Formatter) -> list[str]:
    """The message in one line, and those of the traceback; control characters in them are escaped."""
    traceback = formatter.formatException(record.exc_info).split("\n") if record.exc_info else []
    return [_CONTROL_CHARACTERS.sub(_escape, line) for line in (record.getMessage(), *traceback)]


def _local_time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _priority(record: logging.LogRecord) -> int:
    return next(priority for level, priority in _PRIORITIES if record.levelno >= level)


def _escape(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]
