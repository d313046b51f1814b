"""Counts how long things took, in a few numbers that do not grow: how many in each of some ranges, and their sum."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DOUBLING_SECONDS: Final = tuple(0.05 * 2**power for power in range(12))
"""From 50 ms to 102.4 s, as the reference's histograms of round trips and handshakes have them."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What was counted since the start.

    Attributes:
        bounds: upper ends of the ranges, themselves within; ascending.
        counts: of each range, and last of what lies above them all; one more than there are bounds.
        total: the sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def number(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class Histogram:
    """Counts values.

    Args:
        bounds: see `Distribution`.
    """

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float] = DOUBLING_SECONDS) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def distribution(self) -> Distribution:
        """What was counted so far."""
        return Distribution(self._bounds, tuple(self._counts), self._total)
