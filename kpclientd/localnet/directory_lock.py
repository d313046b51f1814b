"""One network for each directory: whoever runs there holds a lock on a file in it.

The lock is the operating system's and ends with the process, however that ends; a file that was left behind by one
that was killed is in nobody's way.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kpclientd.localnet.errors import DirectoryInUseError

LOCK_FILE: Final = "localnet.lock"

_LONGEST_PROCESS_ID: Final = 20


@contextmanager
def hold_directory(directory: Path) -> Iterator[None]:
    """Hold `directory`, which is made if it is missing; afterwards the lock's file is gone.

    Raises:
        DirectoryInUseError: if a network runs there.
        OSError: if there can be no such directory, or no file in it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / LOCK_FILE
    descriptor = _lock(path, directory)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is still held: no other can have locked this file
        os.close(descriptor)


def _lock(path: Path, directory: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still_there(descriptor, path):
                return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, _LONGEST_PROCESS_ID, 0).decode("ascii", "replace") or "unknown"
            os.close(descriptor)
            raise DirectoryInUseError(
                f"a local network runs in {directory} already (process {holder}): stop it, or choose another directory"
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last holder removed it between our two calls


def _is_still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
