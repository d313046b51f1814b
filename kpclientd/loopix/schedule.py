"""When the client does something: pauses and delays, all exponentially distributed.

Source: the Nym 2019 Loopix client, "traffic loops" and "path and delays".
"""

from typing import Final

from sphinx.randomness import Randomness

DEFAULT_RATE: Final = 10.0
"""Events per second of each stream, where the configuration says nothing or 0."""

DELAY_RATE: Final = 5.0
"""Parameter (per second) of the delay at each node."""

FIRST_BACKOFF: Final = 0.25
LONGEST_BACKOFF: Final = 5.0
"""Seconds that a stream waits at least after its first failure in a row, and after many."""


def stream_rate(configured: float) -> float | None:
    """Return a stream's events per second; None if it is off.

    Args:
        configured: as the configuration has it; exactly 0 means the default, and a negative rate none at all.
    """
    if configured < 0:
        return None
    return configured or DEFAULT_RATE


def pause(rate: float, randomness: Randomness) -> float:
    """Draw the seconds from the end of one action of a stream to the next."""
    return randomness.exponential(1 / rate)


def pause_after_failures(rate: float, failures: int, randomness: Randomness) -> float:
    """Draw the pause of a stream whose last `failures` actions failed: longer each time, up to some seconds."""
    drawn = pause(rate, randomness)
    if not failures:
        return drawn
    doublings = min(failures - 1, int(LONGEST_BACKOFF / FIRST_BACKOFF).bit_length())
    return max(drawn, min(FIRST_BACKOFF * (1 << doublings), LONGEST_BACKOFF))


def node_delays(nodes: int, randomness: Randomness) -> tuple[float, ...]:
    """Draw the seconds that a packet is to wait at each of its nodes."""
    return tuple(randomness.exponential(1 / DELAY_RATE) for _ in range(nodes))
