"""Fair queues: one application's burst makes nobody else wait longer than a turn.

Source: the Katzenpost client daemon, "fairness".
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Owner = TypeVar("Owner", bound=Hashable)
Item = TypeVar("Item")


@dataclass(slots=True)
class _Lane(Generic[Item]):
    resends: deque[Item] = field(default_factory=deque)
    requests: deque[Item] = field(default_factory=deque)


class FairQueues(Generic[Owner, Item]):
    """A queue of requests and a queue of retransmissions for each owner, taken in turns.

    Owners have their turn in the order in which they registered; within a turn a retransmission goes first.
    """

    __slots__ = ("_cursor", "_lanes", "_order")

    def __init__(self) -> None:
        self._lanes: dict[Owner, _Lane[Item]] = {}
        self._order: list[Owner] = []
        self._cursor = 0

    def __len__(self) -> int:
        return sum(len(lane.resends) + len(lane.requests) for lane in self._lanes.values())

    def register(self, owner: Owner) -> None:
        """Give `owner` a place at the end of the order, unless it has one."""
        if owner not in self._lanes:
            self._lanes[owner] = _Lane()
            self._order.append(owner)

    def remove(self, owner: Owner) -> list[Item]:
        """Take `owner` out and return what it had waiting."""
        lane = self._lanes.pop(owner, None)
        if lane is None:
            return []
        place = self._order.index(owner)
        del self._order[place]
        if self._cursor > place:
            self._cursor -= 1
        self._cursor = self._cursor % len(self._order) if self._order else 0
        return [*lane.resends, *lane.requests]

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
        count = len(self._order)
        if not count:
            return None
        for step in range(count):
            place = (self._cursor + step) % count
            lane = self._lanes[self._order[place]]
            waiting = lane.resends or lane.requests
            if waiting:
                self._cursor = (place + 1) % count
                return waiting.popleft()
        self._cursor = (self._cursor + 1) % count
        return None

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
