"""The Kolmogorov-Smirnov test, as far as these tests need it."""

import math
from collections.abc import Callable, Sequence

TERMS = 100


def p_value(samples: Sequence[float], distribution: Callable[[float], float]) -> float:
    """How likely samples of `distribution` (its cumulative function) lie at least as far from it as these.

    The asymptotic law, good from some hundred samples on (Kolmogorov 1933; Marsaglia, Tsang and Wang 2003).
    """
    count = len(samples)
    distance = 0.0
    for place, value in enumerate(sorted(samples)):
        expected = distribution(value)
        distance = max(distance, expected - place / count, (place + 1) / count - expected)
    scaled = distance * math.sqrt(count)
    total = sum((-1) ** (term - 1) * math.exp(-2 * (term * scaled) ** 2) for term in range(1, TERMS))
    return min(1.0, max(0.0, 2 * total)) if scaled > 0.2 else 1.0


def exponential_p_value(samples: Sequence[float], mean: float) -> float:
    """The same against the exponential distribution of that mean."""
    return p_value(samples, lambda value: 1 - math.exp(-value / mean))
