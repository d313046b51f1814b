"""What a node makes of what it was sent: the values between the sans-IO cores and those who carry them out."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from kpclientd.loopix.double.counters import DropReason


class Ending(Enum):
    """How a connection ends."""

    CLOSE = auto()
    RESET = auto()
    SILENCE = auto()
    """Not at all: it stays open, and nothing comes."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send `packet`, marshalled with its flag, to `address` after `delay` seconds."""

    address: str
    packet: bytes = field(repr=False)
    delay: float


@dataclass(frozen=True, slots=True)
class Store:
    """Put `packet` into the inbox of that name after `delay` seconds."""

    inbox: str
    packet: bytes = field(repr=False)
    delay: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Write `data`, which may be nothing, and end the connection."""

    data: bytes = field(repr=False)
    ending: Ending = Ending.CLOSE


@dataclass(frozen=True, slots=True)
class Drop:
    """Do nothing, and count why."""

    reason: DropReason


Outcome: TypeAlias = Forward | Store | Answer | Drop
