"""Tables of multiples of the nodes' mix keys: with one, a product by the key takes less than a third of the time.

    document --> `keep`, in a worker: a table for each of its keys, as far as there is room --> packets look them up

Theory of operation. A mix key serves for an epoch or two, and every packet multiplies by those of its hops. A table
costs as much as five products, so it pays for itself soon, but not where it would be thrown away again: so there is no
table at first use and no eviction. Whoever follows the documents says which keys are in use, the most wanted first;
those that find room have tables until the next time, the others have the ladder. Which keys have tables depends on the
document alone, so how long a packet takes to make says nothing of what is sent.

A key on the curve's twist, or one of low order, has no table; its products are the ladder's, and so are the verdicts.
"""

from collections.abc import Iterable
from typing import Any, Final

from sphinx.native.library import Library

MOST_BYTES: Final = 4 * 2**20
"""Of all tables: 105 of them. A network of 20 nodes takes 1.6 million, for two epochs."""


class KeyTables:
    """The tables of the keys that are in use. Threads may share it: what is kept is replaced as a whole.

    Args:
        library: makes them.
        most_bytes: that all of them may take.
    """

    __slots__ = ("_library", "_most", "_tables")

    def __init__(self, library: Library, most_bytes: int = MOST_BYTES) -> None:
        self._library = library
        self._most = most_bytes // library.table_bytes
        self._tables: dict[bytes, Any] = {}

    def __len__(self) -> int:
        return sum(table is not None for table in self._tables.values())

    def keep(self, public_keys: Iterable[bytes]) -> None:
        """Have tables of these keys, and of no others.

        Args:
            public_keys: 32 bytes each, the most wanted first; keys of other lengths, and those for which there is no
                room, get none.
        """
        before, tables = self._tables, dict[bytes, Any]()
        for key in public_keys:
            if len(tables) >= self._most:
                break
            if len(key) == self._library.point_length and key not in tables:
                tables[key] = before[key] if key in before else self._library.table(key)
        self._tables = tables

    def of(self, public_keys: Iterable[bytes]) -> list[Any]:
        """The table of each key, or None."""
        tables = self._tables
        return [tables.get(key) for key in public_keys]
