"""What the engine reports."""

from dataclasses import dataclass, field

from arq.entry import Entry
from arq.message import AppId
from sphinx.types import SurbId


@dataclass(frozen=True, slots=True)
class Answered:
    """A message's reply came: `payload` is `forward_payload_length` bytes, zero padded."""

    owner: AppId
    message_id: bytes | None
    surb_id: SurbId
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Due:
    """A reliable message went unanswered for too long: it belongs on its owner's queue of retransmissions."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A reliable message is given up, unanswered."""

    owner: AppId
    message_id: bytes | None
    surb_id: SurbId | None


@dataclass(frozen=True, slots=True)
class Collected:
    """Nothing more will ever be said of this reliable message."""

    owner: AppId
    message_id: bytes | None


Event = Answered | Due | Exhausted | Collected
