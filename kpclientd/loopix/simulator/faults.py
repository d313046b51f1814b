"""What a local Loopix network does wrong on command.

Everything is a plain attribute, so that a test reads as what it tests:

    network.faults.loss = 0.2
    network.faults.pull = ReplyFault.EMPTY_DATA
    network.faults.dead.add("mix1-1")
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from kpclientd.localnet.faults import PacketFaults


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
class Faults(PacketFaults):
    """The switches; untouched, the network loses nothing.

    Loss, duplication, corruption and delay are drawn once for each packet, where it reaches its inbox.

    Attributes:
        corrupt: a probability, like loss and duplicate.
        reply_delay: how long a provider takes to answer.
        pull, registration: what is wrong with the answers.
        directory: how the directory fails.
        dead: names of nodes that neither serve nor announce themselves.
    """

    corrupt: float = 0.0
    reply_delay: float = 0.0
    pull: ReplyFault | None = None
    registration: ReplyFault | None = None
    directory: DirectoryFault | None = None
    dead: set[str] = field(default_factory=set)
