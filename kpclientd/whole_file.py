"""Files that a power cut leaves whole or not at all: written beside their place, flushed, and moved there."""

import os
from pathlib import Path
from typing import Final

UNFINISHED: Final = ".unfinished"
"""Ends the name of one that is still being written."""

_OWNER_ONLY: Final = 0o600


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that nobody but its owner may read; it takes the place of one that is there.

    Raises:
        OSError: it cannot be written, or not be flushed.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, _OWNER_ONLY)  # one that was left unfinished keeps its own
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    unfinished.replace(path)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
