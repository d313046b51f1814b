"""TOML files as values, and values as TOML: what every configuration file here needs, whatever its keys are."""

import datetime
import tomllib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from kpclientd.errors import ConfigError

MAX_FILE_LENGTH: Final = 4 * 1024 * 1024
"""Longest file to read (bytes): a hundred times what a network with the longest keys there are needs."""

MOST_LEVELS: Final = 20
"""Tables and arrays in each other; no configuration here has more than five."""

_TYPE_NAMES: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    list: "an array",
    tuple: "an array",
    dict: "a table",
    datetime.datetime: "a date",
    datetime.date: "a date",
    datetime.time: "a time",
}


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
        values = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        fix = "it is UTF-16, save it as UTF-8" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ""
        raise ConfigError(path, f"toml: byte {error.start} is not UTF-8", fix=fix) from error
    except (ValueError, RecursionError) as error:  # not only TOML's own: an integer may have too many digits
        raise ConfigError(path, f"toml: {error}") from error
    if _nests_deeper(values, MOST_LEVELS):
        raise ConfigError(path, f"toml: tables and arrays nest deeper than {MOST_LEVELS} levels")
    return values


def _nests_deeper(values: Mapping[str, object], levels: int) -> bool:
    layer: list[object] = [values]
    for _ in range(levels):
        layer = [
            inner
            for value in layer
            for inner in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        ]
    return any(isinstance(value, (dict, list)) for value in layer)


def name_of_type(kind: type) -> str:
    """How TOML calls a type, with its article."""
    return _TYPE_NAMES.get(kind, "of another type")


def type_name(value: object) -> str:
    """How TOML calls the type of `value`, with its article."""
    return name_of_type(type(value))


def toml_value(value: object) -> str:
    """A string, boolean, integer or array of such as TOML writes it; a text of several lines keeps them."""
    match value:
        case str():
            return f'"""{value}"""' if _may_stand_in_lines(value) else _quoted(value)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
    raise TypeError(f"{type(value).__name__} is in no configuration")


def _may_stand_in_lines(text: str) -> bool:
    plain = text.replace("\n", "")
    return plain != text and text[0] != "\n" and plain.isprintable() and not set('\\"') & set(plain)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")  # JSON's strings are TOML's, but for DEL
