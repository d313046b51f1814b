"""Where a table stands in a file: who finds a fault in its values says with it which file, table and key it is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from kpclientd.config.declared import Table, declared_keys
from kpclientd.errors import ConfigError, UnknownKeysError

MOST_HINTS: Final = 20
"""Unknown keys of one file for which a nearest one is looked for."""


@dataclass(slots=True)
class Place:
    """One table of a file, as far as the file has it; made by `kpclientd.config.reader`.

    Attributes:
        path: the file.
        name: the table's dotted name as the file spells it, empty at the top level.
        declared: what may be in it.
        given: the declared keys that are in it, and how they are spelled.
        unknown: all else that is in it.
        tables: the tables in it, by their keys; also those that the file does not have.
        entries: of each array of tables, the tables.
    """

    path: Path
    name: str
    declared: type[Table]
    given: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, object] = field(default_factory=dict)
    tables: "dict[str, Place]" = field(default_factory=dict)
    entries: "dict[str, list[Place]]" = field(default_factory=dict)

    def fault(self, key: str, fault: str, fix: str = "") -> ConfigError:
        """An error that names this table and `key`."""
        return ConfigError(self.path, fault, table=self.name, key=key, fix=fix)

    def required(self, key: str, value: str) -> str:
        """The string under `key`, which must be there and not be empty.

        Raises:
            ConfigError: it is not.
        """
        if key not in self.given:
            similar = _closest(key, self.unknown)
            raise self.fault(key, "is missing", f"is {similar} meant to be it?" if similar else "add it")
        if not value:
            raise self.fault(key, "is empty", "expected a string")
        return value

    def absolute_path(self, key: str, text: str, example: str) -> Path | None:
        """The path under `key`, None where there is none.

        Raises:
            ConfigError: it is not absolute.
        """
        if not text:
            return None
        if not Path(text).is_absolute() or "\0" in text:
            raise self.fault(key, f'is "{text}"', f"write an absolute path, such as {example}")
        return Path(text)

    def dotted(self, key: str) -> str:
        """The name of `key` from the top level on."""
        return f"{self.name}.{key}" if self.name else key

    def unknown_keys(self) -> tuple[str, ...]:
        """Dotted names of all keys, here and in the tables below, that are not declared; sorted, once each."""
        return tuple(
            sorted(
                {
                    name
                    for place in self._places()
                    for key, value in place.unknown.items()
                    for name in _with_inner(place.dotted(key), value)
                }
            )
        )

    def unknown_keys_of_entries(self) -> tuple[str, ...]:
        """The keys in arrays' tables that are not declared, each under its array's name; sorted, once each."""
        return tuple(
            sorted(
                {
                    f"{place.dotted(array)}.{key}"
                    for place in self._places()
                    for array, entries in place.entries.items()
                    for entry in entries
                    for key in entry.unknown
                }
            )
        )

    def moved_keys(self) -> tuple[str, ...]:
        """What to do about keys, here and in the tables below, that other files, or older ones, have there."""
        return tuple(
            told
            for place in self._places()
            for moved, told in place.declared.moved.items()
            if any(key.casefold() == moved.casefold() for key in place.unknown)
        )

    def hints(self) -> tuple[str, ...]:
        """What unknown keys, here and in the tables below, may have been meant for."""
        unknown = ((place, key) for place in self._places() for key in place.unknown)
        return tuple(filter(None, (self._hint(place, key) for place, key in islice(unknown, MOST_HINTS))))

    def unknown_fault(self) -> UnknownKeysError | None:
        """The error of a strict reading that finds keys nobody declared, or None; it hints at misspelt ones."""
        unknown = self.unknown_keys()
        return UnknownKeysError(self.path, unknown, self.hints()) if unknown else None

    def _places(self) -> "Iterator[Place]":
        yield self
        for table in self.tables.values():
            yield from table._places()

    def _hint(self, place: "Place", key: str) -> str:
        if moved := place._moved(key):
            return moved
        similar = _closest(key, _keys(place))
        meant = place.dotted(similar) if similar else self._elsewhere(key)
        return f"did you mean {meant} by {place.dotted(key)}?" if meant else ""

    def _moved(self, key: str) -> str:
        return next((told for moved, told in self.declared.moved.items() if moved.casefold() == key.casefold()), "")

    def _elsewhere(self, key: str) -> str:
        """The one other table that has such a key, if there is just one."""
        found = [
            place.dotted(known)
            for place in self._places()
            for known in _keys(place)
            if known.casefold() == key.casefold()
        ]
        return found[0] if len(found) == 1 else ""


def _keys(place: Place) -> list[str]:
    return [declared.key for declared in declared_keys(place.declared) if declared.about.refusal is None]


def _with_inner(name: str, value: object) -> Iterator[str]:
    """An unknown key, and all keys below it: the reference lists both."""
    yield name
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            for key, inner in item.items():
                yield from _with_inner(f"{name}.{key}", inner)


def _closest(key: str, candidates: Iterable[str]) -> str:
    from difflib import get_close_matches  # needed only once something is wrong

    by_folded: Mapping[str, str] = {candidate.casefold(): candidate for candidate in candidates}
    similar = get_close_matches(key.casefold(), by_folded, n=1)
    return by_folded[similar[0]] if similar else ""
