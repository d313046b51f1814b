"""What can go wrong in the daemon and the programs beside it, by what the reader of the message can do about it."""

from collections.abc import Iterable
from pathlib import Path

from sphinx.errors import MixnetError


class KpclientdError(MixnetError):
    """Root of the errors of this package and of the packages in it; what the lower layers raise has roots there."""


class ConfigError(KpclientdError):
    """A configuration file cannot be used.

    Args:
        path: the file.
        fault: what is wrong with the value; never the value of a secret.
        table: dotted name of the table that holds the key, empty at the top level.
        key: the key, empty when the fault names it already or concerns the whole table.
        fix: what to write instead, empty when the fault says it.

    Attributes:
        hints: what else of the file may explain the fault; each is a line of its own behind it.
    """

    def __init__(self, path: Path, fault: str, *, table: str = "", key: str = "", fix: str = "") -> None:
        self.hints: tuple[str, ...] = ()
        self.path = path
        self.fault = fault
        self.table = table
        self.key = key
        self.fix = fix
        place = " ".join(part for part in (f"[{table}]" if table else "", key) if part)
        super().__init__(": ".join(part for part in (str(path), place, fault) if part) + (fix and f"; {fix}"))

    def __str__(self) -> str:
        return "\n".join((super().__str__(), *self.hints))


class UnknownKeysError(ConfigError):
    """A strict reading found keys that mean nothing here; the text is the reference's.

    Args:
        path: the file.
        keys: dotted names of the unknown keys, in the order to tell them.
        hints: for misspelt ones, what was probably meant.
    """

    def __init__(self, path: Path, keys: Iterable[str], hints: Iterable[str] = ()) -> None:
        self.keys = tuple(keys)
        super().__init__(path, f"unrecognised configuration keys: {', '.join(self.keys)}")
        self.args = (f"config file '{path}': {self.fault}",)
        self.hints = tuple(hints)


class LogFileError(KpclientdError):
    """The log file cannot be opened for appending."""
