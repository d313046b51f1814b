"""The files in which `box` and `pipe` keep their place between two runs: JSON, for their owner alone, whole or not.

They hold secrets: who reads one can read, or write, what its owner can.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from kpclientd.client import CapabilityTextError, CopyJob, Progress, ReadCapability, WriteCapability
from kpclientd.client.streams import DIGEST_LENGTH, SHORTEST_BOX
from kpclientd.errors import KpclientdError
from kpclientd.lock_file import LockHeldError, hold_lock
from kpclientd.whole_file import write_whole

LOCK_SUFFIX: Final = ".lock"

_LONGEST_FILE: Final = 1 << 27


class StreamFileError(KpclientdError):
    """A file that should hold a stream's place does not, cannot be read or written, or is another command's."""


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    def __repr__(self) -> str:
        return type(self).__name__


class WrittenBoxes(_Kept, frozen=True, tag="boxes that are written"):
    """A stream that is written box by box.

    Attributes:
        first: reads the first box.
        following: writes the next one.
        pending: what was to be written there, and perhaps is.
        copy: the copy that was to be carried out there, and perhaps is.
    """

    first: ReadCapability
    following: WriteCapability
    pending: bytes | None = None
    copy: CopyJob | None = None


class ReadBoxes(_Kept, frozen=True, tag="boxes that are read"):
    """A stream that is read box by box: the first box, and the next one."""

    first: ReadCapability
    following: ReadCapability


class Sending(_Kept, frozen=True, tag="a stream that is sent"):
    """A stream of bytes that is sent.

    Attributes:
        reader: reads it from the beginning.
        following: writes the first box that is not stored.
        box_length: bytes in each box.
        progress: of what is stored.
    """

    reader: ReadCapability
    following: WriteCapability
    box_length: int
    progress: Progress


class Receiving(_Kept, frozen=True, tag="a stream that is received"):
    """A stream of bytes that is received; `following` reads the box after those in `progress`."""

    following: ReadCapability
    progress: Progress


AnyKept = WrittenBoxes | ReadBoxes | Sending | Receiving
Kept = TypeVar("Kept", WrittenBoxes, ReadBoxes, Sending, Receiving)


def load(path: Path, kind: type[Kept]) -> Kept:
    """What is kept in a file.

    Raises:
        StreamFileError: it does not hold that.
    """
    kept = load_any(path)
    if not isinstance(kept, kind):
        raise StreamFileError(f"{path} is about {_about(type(kept))}, and not about {_about(kind)}")
    return kept


def load_any(path: Path) -> AnyKept:
    """What is kept in a file, of whichever kind; raises as `load` does."""
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_FILE)
    except OSError as error:
        raise StreamFileError(f"{path} cannot be read: {error.strerror or error}") from None
    return parse(data, path)


def parse(data: bytes, path: Path) -> AnyKept:
    """What the content of a file keeps; raises as `load` does."""
    try:
        kept: AnyKept = msgspec.json.decode(data, type=AnyKept)
    except (msgspec.MsgspecError, CapabilityTextError, UnicodeDecodeError):
        kept = None  # type: ignore[assignment]
    if kept is None or not _is_sound(kept):
        raise StreamFileError(f"{path} is no file of this command, or is damaged")
    return kept


def save(path: Path, kept: AnyKept) -> None:
    """Keep it, in the place of what was kept before.

    Raises:
        StreamFileError: the file cannot be written.
    """
    try:
        write_whole(path, msgspec.json.encode(kept) + b"\n")
    except OSError as error:
        raise StreamFileError(f"{path} cannot be written: {error.strerror or error}") from None


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep other runs from using the same file.

    Raises:
        StreamFileError: one does.
    """
    try:
        with hold_lock(path.with_name(path.name + LOCK_SUFFIX)):
            yield
    except LockHeldError as error:
        raise StreamFileError(f"{path} is in use by process {error.holder}") from None
    except OSError as error:
        raise StreamFileError(f"{path} cannot be used: {error.strerror or error}") from None


def _is_sound(kept: AnyKept) -> bool:
    if isinstance(kept, Sending) and kept.box_length < SHORTEST_BOX:
        return False
    if isinstance(kept, Sending | Receiving):
        progress = kept.progress
        return progress.boxes >= 0 and progress.length >= 0 and len(progress.digest) == DIGEST_LENGTH
    return True


def _about(kind: type[_Kept]) -> str:
    return str(kind.__struct_config__.tag)
