"""The Kolmogorov-Smirnov tests, as far as tests and benchmarks need them.

The asymptotic law, good from some hundred samples on (Kolmogorov 1933; Smirnov 1939; Marsaglia, Tsang and Wang 2003).
"""

import math
from collections.abc import Callable, Sequence

TERMS = 100


def p_value(samples: Sequence[float], distribution: Callable[[float], float]) -> float:
    """How likely samples of `distribution` (its cumulative function) lie at least as far from it as these."""
    count = len(samples)
    distance = 0.0
    for place, value in enumerate(sorted(samples)):
        expected = distribution(value)
        distance = max(distance, expected - place / count, (place + 1) / count - expected)
    return _beyond(distance * math.sqrt(count))


def exponential_p_value(samples: Sequence[float], mean: float) -> float:
    """The same against the exponential distribution of that mean."""
    return p_value(samples, lambda value: 1 - math.exp(-max(0.0, value) / mean))


def two_sample_p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """How likely two samples of one distribution, whichever it is, lie at least as far from each other as these."""
    left, right = sorted(first), sorted(second)
    distance, below_left, below_right = 0.0, 0, 0
    while below_left < len(left) and below_right < len(right):
        value = min(left[below_left], right[below_right])
        while below_left < len(left) and left[below_left] == value:
            below_left += 1
        while below_right < len(right) and right[below_right] == value:
            below_right += 1
        distance = max(distance, abs(below_left / len(left) - below_right / len(right)))
    return _beyond(distance * math.sqrt(len(left) * len(right) / (len(left) + len(right))))


def _beyond(scaled: float) -> float:
    """The probability that a distance, scaled by the samples' number, is at least this."""
    total = sum((-1) ** (term - 1) * math.exp(-2 * (term * scaled) ** 2) for term in range(1, TERMS))
    return min(1.0, max(0.0, 2 * total)) if scaled > 0.2 else 1.0
