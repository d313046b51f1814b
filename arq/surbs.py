"""Single-use reply blocks that are out: ids, keys, life times. It knows nothing of what the replies are for.

A SURB id is *reserved* by whoever will send under it, and *out* from the moment at which a packet with it departs. Each
one that was out has exactly one end:

    created = delivered + rotated + collected + failed + cancelled + those still out
"""

import enum
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from arq.errors import SurbIdInUse
from arq.timers import TimerQueue
from sphinx.randomness import Randomness
from sphinx.types import SURB_ID_LENGTH, SurbId

Holder = TypeVar("Holder", bound=Hashable)


class SurbEnd(enum.Enum):
    """How a SURB that was out can end."""

    DELIVERED = "delivered"
    """Its reply came and could be opened."""

    ROTATED = "rotated"
    """A retransmission took its place."""

    COLLECTED = "collected"
    """No reply came in its life time."""

    FAILED = "failed"
    """Its packet did not leave after all."""

    CANCELLED = "cancelled"
    """Nobody wants its reply any more."""


@dataclass(frozen=True, slots=True)
class Surb(Generic[Holder]):
    """One that is out.

    Attributes:
        surb_id: 16 bytes.
        keys: its decryption keys (64 bytes for each layer).
        holder: whose reply it is.
        lapses_at: monotonic seconds at which its reply is not waited for any longer.
        departed_at: monotonic seconds at which its packet left.
    """

    surb_id: SurbId
    keys: bytes = field(repr=False)
    holder: Holder
    lapses_at: float
    departed_at: float


class SurbTable(Generic[Holder]):
    """All SURB ids that are reserved or out.

    Args:
        randomness: chooses ids.
    """

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._reserved: dict[SurbId, Holder] = {}
        self._out: dict[SurbId, Surb[Holder]] = {}
        self._timers: TimerQueue[SurbId] = TimerQueue()
        self._ends: Counter[SurbEnd] = Counter()
        self.created = 0

    def __len__(self) -> int:
        return len(self._out)

    def __iter__(self) -> Iterator[Surb[Holder]]:
        return iter(tuple(self._out.values()))

    @property
    def ends(self) -> Mapping[SurbEnd, int]:
        """How many ended how, since the start."""
        return {end: self._ends[end] for end in SurbEnd}

    def fresh_id(self) -> SurbId:
        """An id that is nobody's."""
        while True:
            surb_id = SurbId(self._randomness.bytes(SURB_ID_LENGTH))
            if surb_id not in self._out and surb_id not in self._reserved:
                return surb_id

    def reserve(self, surb_id: SurbId, holder: Holder) -> None:
        """Keep an id that its holder chose from everybody else.

        Raises:
            SurbIdInUse: if it is reserved or out, whoever's it is.
        """
        if surb_id in self._reserved or surb_id in self._out:
            raise SurbIdInUse("surbid is in use by a message that is still in flight; choose a fresh one")
        self._reserved[surb_id] = holder

    def release(self, surb_id: SurbId, holder: Holder) -> None:
        """Give up a reservation, if it is the holder's."""
        if self._reserved.get(surb_id) is holder:
            del self._reserved[surb_id]

    def put(self, surb: Surb[Holder]) -> None:
        """A packet with this SURB departs."""
        self._out[surb.surb_id] = surb
        self._timers.set(surb.surb_id, surb.lapses_at)
        self.created += 1

    def find(self, surb_id: SurbId) -> Surb[Holder] | None:
        """The SURB that is out under this id, if one is."""
        return self._out.get(surb_id)

    def end(self, surb_id: SurbId, holder: Holder, end: SurbEnd) -> bool:
        """The holder's SURB of this id is out no longer; its keys are forgotten. False if it has none such."""
        surb = self._out.get(surb_id)
        if surb is None or surb.holder is not holder:
            return False
        del self._out[surb_id]
        self._timers.cancel(surb_id)
        self._ends[end] += 1
        return True

    def next_timer(self) -> float | None:
        """Monotonic seconds at which the next life time ends, or None."""
        return self._timers.next()

    def lapsed(self, now: float) -> Iterator[Surb[Holder]]:
        """Those whose life time is over at `now`, one at a time; whoever asks must end each."""
        for surb_id in self._timers.pop_due(now):
            yield self._out[surb_id]
