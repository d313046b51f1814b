"""Intervals of a Poisson process, as the reference draws them.

Rates are events per millisecond, as consensus documents give them. Source: the Katzenpost client daemon, "the two
Poisson processes".
"""

import math
from typing import Final

from sphinx.randomness import Randomness

MILLISECONDS: Final = 1000.0

LEAST_RATE: Final = 1e-12
"""Once in thirty years; a lower one is never."""

TAIL: Final = 1e-12
"""A draw longer than all but this fraction of draws is cut to that length."""


def mean_interval_ms(rate: float) -> int:
    """The mean interval (whole milliseconds) of a process with `rate` events per millisecond; 0 means it is off."""
    if not LEAST_RATE <= rate <= 1:
        return 0
    return int(1 / rate)


def interval_cap_ms(mean_ms: int) -> int:
    """The longest interval (milliseconds) that is ever drawn for a mean of `mean_ms`."""
    return math.ceil(-math.log(TAIL) * mean_ms)


def draw_interval(mean_ms: int, randomness: Randomness) -> float:
    """Draw the time to the next event, in seconds; it is a whole number of milliseconds."""
    drawn = min(int(randomness.exponential(mean_ms)), interval_cap_ms(mean_ms))
    return drawn / MILLISECONDS
