"""What a node decides to do with what it was sent: values, from the sans-IO cores to those who do it."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from kpclientd.loopix.simulator.counters import DropReason


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


NodeAction: TypeAlias = Forward | Store | Answer | Drop
