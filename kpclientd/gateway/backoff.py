"""How long to wait before the next dial."""

from typing import Final

from sphinx.randomness import Randomness

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 60.0
JITTER: Final = 0.2
SETTLED_SECONDS: Final = 20.0
"""A link that lived this long was a good one: the next failure is the first again."""


class Backoff:
    """Waits that double from one second to a minute, each a fifth longer or shorter by chance.

    The reference waits 2, 17, 32 ... 120 seconds; a client of its own gateway is back sooner with these, and a
    gateway that misbehaves at once is still not dialled more than once a minute for long.
    """

    __slots__ = ("_failures", "_randomness")

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._failures = 0

    def next_wait(self) -> float:
        """Seconds to wait after one more failure."""
        wait = min(FIRST_SECONDS * 2.0**self._failures, LONGEST_SECONDS)
        if wait < LONGEST_SECONDS:
            self._failures += 1
        return wait * (1 - JITTER + 2 * JITTER * self._randomness.uniform())

    def after_link(self, lived: float) -> None:
        """A link ended after `lived` seconds."""
        if lived >= SETTLED_SECONDS:
            self._failures = 0
