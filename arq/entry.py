"""One message on its way, from the moment it is accepted to its one end.

WAITING --sent--> IN_FLIGHT --reply--> ENDED            plain messages, loop decoys
                      |  ^
                timer |  | sent, under a new SURB id    reliable messages only
                      v  |
                      DUE ---------------> ENDED        answered late, given up, cancelled
"""

import enum
from dataclasses import dataclass, field

from arq.message import AppId, Message
from sphinx.types import SurbId


class Kind(enum.Enum):
    """What is expected of an entry."""

    PLAIN = "plain"
    """Sent once; a reply is delivered if it comes."""

    RELIABLE = "reliable"
    """Sent again until a reply comes or its time is over."""

    DECOY = "decoy"
    """Cover traffic to ourselves; its reply is thrown away."""


class State(enum.Enum):
    """Where an entry is; see the drawing above."""

    WAITING = "waiting"
    IN_FLIGHT = "in flight"
    DUE = "due"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Entry:
    """The engine's record of one message. Only the engine changes it.

    Attributes:
        message: what to send; None for a decoy, whose content the composer knows.
        surb_id: the only SURB id to which a reply is accepted at present, or None before one is chosen.
        surb_keys: its decryption keys (64 bytes for each layer), empty until a packet has been sent.
        transmissions: packets sent so far.
        expires: monotonic seconds at which the entry ends whatever happens; None until first sent.
    """

    kind: Kind
    message: Message | None = None
    state: State = State.WAITING
    surb_id: SurbId | None = None
    surb_keys: bytes = field(default=b"", repr=False)
    transmissions: int = 0
    expires: float | None = None

    @property
    def owner(self) -> AppId | None:
        """The application that waits for it; None for a decoy."""
        return self.message.owner if self.message is not None else None

    @property
    def message_id(self) -> bytes | None:
        """The application's own name for it."""
        return self.message.message_id if self.message is not None else None
