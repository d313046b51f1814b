"""Where the replicas of a local network keep boxes: one SQLite file for all of them, or memory.

Replicas are told apart by their identities, so that a network with other keys finds nothing of another's. A box belongs
to the replica epoch (week) in which it was written, and goes when that is older than the previous one.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from kpclientd.localnet.errors import LocalNetworkError
from kpclientd.pigeonhole.replica_messages import Box

STORAGE_FILE: Final = "storage.sqlite3"
MOST_BOXES: Final = 1 << 18
"""Of one replica; half a gigabyte with boxes of 2000 bytes."""

_IN_MEMORY: Final = ":memory:"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS boxes (
  replica BLOB, box_id BLOB, epoch INTEGER, payload BLOB, signature BLOB, PRIMARY KEY (replica, box_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS envelope_keys (private_key_hash BLOB PRIMARY KEY, public_key BLOB) WITHOUT ROWID;
"""


class BoxTable:
    """The boxes of all replicas, and the public keys that take long to make.

    Args:
        path: of the file, which is made if it is missing; None for memory.
        most: how many boxes each replica may have.

    Raises:
        LocalNetworkError: if the file cannot be opened, or is no such file.
    """

    def __init__(self, path: Path | None = None, most: int = MOST_BOXES) -> None:
        self._most = most
        self._counts: dict[bytes, int] = {}
        self._oldest: int | None = None
        try:
            self._database = sqlite3.connect(path or _IN_MEMORY, isolation_level=None)
            try:
                # A power cut may cost the newest boxes; no test network is worth a disk's flush for each.
                self._database.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_SCHEMA}")
            except sqlite3.Error:
                self._database.close()
                raise
        except sqlite3.Error as error:
            raise LocalNetworkError(f"{path}: boxes cannot be kept there: {error}; remove the file") from None

    def find(self, replica: bytes, box_id: bytes) -> Box | None:
        """Return a box of a replica, if it has it; raises sqlite3.Error."""
        row = self._database.execute(
            "SELECT payload, signature FROM boxes WHERE replica = ? AND box_id = ?", (replica, box_id)
        ).fetchone()
        return None if row is None else Box(box_id, *row)

    def put(self, replica: bytes, epoch: int, box: Box) -> None:
        """Keep a box, in the place of another if there is one; raises sqlite3.Error."""
        count, is_new = self._count(replica), self.find(replica, box.box_id) is None
        self._database.execute(
            "INSERT OR REPLACE INTO boxes VALUES (?, ?, ?, ?, ?)",
            (replica, box.box_id, epoch, box.payload, box.signature),
        )
        self._counts[replica] = count + is_new

    def is_full(self, replica: bytes) -> bool:
        """Whether a replica has as many boxes as it may have; raises sqlite3.Error."""
        return self._count(replica) >= self._most

    def forget_before(self, epoch: int) -> None:
        """Remove the boxes of the replica epochs before `epoch`; raises sqlite3.Error."""
        if self._oldest != epoch:
            self._database.execute("DELETE FROM boxes WHERE epoch < ?", (epoch,))
            self._counts.clear()
            self._oldest = epoch

    def _count(self, replica: bytes) -> int:
        if replica not in self._counts:
            query = "SELECT COUNT(*) FROM boxes WHERE replica = ?"
            (self._counts[replica],) = self._database.execute(query, (replica,)).fetchone()
        return self._counts[replica]

    def find_public_key(self, private_key_hash: bytes) -> bytes | None:
        """Return the public key that was kept for a private one, if the file has it and can be read."""
        query = "SELECT public_key FROM envelope_keys WHERE private_key_hash = ?"
        with suppress(sqlite3.Error):
            for (public_key,) in self._database.execute(query, (private_key_hash,)):
                return bytes(public_key)
        return None

    def put_public_key(self, private_key_hash: bytes, public_key: bytes) -> None:
        """Keep a public key, if the disk lets us: without, it is made anew the next time."""
        with suppress(sqlite3.Error):
            self._database.execute("INSERT OR REPLACE INTO envelope_keys VALUES (?, ?)", (private_key_hash, public_key))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
