"""TOML as the reference's library reads it: names in any case, strict types, unknown keys ignored."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from kpclientd.config.toml import read_toml
from kpclientd.errors import ConfigError
from kpclientd.loopix.errors import LoopixConfigError
from pki.any_case import AnyCase

MAX_CONFIG: Final = 1024 * 1024
"""Longest configuration to read (bytes)."""

_NUL: Final = "\0"

Value = TypeVar("Value")


class Section:
    """A table; a key matches exactly or, failing that, in any case. Unknown ones are ignored.

    Args:
        name: for error messages.
        values: what the parser made of it.
    """

    def __init__(self, name: str, values: Mapping[str, object]) -> None:
        self._name = name
        self._values = AnyCase(values)

    def section(self, key: str) -> "Section | None":
        """The table under `key`, or None."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self._mistyped(key, value, "a table")
        return Section(key, value)

    def string(self, key: str) -> str:
        """The string under `key`, empty where there is none."""
        text = self._typed(key, str, "")
        if _NUL in text:
            raise LoopixConfigError(f"config: [{self._name}] {key} has a NUL character, which no name or path can have")
        return text

    def boolean(self, key: str) -> bool:
        """The boolean under `key`, false where there is none."""
        return self._typed(key, bool, False)

    def rate(self, key: str, default: float) -> float:
        """A finite number, for which 0 means `default`; the reference refuses integers, which are taken here."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise self._mistyped(key, value, "a float")
        try:
            rate = float(value)
        except OverflowError:
            rate = math.inf
        if not math.isfinite(rate):
            raise LoopixConfigError(f"config: [{self._name}] {key} is not a finite number; expected events per second")
        return rate or default

    def strings(self, key: str) -> tuple[str, ...]:
        """The strings of the array under `key`."""
        values: list[object] = self._typed(key, list, [])
        strings = tuple(value for value in values if isinstance(value, str))
        if len(strings) != len(values):
            raise self._mistyped(key, values, "an array of strings")
        return strings

    def positive(self, key: str, default: int) -> int:
        """The integer under `key`, which must be above 0."""
        value = self._typed(key, int, default)
        if isinstance(value, bool) or value <= 0:
            raise LoopixConfigError(f"config: [{self._name}] {key} is {value}, expected a positive integer")
        return value

    def _typed(self, key: str, kind: type[Value], default: Value) -> Value:
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise self._mistyped(key, value, f"a {kind.__name__}")
        return value

    def _mistyped(self, key: str, value: object, wanted: str) -> LoopixConfigError:
        place = f"[{self._name}] {key}" if self._name else key
        return LoopixConfigError(f"config: {place} is of type {type(value).__name__}, expected {wanted}")


def read_config(path: Path) -> Section:
    """Read a file as one table.

    Raises:
        LoopixConfigError: if it cannot be read, is too long or is not TOML.
    """
    try:
        return Section("", read_toml(path, MAX_CONFIG))
    except ConfigError as error:
        raise LoopixConfigError(str(error)) from error
