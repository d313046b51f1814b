"""What a local Loopix network does wrong on command.

Everything is a plain attribute, so that a test reads as what it tests:

    network.faults.loss = 0.2
    network.faults.pull = ReplyFault.EMPTY_DATA
    network.faults.dead.add("mix1-1")
"""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Final

from sphinx.randomness import Randomness

_BITS_PER_BYTE: Final = 8


class ReplyFault(StrEnum):
    """What is wrong with a provider's answer to a pull or to a registration."""

    EMPTY_DATA = "empty-data"
    COUNT_TOO_HIGH = "count-too-high"
    COUNT_TOO_LOW = "count-too-low"
    NO_PACKETS = "no-packets"
    EXTRA_PACKET = "extra-packet"
    WRONG_FLAG = "wrong-flag"
    GARBAGE = "garbage"
    NO_REPLY = "no-reply"
    CUT_SHORT = "cut-short"
    RESET = "reset"
    SILENCE = "silence"

    @property
    def loses_the_reply(self) -> bool:
        """Whether what the reply held cannot be read from it: a pull then costs the messages."""
        return self in _READABLE_BY_NOBODY


_READABLE_BY_NOBODY: Final = frozenset(
    {
        ReplyFault.NO_PACKETS,
        ReplyFault.WRONG_FLAG,
        ReplyFault.GARBAGE,
        ReplyFault.NO_REPLY,
        ReplyFault.CUT_SHORT,
        ReplyFault.RESET,
        ReplyFault.SILENCE,
    }
)


class DirectoryFault(StrEnum):
    """How the directory fails those who ask it for the topology; under the first three nobody can announce either."""

    OUTAGE = "outage"
    SILENCE = "silence"
    ERROR = "error"
    GARBAGE = "garbage"
    WRONG_TYPES = "wrong-types"
    EMPTY = "empty"
    NO_PROVIDERS = "no-providers"
    NO_MIXES = "no-mixes"
    BAD_ENTRIES = "bad-entries"


@dataclass(slots=True)
class Faults:
    """The switches. Probabilities are in [0, 1], times in seconds; untouched, the network loses nothing.

    Loss, duplication, corruption and delay are drawn once for each packet, where it reaches its inbox.

    Attributes:
        loss, duplicate, corrupt: probabilities.
        delay, jitter: so much later, and up to so much more, a packet is stored.
        reply_delay: how long a provider takes to answer.
        pull, registration: what is wrong with the answers.
        directory: how the directory fails.
        dead: names of nodes that neither serve nor announce themselves.
    """

    randomness: Randomness = field(repr=False)
    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    reply_delay: float = 0.0
    pull: ReplyFault | None = None
    registration: ReplyFault | None = None
    directory: DirectoryFault | None = None
    dead: set[str] = field(default_factory=set)

    def happens(self, probability: float) -> bool:
        """Draw: True with `probability`."""
        return probability > 0 and self.randomness.uniform() <= probability

    def extra_delay(self) -> float:
        """Draw how many seconds longer a packet takes: `delay` and up to `jitter` more."""
        return self.delay + (self.jitter * self.randomness.uniform() if self.jitter else 0.0)

    def flip_a_bit(self, data: bytes) -> bytes:
        """Return `data`, which is not empty, with one random bit changed."""
        position = self.randomness.below(len(data) * _BITS_PER_BYTE)
        damaged = bytearray(data)
        damaged[position // _BITS_PER_BYTE] ^= 1 << position % _BITS_PER_BYTE
        return bytes(damaged)

    def clear(self) -> None:
        """Put every switch back: from now on the network does all things right."""
        untouched = Faults(self.randomness)
        for switch in fields(self):
            setattr(self, switch.name, getattr(untouched, switch.name))
