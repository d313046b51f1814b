"""A TOML table read the way the reference's library reads one: names in any case, values of exactly one type.

Every key that a reader asks for becomes a known one. A strict reading refuses those that no reader asked for, so there
is no second list of keys to keep in step with the code that uses them.
"""

import datetime
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

from kpclientd.errors import ConfigError, UnknownKeysError

MAX_FILE_LENGTH: Final = 4 * 1024 * 1024
"""Longest file to read (bytes): a hundred times what a network with the longest keys there are needs."""

Value = TypeVar("Value")

_TYPE_NAMES: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    list: "an array",
    dict: "a table",
    datetime.datetime: "a date",
    datetime.date: "a date",
    datetime.time: "a time",
}


def read_table(path: Path) -> "Table":
    """Read a file as one table.

    Raises:
        ConfigError: it cannot be read, is too long, or is not TOML.
    """
    return Table(path, "", read_toml(path, MAX_FILE_LENGTH))


def read_toml(path: Path, limit: int) -> dict[str, object]:
    """Read a file of at most `limit` bytes, and return what TOML makes of it.

    Raises:
        ConfigError: it cannot be read, is longer, or is not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise ConfigError(path, f"is longer than {limit} bytes, so it is no configuration")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(path, f"toml: byte {error.start} is not UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(path, f"toml: {error}") from error


class Table:
    """One table of a configuration file.

    Args:
        path: the file, for error messages.
        name: the table's dotted name as the file spells it, empty at the top level.
        values: what the parser made of it.
    """

    __slots__ = ("_children", "_entries", "_known", "_values", "name", "path")

    def __init__(self, path: Path, name: str, values: Mapping[str, object]) -> None:
        self.path = path
        self.name = name
        self._values = values
        self._known: dict[str, str] = {}
        self._children: dict[str, Table] = {}
        self._entries: dict[str, tuple[Table, ...]] = {}

    def string(self, key: str, default: str = "") -> str:
        """The string under `key`."""
        return self._value(key, str, default)

    def integer(self, key: str, default: int = 0) -> int:
        """The integer under `key`; a boolean is none."""
        return self._value(key, int, default)

    def boolean(self, key: str, default: bool = False) -> bool:
        """The boolean under `key`."""
        return self._value(key, bool, default)

    def strings(self, key: str) -> tuple[str, ...]:
        """The array of strings under `key`, empty where there is none."""
        values: list[object] = self._value(key, list, [])
        for position, value in enumerate(values, start=1):
            if not isinstance(value, str):
                raise self.fault(key, f"element {position} is {type_name(value)}", "expected a string")
        return tuple(value for value in values if isinstance(value, str))

    def string_or_integer(self, key: str) -> str | int:
        """Either of the two under `key`; 0 where there is neither."""
        value = self._find(key)
        if value is None:
            return 0
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return value
        raise self.fault(key, f"is {type_name(value)}", "expected a string or an integer")

    def table(self, key: str) -> "Table | None":
        """The table under `key`, or None; the same one each time."""
        if self._find(key) is None:
            return None
        if key not in self._children:
            values: dict[str, object] = self._value(key, dict, {})
            self._children[key] = Table(self.path, self._dotted(self._known[key]), values)
        return self._children[key]

    def entries(self, key: str) -> "tuple[Table, ...]":
        """The tables of the array under `key`, the same ones each time.

        A strict reading leaves their inside alone, as the reference does; see `unknown_keys_of_entries`.
        """
        if key not in self._entries:
            values: list[object] = self._value(key, list, [])
            self._entries[key] = tuple(self._entry(key, number, value) for number, value in enumerate(values, start=1))
        return self._entries[key]

    def _entry(self, key: str, number: int, value: object) -> "Table":
        if not isinstance(value, dict):
            raise self.fault(key, f"element {number} is {type_name(value)}", "expected a table")
        return Table(self.path, f"{self._dotted(key)} #{number}", value)

    def required_string(self, key: str) -> str:
        """The string under `key`, which must be there and not be empty."""
        if self._find(key) is None:
            raise self.fault(key, "is missing", self._nearest(key) or "add it")
        value = self.string(key)
        if not value:
            raise self.fault(key, "is empty", "expected a string")
        return value

    def holds_empty_table(self, key: str) -> bool:
        """Whether there is a table without anything in it under `key`."""
        return self._find(key) == {}

    def holds(self, key: str) -> bool:
        """Whether the file has `key` at all."""
        return self._find(key) is not None

    def fault(self, key: str, fault: str, fix: str = "") -> ConfigError:
        """An error that names this table and `key`."""
        return ConfigError(self.path, fault, table=self.name, key=key, fix=fix)

    def unknown_keys(self) -> tuple[str, ...]:
        """Dotted names of all keys, here and in the tables below, that no reader has asked for; sorted, once each."""
        return tuple(sorted({name for table in self._tables() for key in table._unasked() for name in table._all(key)}))

    def unknown_keys_of_entries(self) -> tuple[str, ...]:
        """The keys in arrays' tables that no reader has asked for, each under its array's name; sorted, once each."""
        return tuple(
            sorted(
                {
                    f"{table._dotted(key)}.{name}"
                    for table in self._tables()
                    for key, entries in table._entries.items()
                    for entry in entries
                    for name in entry._unasked()
                }
            )
        )

    def check_known(self) -> None:
        """Refuse keys that no reader has asked for.

        Raises:
            UnknownKeysError: lists them all, and what misspelt ones may have meant.
        """
        unknown = self.unknown_keys()
        if unknown:
            hints = (table._hint(key) for table in self._tables() for key in table._unasked())
            raise UnknownKeysError(self.path, unknown, filter(None, hints))

    def _value(self, key: str, kind: type[Value], default: Value) -> Value:
        value = self._find(key)
        if value is None:
            return default
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
        raise self.fault(key, f"is {type_name(value)}", f"expected {_TYPE_NAMES[kind]}")

    def _find(self, key: str) -> object | None:
        spellings = [name for name in self._values if name.casefold() == key.casefold()]
        if len(spellings) > 1:
            raise self.fault(key, f"is given {len(spellings)} times, as {', '.join(spellings)}", "keep one")
        self._known[key] = spellings[0] if spellings else key
        return self._values[spellings[0]] if spellings else None

    def _dotted(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def _tables(self) -> "Iterator[Table]":
        yield self
        for child in self._children.values():
            yield from child._tables()

    def _unasked(self) -> list[str]:
        asked = set(self._known.values())
        return [key for key in self._values if key not in asked]

    def _all(self, key: str) -> Iterator[str]:
        return _with_inner(self._dotted(key), self._values[key])

    def _hint(self, key: str) -> str:
        meant = _closest(key, self._known)
        return f"did you mean {self._dotted(meant)} by {self._dotted(key)}?" if meant else ""

    def _nearest(self, key: str) -> str:
        similar = _closest(key, self._values)
        return f"is {similar} meant to be it?" if similar else ""


def type_name(value: object) -> str:
    """How TOML calls the type of `value`, with its article."""
    return next((name for kind, name in _TYPE_NAMES.items() if type(value) is kind), "of another type")


def _with_inner(name: str, value: object) -> Iterator[str]:
    """An unknown key, and all keys below it: the reference lists both."""
    yield name
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            for key, inner in item.items():
                yield from _with_inner(f"{name}.{key}", inner)


def _closest(key: str, candidates: Mapping[str, object]) -> str:
    from difflib import get_close_matches  # needed only once something is wrong

    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    similar = get_close_matches(key.casefold(), by_folded, n=1)
    return by_folded[similar[0]] if similar else ""
