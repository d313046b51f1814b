"""The reference gateway's rate limiter for packets from clients.

A token bucket per connection. It holds one token when the handshake has authenticated the client, gains one per
interval, and a packet that finds it empty is dropped without a word. The interval follows from the consensus: a
client that sends at its two Poisson rates fills nine tenths of it on average.
"""

import math
from typing import Final

from pki.epoch import NANOSECONDS_PER_SECOND

FIRST_TOKENS: Final = 1
"""Tokens of a bucket that was just made."""

MOST_TOKENS: Final = 256

_RATE_FACTOR: Final = 1.1
"""Tokens for each packet that a client should send (the wire specification, "rate limit at the gateway")."""

_NANOSECONDS_PER_MILLISECOND: Final = 1_000_000
_LONGEST: Final = (1 << 63) - 1  # of the reference's durations


def refill_interval(lambda_p: float, lambda_l: float) -> int | None:
    """Return the nanoseconds between two tokens, or None when both rates are zero and nothing is limited.

    Written from the wire specification and not from the daemon's estimate of it, so that the two can disagree.
    """
    packets_per_millisecond = lambda_p + lambda_l
    if packets_per_millisecond <= 0 or math.isinf(packets_per_millisecond):
        return None
    exact = _NANOSECONDS_PER_MILLISECOND / (_RATE_FACTOR * packets_per_millisecond)
    return min(math.ceil(exact), _LONGEST)


class RateLimiter:
    """Whether one connection may send a packet now.

    Args:
        interval: nanoseconds between two tokens.
        now: the monotonic clock at the client's authentication, seconds.
    """

    __slots__ = ("_counted_until", "_interval", "_tokens")

    def __init__(self, interval: int, now: float) -> None:
        self._interval = interval
        self._tokens = FIRST_TOKENS
        self._counted_until = _nanoseconds(now)

    def take(self, now: float) -> bool:
        """Spend one token at `now` (monotonic seconds); False when there is none and the packet must be dropped."""
        gained = max(0, _nanoseconds(now) - self._counted_until) // self._interval
        self._counted_until += gained * self._interval  # whole intervals only: the rest counts towards the next
        self._tokens = min(MOST_TOKENS, self._tokens + gained)
        if self._tokens == 0:
            return False
        self._tokens -= 1
        return True


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS_PER_SECOND)
