"""The reference gateway's rate limiter for packets from clients.

A token bucket per connection. It holds one token when the handshake has authenticated the client, gains one per
interval, and a packet that finds it empty is dropped without a word. The interval follows from the consensus: a
client that sends at its two Poisson rates fills nine tenths of it on average.
"""

from typing import Final

from kpclientd.traffic.tokens import BUCKET_CAP
from kpclientd.traffic.tokens import refill_interval as client_refill_interval
from pki.epoch import NANOSECONDS_PER_SECOND

FIRST_TOKENS: Final = 1
"""Tokens of a bucket that was just made."""


def refill_interval(lambda_p: float, lambda_l: float) -> int | None:
    """Return the nanoseconds between two tokens, or None when both rates are zero and nothing is limited.

    It is the daemon's own computation, for the same rates (events per millisecond): both follow the consensus.
    """
    seconds = client_refill_interval(lambda_p, lambda_l)
    return None if seconds is None else round(seconds * NANOSECONDS_PER_SECOND)


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
        self._tokens = min(BUCKET_CAP, self._tokens + gained)
        if self._tokens == 0:
            return False
        self._tokens -= 1
        return True


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS_PER_SECOND)
