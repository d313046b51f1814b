"""A queue of deadlines, each under a key of which there is at most one."""

import heapq
import itertools
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class TimerQueue(Generic[Key]):
    """Deadlines in order. Setting a key again moves it; a cancelled key never fires.

    Moved and cancelled deadlines stay in the heap until they come up or outnumber the live ones, so each operation
    costs O(log n) on average and the heap is never longer than twice the live keys and one.
    """

    __slots__ = ("_counter", "_heap", "_live")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._live: dict[Key, tuple[float, int]] = {}
        self._counter = itertools.count()

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, key: object) -> bool:
        return key in self._live

    def set(self, key: Key, deadline: float) -> None:
        """Let `key` fire at `deadline` (seconds), and at no other time."""
        turn = next(self._counter)
        self._live[key] = (deadline, turn)
        heapq.heappush(self._heap, (deadline, turn, key))
        self._compact()

    def cancel(self, key: Key) -> bool:
        """Let `key` not fire; true if it would have."""
        was_set = self._live.pop(key, None) is not None
        self._compact()
        return was_set

    def deadline(self, key: Key) -> float | None:
        """When `key` fires, or None if it does not."""
        live = self._live.get(key)
        return live[0] if live is not None else None

    def next(self) -> float | None:
        """The earliest deadline, or None."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Iterator[Key]:
        """Remove and give the keys whose deadline is not after `now`, earliest first.

        They go one at a time, when asked for: what one of them cancels does not fire after it.
        """
        while (earliest := self.next()) is not None and earliest <= now:
            key = heapq.heappop(self._heap)[2]
            del self._live[key]
            yield key

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._live) + 1:
            self._heap = [(when, turn, key) for key, (when, turn) in self._live.items()]
            heapq.heapify(self._heap)

    def _drop_stale(self) -> None:
        while self._heap and self._live.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
