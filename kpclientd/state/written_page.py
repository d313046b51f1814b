"""Which answers were written to which process, in memory that outlives this process but not the machine.

Theory of operation. What is written to a socket is the kernel's: if this process is killed, its application still reads
it, and if the machine loses power, nobody does. The same holds for a file in a memory file system, so that is where it
is noted, by one store after each write: no disk is waited for, and between the write and the note nothing else of this
process runs. A kill just there, which on a busy machine may be milliseconds as the application is woken first, has that
one answer given again: noted before it is written, it might be lost instead. An application that comes back to the next
daemon, and is still the same process, has read what was noted; what any other was written and is not known to have read
is given again.

The page holds no secret: per session its id, a process, and a count. Where there is no memory file system, nothing is
noted, and an application may be told twice what it was told just before the daemon was killed.
"""

import logging
import mmap
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from blake3 import blake3

from arq import AppId
from kpclientd.thin.sessions import APP_ID_LENGTH
from kpclientd.thin.written_marks import HandedOver, PeerProcess

log = logging.getLogger("kpclientd/state")

SHARED_MEMORY: Final = Path("/dev/shm")
_MAGIC: Final = b"kpclientd written 1".ljust(64, b"\0")
_SLOT: Final = struct.Struct("<16sQQQQ16x")
_WRITTEN_AT: Final = APP_ID_LENGTH + 16
_READ_AT: Final = _WRITTEN_AT + 8
_SLOTS: Final = 2048
_LENGTH: Final = len(_MAGIC) + _SLOTS * _SLOT.size
_NAME_LENGTH: Final = 32
_WORD: Final = 8
_OWNER_ONLY: Final = 0o600
_FREE: Final = bytes(APP_ID_LENGTH)


def page_of(state_file: Path, directory: Path = SHARED_MEMORY) -> Path:
    """Where the page of a state file is; what it tells stays there when the daemon ends, for the next one."""
    name = blake3(os.fsencode(state_file)).hexdigest()[:_NAME_LENGTH]
    return directory / f"kpclientd-{os.geteuid()}-{name}"


class WrittenPage:
    """The page of one state file; see `opened`.

    Args:
        path: its file.
        memory: the page; `_LENGTH` bytes.
    """

    def __init__(self, path: Path, memory: mmap.mmap) -> None:
        self._path = path
        self._memory = memory
        self._words = memoryview(memory).cast("Q")
        self._slots: dict[AppId, int] = {}
        self._free: list[int] = []
        for offset in range(len(_MAGIC), _LENGTH, _SLOT.size):
            app_id = memory[offset : offset + APP_ID_LENGTH]
            if app_id == _FREE:
                self._free.append(offset)
            else:
                self._slots[AppId(app_id)] = offset
        self._free.reverse()  # the first ones are used first, so that few pages of memory are

    @classmethod
    def opened(cls, state_file: Path, directory: Path = SHARED_MEMORY) -> "WrittenPage | None":
        """The page that belongs to `state_file`, with what the process before noted; None where there can be none."""
        path = page_of(state_file, directory)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _OWNER_ONLY)
        except OSError as error:
            log.info("what is written to applications is not noted in %s: %s", directory, error.strerror)
            return None
        with os.fdopen(descriptor, "r+b") as file:
            found = os.fstat(descriptor)
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != _OWNER_ONLY:
                log.warning("%s is not this user's alone: what is written to applications is not noted there", path)
                return None
            if found.st_size != _LENGTH or file.read(len(_MAGIC)) != _MAGIC:
                file.truncate(0)
                file.truncate(_LENGTH)
                os.pwrite(descriptor, _MAGIC, 0)
            return cls(path, mmap.mmap(descriptor, _LENGTH))

    def handed_over(self) -> Mapping[AppId, HandedOver]:
        """What the process before this one wrote to whom."""
        return dict(self._noted())

    def _noted(self) -> Iterator[tuple[AppId, HandedOver]]:
        for app_id, offset in self._slots.items():
            _, process, started, written, read = _SLOT.unpack_from(self._memory, offset)
            yield app_id, HandedOver(PeerProcess(process, started) if process else None, written, read)

    def connected(self, app_id: AppId, peer: PeerProcess | None) -> None:
        """The application has another connection, to which no answer was written, or none."""
        offset = self._slots.get(app_id)
        if offset is None:
            if not self._free:
                return
            offset = self._slots[app_id] = self._free.pop()
        # First the count, which must never stand beside a process to which nothing was written.
        self._note(offset + _WRITTEN_AT, 0)
        read = self._words[(offset + _READ_AT) // _WORD]
        _SLOT.pack_into(self._memory, offset, app_id, *((peer.process, peer.started) if peer else (0, 0)), 0, read)

    def written(self, app_id: AppId, number: int) -> None:
        """The answers up to that number were written to its connection."""
        offset = self._slots.get(app_id)
        if offset is not None:
            self._note(offset + _WRITTEN_AT, number)

    def read(self, app_id: AppId, number: int) -> None:
        """The answers up to that number were read from it."""
        offset = self._slots.get(app_id)
        if offset is not None:
            self._note(offset + _READ_AT, number)

    def forget(self, app_id: AppId) -> None:
        """The application is gone for good."""
        offset = self._slots.pop(app_id, None)
        if offset is not None:
            self._memory[offset : offset + _SLOT.size] = bytes(_SLOT.size)
            self._free.append(offset)

    def close(self) -> None:
        """The daemon ends; a page that tells the next one nothing is removed."""
        if not self._slots:
            self._path.unlink(missing_ok=True)

    def _note(self, place: int, number: int) -> None:
        self._words[place // _WORD] = number  # one store of the processor's: there is no half of it

    def keep_only(self, app_ids: set[AppId]) -> None:
        """Forget all others."""
        for app_id in self._slots.keys() - app_ids:
            self.forget(app_id)
