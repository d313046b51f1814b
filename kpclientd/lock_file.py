"""One process at a time: whoever does something in a place holds a lock on a file there.

The lock is the operating system's and ends with the process, however that ends; a file that was left behind by one
that was killed is in nobody's way.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kpclientd.errors import KpclientdError

_LONGEST_PROCESS_ID: Final = 20
_EVERYBODY_READS: Final = 0o644


class LockHeldError(KpclientdError):
    """Another process holds the lock.

    Attributes:
        holder: its process id, in text.
    """

    def __init__(self, path: Path, holder: str) -> None:
        self.holder = holder
        super().__init__(f"{path} is held by process {holder}")


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock whose file is `path`; afterwards the file is gone.

    Raises:
        LockHeldError: if another process holds it.
        OSError: if there can be no such file.
    """
    descriptor = _lock(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is still held: no other can have locked this file
        os.close(descriptor)


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _EVERYBODY_READS)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_there(descriptor, path):
                return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, _LONGEST_PROCESS_ID, 0).decode("ascii", "replace") or "unknown"
            os.close(descriptor)
            raise LockHeldError(path, holder) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last holder removed it between our two calls


def _is_still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
