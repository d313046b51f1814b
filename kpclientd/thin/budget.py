"""A budget in bytes for the unfinished frames of all connections together.

A frame may be 40 MiB long, and whoever sends it may take its time; thirty of them at once must not fill the memory. If
more bytes are held than the budget has, the connection whose frame began first is ended: who sends a long frame as fast
as it is read is never the one.
"""

import math
from dataclasses import dataclass
from typing import Final, Protocol

BUDGET: Final = 48 * 1024 * 1024
"""Bytes: the longest frame, and room for everybody else's."""


class Holder(Protocol):
    """Who holds bytes of an unfinished frame."""

    def close(self, reason: str) -> None:
        """End the connection soon."""


@dataclass(slots=True)
class _Held:
    size: int
    since: float


class FrameBudget:
    """Counts what is held.

    Args:
        most: bytes.
    """

    def __init__(self, most: int = BUDGET) -> None:
        self.most = most
        self.held = 0
        self.ended = 0
        self._by_holder: dict[Holder, _Held] = {}

    def hold(self, holder: Holder, size: int, since: float) -> None:
        """`holder` has `size` bytes of a frame that began at `since` (monotonic seconds)."""
        known = self._by_holder.get(holder)
        if known is None:
            if not size:
                return
            known = self._by_holder[holder] = _Held(0, since)
        self.held += size - known.size
        known.size, known.since = size, since
        if not size:
            del self._by_holder[holder]
        while self.held > self.most:
            oldest = min(self._by_holder, key=lambda holder: self._by_holder[holder].since)
            size = self._by_holder[oldest].size
            self.forget(oldest)
            self.ended += 1
            oldest.close(f"the {size} bytes of its unfinished frame are too many beside those of others")

    def forget(self, holder: Holder) -> None:
        """`holder` has ended."""
        known = self._by_holder.pop(holder, None)
        if known is not None:
            self.held -= known.size

    def oldest(self) -> float:
        """Since when the oldest unfinished frame has been (monotonic seconds), or infinity."""
        return min((held.since for held in self._by_holder.values()), default=math.inf)
