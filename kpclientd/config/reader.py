"""Reads a file into the table that declares it, as the reference's library does: names in any case, exact types.

Names come first: each key of the file is brought to the spelling that is declared, and what is not declared is
remembered as unknown. Then msgspec makes the values; where it refuses one, its message tells the place, and the words
are those of a TOML file. All such faults are found, not merely the first.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, ParamSpec, TypeVar

import msgspec

from kpclientd.config.declared import Declared, Table, declared_keys
from kpclientd.config.place import Place
from kpclientd.config.toml import MAX_FILE_LENGTH, name_of_type, read_toml, type_name
from kpclientd.errors import ConfigError

T = TypeVar("T")
P = ParamSpec("P")
TableT = TypeVar("TableT", bound=Table)

PLACEHOLDER: Final = re.compile(r"<replace: (?P<by>[^<>]*)>")
"""What stands in an example for a value that only its reader knows."""

MOST_FAULTS: Final = 50
"""Values of wrong types that are told of one file; each costs a look at all values."""

_INTEGER_BITS: Final = 64

_STEP: Final = re.compile(r"\.(?P<key>\w+)|\[(?P<index>\d+)\]")


class Faults:
    """What is wrong with a file, in the order in which it was found."""

    def __init__(self) -> None:
        self.found: list[ConfigError] = []

    def attempt(self, check: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
        """What `check` returns, or None if it raised a ConfigError, which is noted."""
        try:
            return check(*arguments, **named)
        except ConfigError as error:
            self.found.append(error)
            return None

    def explain(self, root: Place) -> None:
        """Let the first fault tell what keys of other files, or older ones, `root` holds: they may be its reason."""
        if self.found:
            self.found[0].hints = root.moved_keys()

    def raise_first(self) -> None:
        """Raise the fault that was found first, if there is one."""
        if self.found:
            raise self.found[0]


@dataclass(frozen=True, slots=True)
class Reading(Generic[TableT]):
    """A file that was read: its values, where they stand, and which of them were none; these have their defaults."""

    values: TableT
    place: Place
    faults: Faults


def read_file(path: Path, declared: type[TableT]) -> Reading[TableT]:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, is too long, or is not TOML.
    """
    faults = Faults()
    place = Place(path, "", declared)
    values = _by_declared_keys(read_toml(path, MAX_FILE_LENGTH), place, faults)
    return Reading(_converted(values, place, faults), place, faults)


def _by_declared_keys(values: Mapping[str, object], place: Place, faults: Faults) -> dict[str, Any]:
    """The values under their declared keys; fills `place`, and those below it."""
    spellings: dict[str, list[str]] = {}
    for name in values:
        spellings.setdefault(name.casefold(), []).append(name)
    found: dict[str, Any] = {}
    for declared in declared_keys(place.declared):
        names = spellings.pop(declared.key.casefold(), [])
        value: Any = values[names[0]] if names else {}
        if names:
            place.given[declared.key] = names[0]
            faults.found += _faults_of(declared, names, value, place)
        if declared.table is not None:
            value = _inner(declared, declared.table, value, place, faults)
        if names and not _means_default(declared, value) and not _is_too_large(value):
            found[declared.key] = value
    place.unknown.update((name, values[name]) for names in spellings.values() for name in names)
    return found


def _inner(declared: Declared, table: type[Table], value: Any, place: Place, faults: Faults) -> object:
    """The value of a key that is a table, or an array of tables, as far as it is one."""
    key = declared.key
    if not declared.is_array:
        inner = place.tables[key] = Place(place.path, place.dotted(place.given.get(key, key)), table)
        return _by_declared_keys(value, inner, faults) if isinstance(value, dict) else value
    entries = place.entries[key] = []
    if not isinstance(value, list):
        return value
    items: list[object] = []
    for number, item in enumerate(value, start=1):
        entry = Place(place.path, f"{place.dotted(key)} #{number}", table)
        entries.append(entry)
        items.append(_by_declared_keys(item, entry, faults) if isinstance(item, dict) else item)
    return items


def _faults_of(declared: Declared, names: list[str], value: object, place: Place) -> Iterator[ConfigError]:
    """What is wrong with a key, or its value, whatever type that should have."""
    key = declared.key
    if len(names) > 1:
        yield place.fault(key, f"is given {len(names)} times, as {', '.join(names)}", "keep one")
    if declared.about.refusal is not None:
        yield place.fault("", *declared.about.refusal)
    if _is_too_large(value):
        yield place.fault(key, "has more than 64 bits", "no integer of TOML has")
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and (found := PLACEHOLDER.search(text)):
            yield place.fault(key, "still holds a placeholder", f"write {found['by']}")


def _is_too_large(value: object) -> bool:
    return isinstance(value, int) and value.bit_length() >= _INTEGER_BITS


def _means_default(declared: Declared, value: object) -> bool:
    if not declared.about.zero_is_default or value:
        return False
    return type(value) is (list if declared.is_array else type(declared.default))


def _converted(values: dict[str, Any], place: Place, faults: Faults) -> Any:
    """The values as the declared table; each that msgspec refuses is taken out and becomes a fault."""
    for _ in range(MOST_FAULTS):
        try:
            return msgspec.convert(values, place.declared)
        except msgspec.ValidationError as error:
            faults.found.append(_take_out(str(error).rpartition(" at `$")[2], values, place))
    return place.declared()


def _take_out(where: str, values: dict[str, Any], place: Place) -> ConfigError:
    """Remove the value at a place such as `.Listen.Tcp.Address` or `.VotingAuthority.Peers[0].Addresses[1]`."""
    holder: Any = values
    steps = list(_STEP.finditer(where))
    while True:
        key, steps = steps[0]["key"], steps[1:]
        declared = next(one for one in declared_keys(place.declared) if one.key == key)
        if len(steps) > 1 and declared.is_array:
            number = int(steps.pop(0)["index"])
            holder, place = holder[key][number], place.entries[key][number]
        elif len(steps) > 0 and not declared.is_array:
            holder, place = holder[key], place.tables[key]
        else:
            break
    value = holder.pop(key)
    if steps:
        number = int(steps[0]["index"])
        expected = name_of_type(dict if declared.table is not None else str)
        return place.fault(key, f"element {number + 1} is {type_name(value[number])}", f"expected {expected}")
    return place.fault(key, *_refusal(declared, value))


def _refusal(declared: Declared, value: object) -> tuple[str, str]:
    """What is wrong with a value, and how to mend it."""
    if type(value) in declared.kinds:
        expected = f"expected at least {declared.least} {declared.about.unit}"
        return f"is {value}", f"{expected}; the default is {declared.default}"
    kinds = [kind for kind in declared.kinds if kind is not dict or declared.table is not None]
    return f"is {type_name(value)}", f"expected {' or '.join(map(name_of_type, kinds))}"
