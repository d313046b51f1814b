"""Fair queues: one application's burst makes nobody else wait longer than a turn.

Turns go round the applications that are there, in the order in which they came, and one more turn goes to all those
together that are away: what they left behind is sent, and does not hold up the living. Within a turn a retransmission
goes first. Source: the Katzenpost client daemon, "fairness".
"""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Owner = TypeVar("Owner", bound=Hashable)
Item = TypeVar("Item")


@dataclass(slots=True)
class _Lane(Generic[Item]):
    resends: deque[Item] = field(default_factory=deque)
    requests: deque[Item] = field(default_factory=deque)

    def next(self) -> Item | None:
        waiting = self.resends or self.requests
        return waiting.popleft() if waiting else None

    def __len__(self) -> int:
        return len(self.resends) + len(self.requests)


class _Ring(Generic[Owner]):
    """Owners in order, and whose turn is next."""

    __slots__ = ("_cursor", "_order")

    def __init__(self) -> None:
        self._order: list[Owner] = []
        self._cursor = 0

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, owner: Owner) -> bool:
        return owner in self._order

    def add(self, owner: Owner) -> None:
        self._order.append(owner)

    def remove(self, owner: Owner) -> None:
        place = self._order.index(owner)
        del self._order[place]
        if self._cursor > place:
            self._cursor -= 1
        self._cursor = self._cursor % len(self._order) if self._order else 0

    def turns(self) -> list[Owner]:
        """All owners, the one whose turn it is first."""
        return self._order[self._cursor :] + self._order[: self._cursor]

    def pass_on(self, taken: Owner | None) -> None:
        """The next turn goes to who stands behind `taken`, or behind the present one where nobody took it."""
        place = self._cursor if taken is None else self._order.index(taken)
        self._cursor = (place + 1) % len(self._order) if self._order else 0


class _Away:
    """Stands in the ring for all who are away."""


_AWAY = _Away()


class FairQueues(Generic[Owner, Item]):
    """A queue of requests and a queue of retransmissions for each owner, taken in turns."""

    __slots__ = ("_away", "_lanes", "_present")

    def __init__(self) -> None:
        self._lanes: dict[Owner, _Lane[Item]] = {}
        self._present: _Ring[Owner | _Away] = _Ring()
        self._away: _Ring[Owner] = _Ring()

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values()))

    def lengths(self) -> Mapping[Owner, tuple[int, int]]:
        """Requests and retransmissions that wait, for each owner."""
        return {owner: (len(lane.requests), len(lane.resends)) for owner, lane in self._lanes.items()}

    def register(self, owner: Owner) -> None:
        """Give `owner` a place at the end of the order, unless it has one."""
        if owner not in self._lanes:
            self._lanes[owner] = _Lane()
            self._present.add(owner)

    def remove(self, owner: Owner) -> list[Item]:
        """Take `owner` out and return what it had waiting."""
        lane = self._lanes.pop(owner, None)
        if lane is None:
            return []
        self._leave(owner)
        return [*lane.resends, *lane.requests]

    def forget_idle(self, owner: Owner) -> None:
        """Take `owner` out if nothing of it waits."""
        lane = self._lanes.get(owner)
        if lane is not None and not len(lane):
            self.remove(owner)

    def merge(self, owner: Owner, into: Owner) -> None:
        """What `owner` has waiting waits behind what `into` has, and `owner` is gone."""
        lane = self._lanes.get(owner)
        if lane is None:
            return
        self.remove(owner)
        self.register(into)
        self._lanes[into].resends.extend(lane.resends)
        self._lanes[into].requests.extend(lane.requests)

    def set_away(self, owner: Owner, away: bool) -> None:
        """The owner is away from now on, or is back; what it has waiting stays."""
        if owner not in self._lanes or (owner in self._away) == away:
            return
        self._leave(owner)
        if not away:
            self._present.add(owner)
            return
        self._away.add(owner)
        if _AWAY not in self._present:
            self._present.add(_AWAY)

    def push(self, owner: Owner, item: Item) -> bool:
        """Put a request at the end of its owner's queue; false if the owner is not registered."""
        return self._put(owner, item, resend=False, first=False)

    def push_resend(self, owner: Owner, item: Item) -> bool:
        """Put a retransmission at the end of its owner's queue; false if the owner is not registered."""
        return self._put(owner, item, resend=True, first=False)

    def put_back(self, owner: Owner, item: Item, *, resend: bool) -> bool:
        """Put an item that was picked and could not leave at the front again; false if its owner is gone."""
        return self._put(owner, item, resend=resend, first=True)

    def pick(self) -> Item | None:
        """Take the next item in turn, or None where nothing waits."""
        for owner in self._present.turns():
            item = self._pick_away() if isinstance(owner, _Away) else self._lanes[owner].next()
            if item is not None:
                self._present.pass_on(owner)
                return item
        self._present.pass_on(None)
        return None

    def _pick_away(self) -> Item | None:
        for owner in self._away.turns():
            item = self._lanes[owner].next()
            if item is not None:
                self._away.pass_on(owner)
                return item
        return None

    def _leave(self, owner: Owner) -> None:
        if owner not in self._away:
            self._present.remove(owner)
            return
        self._away.remove(owner)
        if not len(self._away):
            self._present.remove(_AWAY)

    def _put(self, owner: Owner, item: Item, *, resend: bool, first: bool) -> bool:
        lane = self._lanes.get(owner)
        if lane is None:
            return False
        waiting = lane.resends if resend else lane.requests
        if first:
            waiting.appendleft(item)
        else:
            waiting.append(item)
        return True
