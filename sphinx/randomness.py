"""Randomness as an argument.

No core of this project draws from the operating system by itself: it is handed a `Randomness`. The daemon
passes one over the system's generator, a test passes a seeded one and sees the same packets, routes and delays
each time.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")

_DOUBLE_BITS: Final = 53
_STREAM_BLOCK: Final = 4096
_SEED_BYTES: Final = 32


class Randomness:
    """Draws of every kind the protocols need, from one source of bytes.

    Args:
        source: returns as many uniformly random bytes as it is asked for; `os.urandom` in the daemon.
    """

    __slots__ = ("_source",)

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source

    def bytes(self, length: int) -> bytes:
        """Return `length` random bytes."""
        return self._source(length)

    def below(self, bound: int) -> int:
        """Return an unbiased integer in [0, bound).

        Raises:
            ValueError: if `bound` is not positive.
        """
        if bound <= 0:
            raise ValueError(f"a draw below {bound} is impossible")
        bits = (bound - 1).bit_length()
        length = (bits + 7) // 8
        while True:
            value = int.from_bytes(self._source(length), "big") >> (8 * length - bits)
            if value < bound:
                return value

    def choice(self, items: Sequence[Item]) -> Item:
        """Return one of `items`, each equally likely."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Return `items` in another order, each order equally likely (Fisher and Yates)."""
        left = list(items)
        for end in range(len(left) - 1, 0, -1):
            chosen = self.below(end + 1)
            left[end], left[chosen] = left[chosen], left[end]
        return left

    def uniform(self) -> float:
        """Return a float in (0, 1], never zero, so that its logarithm exists."""
        return (self.below(1 << _DOUBLE_BITS) + 1) / (1 << _DOUBLE_BITS)

    def fork(self) -> "Randomness":
        """An independent stream, seeded from this one: what is drawn there changes nothing here, nor its order.

        What it holds at any time tells nothing of what was drawn before: with each block it takes another key, and the
        one before is gone (Bernstein, "Fast-key-erasure random-number generators", 2017; over SHAKE-256).
        """
        return Randomness(_erasing(self._source(_SEED_BYTES)))

    def exponential(self, mean: float) -> float:
        """Return an exponential variate, in the unit of `mean`."""
        return -math.log(self.uniform()) * mean


def seeded(seed: bytes) -> Randomness:
    """A `Randomness` that is the SHAKE-256 stream of `seed`: as unpredictable as that is, and reproducible from it."""
    number = 0

    def block() -> bytes:
        nonlocal number
        made = hashlib.shake_256(seed + number.to_bytes(8, "big")).digest(_STREAM_BLOCK)
        number += 1
        return made

    return Randomness(_cut(block))


def _erasing(key: bytes) -> Callable[[int], bytes]:
    """A source that forgets how it came to what it gave."""

    def block() -> bytes:
        nonlocal key
        made = hashlib.shake_256(key).digest(_SEED_BYTES + _STREAM_BLOCK)
        key = made[:_SEED_BYTES]
        return made[_SEED_BYTES:]

    return _cut(block)


def _cut(block: Callable[[], bytes]) -> Callable[[int], bytes]:
    """A source of as many bytes as it is asked for, out of blocks; it holds what is left of the last."""
    left = bytearray()

    def source(length: int) -> bytes:
        while len(left) < length:
            left.extend(block())
        taken = bytes(left[:length])
        del left[:length]
        return taken

    return source
