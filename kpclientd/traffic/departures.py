"""Keeps what can be told of when packets left: how many lately, and whether the gaps between them are as drawn.

Whether a packet was a message's or a decoy's is not known here: whoever sees these figures learns from them no more
than an observer of the link does.

A gap is turned into the probability that an exponential one of the present rate is no longer: where the gaps are what
they should be these are uniform, at whatever rates, so they are counted in ranges of equal probability. Only gaps in
which the rates stayed the same and the link was up are counted, as neither a link's end nor its beginning is drawn.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from arq import Distribution, Histogram

GAP_RANGES: Final = 20

WINDOW_SECONDS: Final = 5.0
WINDOWS: Final = 60
"""Five minutes, which is what a page shows."""

MILLISECONDS: Final = 1000.0


@dataclass(frozen=True, slots=True)
class DeparturesStatus:
    """What can be seen.

    Attributes:
        expected: packets a second by the present rates; 0 where none are to be sent.
        window: seconds of each count in `recent`.
        recent: how many packets left in each of the last whole windows, oldest first; at most `WINDOWS`.
        gaps: of the probabilities that a gap of the present rate is no longer than the one seen.
    """

    expected: float
    window: float
    recent: tuple[int, ...]
    gaps: Distribution


class Departures:
    """Told of each packet that leaves; times are monotonic seconds."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._last: float | None = None
        self._gaps = Histogram([number / GAP_RANGES for number in range(1, GAP_RANGES)])
        self._recent: deque[int] = deque(maxlen=WINDOWS)
        self._window: int | None = None
        self._in_window = 0
        self._is_whole = False  # the first window began before there was anything to count

    def begin(self, now: float, mean_intervals_ms: Iterable[int]) -> None:
        """A link, or other rates, begin; 0 is a process that is off."""
        self._rate = sum(MILLISECONDS / mean for mean in mean_intervals_ms if mean)
        self._last = now  # the next tick of each process was drawn from here on
        self._advance(now)

    def end(self) -> None:
        """The link is gone."""
        self._last = None

    def left(self, now: float) -> None:
        """A packet left."""
        self._advance(now)
        self._in_window += 1
        if self._last is not None:
            self._gaps.add(-math.expm1(-self._rate * (now - self._last)))
            self._last = now

    def status(self, now: float) -> DeparturesStatus:
        """What can be seen at `now`."""
        self._advance(now)
        return DeparturesStatus(self._rate, WINDOW_SECONDS, tuple(self._recent), self._gaps.distribution())

    def _advance(self, now: float) -> None:
        window = int(now // WINDOW_SECONDS)
        if self._window is None:
            self._window = window
        passed = window - self._window
        if passed <= 0:
            return
        if self._is_whole:
            self._recent.append(self._in_window)
        self._is_whole = True
        self._recent.extend([0] * min(passed - 1, WINDOWS))
        self._window, self._in_window = window, 0
