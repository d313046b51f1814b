"""Consensus documents on disk, so that a restart has them at once, offline too.

Theory of operation. A file a document: the signed certificate as it came, under a name that tells its epoch and the
BLAKE3 hash of its bytes. It is written beside its place, flushed, and moved there, so that a power cut leaves a whole
file or none; what is torn, altered or foreign does not have its name's hash and is removed. What is read is believed no
more than what a gateway sends: it is verified again. Nobody but the owner may read the folder: which documents a client
has, and when it got them, tells when it was online.

The functions block; they are run off the event loop.
"""

import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from blake3 import blake3

from kpclientd.whole_file import UNFINISHED, write_whole

log = logging.getLogger("client/pki")

FOLDER: Final = "documents"
MOST_KEPT: Final = 3
"""The previous, the present and the next epoch's."""

_NAME: Final = re.compile(r"(?P<epoch>[0-9]{1,20})\.(?P<digest>[0-9a-f]{64})\.cbor")
_OWNER_ONLY_FOLDER: Final = 0o700


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A certificate as it stood on disk; its bytes are those that were written, and not yet believed."""

    epoch: int
    blob: bytes = field(repr=False)


class DocumentStore:
    """The folder.

    Args:
        data_dir: the daemon's own directory; it is made if it is not there.
        longest: bytes of the longest document that is read.
    """

    def __init__(self, data_dir: Path, longest: int) -> None:
        self._folder = data_dir / FOLDER
        self._longest = longest

    def load(self) -> list[StoredDocument]:
        """All whole documents, newest epoch first; whatever else looks like one is removed.

        A folder that cannot be read is said and is as good as empty.
        """
        documents = []
        for epoch, path in self._files():
            try:
                blob = self._read(path)
            except OSError as error:
                log.warning("%s cannot be read: %s", path, error.strerror)
                continue
            if blob is None:
                log.warning("%s is torn or altered; it is removed", path)
                self._remove(path)
            else:
                documents.append(StoredDocument(epoch, blob))
        return documents

    def save(self, epoch: int, blob: bytes) -> None:
        """Keep a document, and of all of them only the newest epochs. What goes wrong is said, and does no harm."""
        path = self._folder / f"{epoch}.{blake3(blob).hexdigest()}.cbor"
        try:
            self._folder.parent.parent.mkdir(parents=True, exist_ok=True)
            for folder in (self._folder.parent, self._folder):
                folder.mkdir(mode=_OWNER_ONLY_FOLDER, exist_ok=True)
            self._write(path, blob)
        except OSError as error:
            log.warning("the document of epoch %d cannot be kept in %s: %s", epoch, self._folder, error.strerror)
            return
        files = self._files()
        same_epoch = [other for number, other in files if number == epoch and other != path]
        oldest = [other for _, other in files if other not in same_epoch][MOST_KEPT:]
        for other in (*same_epoch, *oldest):
            self._remove(other)

    def _files(self) -> list[tuple[int, Path]]:
        """Those whose names are right, newest epoch first; what was left unfinished is removed."""
        files = []
        try:
            for path in self._folder.iterdir():
                if match := _NAME.fullmatch(path.name):
                    files.append((int(match["epoch"]), path))
                elif path.name.endswith(UNFINISHED):
                    self._remove(path)
        except OSError:
            return []  # there is none yet
        return sorted(files, reverse=True)

    def _read(self, path: Path) -> bytes | None:
        match = _NAME.fullmatch(path.name)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            blob = file.read(self._longest + 1)
        if match is None or len(blob) > self._longest or blake3(blob).hexdigest() != match["digest"]:
            return None
        return blob

    def _write(self, path: Path, blob: bytes) -> None:
        if not path.exists():
            write_whole(path, blob)

    @staticmethod
    def _remove(path: Path) -> None:
        try:
            path.unlink()
        except OSError as error:
            log.warning("%s cannot be removed: %s", path, error.strerror)
