"""The arguments of commands to a running network: how they are written, and what is read from them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kpclientd.localnet.errors import ControlError

NO_FAULT: Final = "genuine"
"""In the place of a fault's name: do it right."""

OFF: Final = "off"
MOST_BYTES: Final = 1 << 20
"""Of a handshake: more than any KEM's has."""


@dataclass(frozen=True, slots=True)
class Argument:
    """What one argument may be.

    Attributes:
        usage: as help shows it.
        what: what is expected, for error messages.
        parse: returns the value; raises ValueError.
    """

    usage: str
    what: str
    parse: Callable[[str], object]

    def read(self, arguments: list[str]) -> object:
        """Return the value of the one argument that there must be.

        Raises:
            ControlError: if there is none, another number of them, or it is something else.
        """
        try:
            (text,) = arguments
            return self.parse(text)
        except ValueError:
            raise ControlError(f"expected {self.what}; got {' '.join(arguments) or 'nothing'}") from None


def choice_of(kind: type[StrEnum], usage: str, none: str = NO_FAULT) -> Argument:
    """One of the names of `kind`, or `none` for None."""

    def parse(text: str) -> object:
        return None if text == none else kind(text)

    return Argument(f"{usage}|{none}", f"one of {', '.join([*kind, none])}", parse)


def whole_number(most: int, least: int = 0) -> Callable[[str], int]:
    """Return a parser of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return parse


def _real(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not least <= value <= most:  # not a number is not between any
            raise ValueError(text)
        return value

    return parse


def _on_off(text: str) -> bool:
    if text not in ("on", OFF):
        raise ValueError(text)
    return text == "on"


def _bytes(text: str) -> int | None:
    return None if text == OFF else whole_number(MOST_BYTES)(text)


MOST_SECONDS: Final = float(1 << 40)
"""Some 35,000 years: a clock that is further off than that is no fault, but a typing error."""

PROBABILITY: Final = Argument("P", "a probability from 0 to 1", _real(0.0, 1.0))
SECONDS: Final = Argument("S", "a time in seconds", _real(0.0, MOST_SECONDS))
OFFSET: Final = Argument("[-]S", "a time in seconds, negative ones too", _real(-MOST_SECONDS, MOST_SECONDS))
ON_OFF: Final = Argument("on|off", "on or off", _on_off)
BYTES: Final = Argument(f"N|{OFF}", f"a number of bytes up to {MOST_BYTES}, or {OFF}", _bytes)
