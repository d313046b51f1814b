"""The state file on the disk: recovered, appended to, and written anew when too much of it is out of date.

Theory of operation. Every commit is appended, and flushed before `append` returns. At the start, and whenever the file
has become long, all is written to a new file beside it, which then takes its place as a whole; commits that come
meanwhile go to both. So the file is always a good one, or a good one with a torn end. A file with damage that no power
cut explains is kept aside, the last one of them.

The functions block, and are to be called off the event loop, one at a time. What the operating system refuses comes out
as an OSError; after one of an `append`, only `begin_rewrite` makes the file good again.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kpclientd.lock_file import LockHeldError, hold_lock
from kpclientd.state.errors import HeadDamagedError, StateError
from kpclientd.state.record_log import LogWriter, Recovered, Rows, recover
from kpclientd.whole_file import flush_folder
from sphinx.randomness import Randomness

log = logging.getLogger("kpclientd/state")

LONGEST: Final = 1 << 30
"""Bytes of the longest file that is read; it is written anew long before."""

_OWNER_ONLY: Final = 0o600
_OWNER_ONLY_FOLDER: Final = 0o700
_LOCK_SUFFIX: Final = ".lock"
_NEW_SUFFIX: Final = ".new"
_DAMAGED_SUFFIX: Final = ".damaged"
_REWRITE_AT_LEAST: Final = 1 << 20
_REWRITE_FACTOR: Final = 2


class StateFile:
    """An open state file; made by `opened`, and to be written anew before anything is appended.

    Attributes:
        recovered: what was in it.
        size: bytes.
    """

    def __init__(self, path: Path, key: bytes, randomness: Randomness, recovered: Recovered) -> None:
        self.recovered = recovered
        self.size = 0
        self._path = path
        self._key = key
        self._randomness = randomness
        self._size_when_new = 0
        self._current: _OpenLog | None = None
        self._coming: _OpenLog | None = None

    @property
    def wants_rewrite(self) -> bool:
        """Whether the file has grown so much that most of it is out of date."""
        return self.size > _REWRITE_FACTOR * self._size_when_new + _REWRITE_AT_LEAST

    def append(self, rows: Rows) -> None:
        """Commit what changed: it is on the disk when this returns."""
        self.add(rows)
        if self._current is None:
            raise OSError("the state file has to be written anew first")
        try:
            self.size += self._current.append(rows)
        except OSError:
            self._current.close()
            self._current = None  # what is in it now is not known
            raise

    def begin_rewrite(self) -> None:
        """Begin a new file, which takes this one's place at `finish_rewrite`; one that was begun is given up."""
        self.abandon_rewrite()
        self._coming = _OpenLog(self._new_path, LogWriter(self._key, self._randomness))

    def add(self, rows: Rows) -> None:
        """Write rows to the new file, in which all there are must come to stand."""
        if self._coming is not None:
            self._coming.add(rows)

    def finish_rewrite(self) -> None:
        """The new file has all rows: let it take the place of the old one."""
        coming = self._coming
        if coming is None:
            return
        coming.flush()
        self._new_path.replace(self._path)
        flush_folder(self._path.parent)
        if self._current is not None:
            self._current.close()
        self._current, self._coming = coming, None
        self.size = self._size_when_new = coming.size

    def abandon_rewrite(self) -> None:
        """Give a new file up that was begun."""
        if self._coming is not None:
            self._coming.close()
            self._coming = None
            self._new_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; all that was appended is in it."""
        self.abandon_rewrite()
        if self._current is not None:
            self._current.close()
            self._current = None

    @property
    def _new_path(self) -> Path:
        return self._path.with_name(self._path.name + _NEW_SUFFIX)


@contextmanager
def opened(path: Path, key_of: Callable[[Path], bytes], randomness: Randomness) -> Iterator[StateFile]:
    """The state file at `path`, which no other process has meanwhile; it is made if it is missing, and its folder too.

    Args:
        path: an absolute path.
        key_of: gives the master key (32 bytes) of the file that it is told, see `state_key`.
        randomness: for salts and nonces.

    Raises:
        StateError: it is in use, or cannot be read.
        OSError: its folder cannot be written to.
    """
    path.parent.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
    path = path.resolve()  # it is replaced where it is, not the link that leads there
    try:
        with hold_lock(path.with_name(path.name + _LOCK_SUFFIX)):
            key = key_of(path)
            file = StateFile(path, key, randomness, _recovered(path, key))
            try:
                yield file
            finally:
                file.close()
    except LockHeldError as error:
        raise StateError(f"another daemon (process {error.holder}) keeps its state in {path}") from None


def _recovered(path: Path, key: bytes) -> Recovered:
    data = _read(path)
    if data is None:
        return Recovered()
    try:
        found = recover(data, key)
    except HeadDamagedError as error:
        log.error("%s: %s; it is kept as %s, and nothing of it goes on", path, error, _kept_aside(path))
        return Recovered()
    except StateError as error:
        raise StateError(f"{path}: {error}; bring the right file or key back, or remove {path}") from None
    torn = sum(damage.length for damage in found.damages if damage.is_torn)
    damaged = [damage for damage in found.damages if not damage.is_torn]
    if torn:
        log.warning(
            "The last %d bytes of %s were being written when the machine or the daemon stopped: what they said"
            " had not been told to any application.",
            torn,
            path,
        )
    if damaged:
        places = ", ".join(f"{damage.length} from byte {damage.offset} on" for damage in damaged[:5])
        log.error(
            "%s is damaged in %d places (bytes: %s): what was there is lost. The file is kept as %s.",
            path,
            len(damaged),
            places,
            _kept_aside(path),
        )
    return found


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise StateError(f"{path} is longer than {LONGEST} bytes: it is no state file of this daemon")
    return data


def _kept_aside(path: Path) -> Path:
    aside = path.with_name(path.name + _DAMAGED_SUFFIX)
    aside.unlink(missing_ok=True)
    os.link(path, aside)  # the file itself is about to be replaced
    return aside


class _OpenLog:
    """A file that is being written."""

    def __init__(self, path: Path, writer: LogWriter) -> None:
        self.size = 0
        self._writer = writer
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, _OWNER_ONLY
        )
        try:
            os.fchmod(self._descriptor, _OWNER_ONLY)
            self._write(writer.head())
        except BaseException:
            self.close()
            raise

    def add(self, rows: Rows) -> None:
        """Write a record, which `flush` makes durable."""
        self._write(self._writer.record(rows))

    def append(self, rows: Rows) -> int:
        """Write a record, make it durable and mark it so; returns how many bytes that took."""
        before = self.size
        self.add(rows)
        self.flush()
        return self.size - before

    def flush(self) -> None:
        """Make all that was written durable, and mark it so."""
        os.fdatasync(self._descriptor)
        self._write(self._writer.mark())

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.size += len(data)
