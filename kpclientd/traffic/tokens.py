"""Counts the tokens of the gateway's rate limiter.

A gateway gives each connection a bucket of tokens and silently drops the packets that find it empty. An honest client
that sends at just the rates of the consensus still runs a young bucket dry, and loses what it sends then. So the
client keeps a lower bound on the bucket's content, and lets a packet that matters leave only when a token is there
for sure; a decoy takes its slot otherwise, and the times of sending stay what they were.

Source: the reference gateway's limiter: one token when the client is authenticated, one more each `interval`, at most
256.
"""

import math
from typing import Final

BUCKET_CAP: Final = 256
HEADROOM: Final = 1.1
"""A gateway refills at this multiple of the rate at which a client should send."""

NANOSECONDS: Final = 1e9
NANOSECONDS_PER_MILLISECOND: Final = 1e6


def refill_interval(lambda_p: float, lambda_l: float) -> float | None:
    """Seconds between two new tokens for these rates (events per millisecond), or None where there is no limit."""
    total = lambda_p + lambda_l
    if total <= 0:
        return None
    return math.ceil(NANOSECONDS_PER_MILLISECOND / (total * HEADROOM)) / NANOSECONDS


class TokenBucket:
    """A lower bound on the tokens that the gateway counts for this connection.

    What is not known is how much earlier the gateway began to count and how long a packet travels. Both are within
    `uncertainty`: a packet that leaves while a token may or may not be there is taken to have used one up.

    Args:
        opened: monotonic seconds at which the connection was known to be authenticated.
        uncertainty: seconds, see above.
    """

    __slots__ = ("_interval", "_level", "_since", "_uncertainty")

    def __init__(self, opened: float, uncertainty: float) -> None:
        self._since = opened
        self._uncertainty = uncertainty
        self._interval: float | None = None
        self._level = 1.0

    def set_interval(self, interval: float | None, now: float) -> None:
        """Count with `interval` (seconds a token; None for no limit) from now on.

        The first interval holds from the connection's beginning; a later one starts with an empty bucket, as it is
        not known when the gateway changes over.
        """
        if interval == self._interval:
            return
        if self._interval is not None:
            self._level = 0.0
            self._since = now
        self._interval = interval

    def is_sure(self, now: float) -> bool:
        """Whether a packet that leaves at `now` surely finds a token."""
        if self._interval is None:
            return True
        return self._level_at(now, self._interval) >= 1.0

    def spend(self, now: float) -> None:
        """A packet leaves at `now`, whatever it is."""
        if self._interval is None:
            return
        level = self._level_at(now, self._interval)
        slack = self._uncertainty / self._interval
        if level + slack >= 1.0:
            level = max(level - 1.0, -slack)
        self._level, self._since = level, now

    def _level_at(self, now: float, interval: float) -> float:
        return min(float(BUCKET_CAP), self._level + max(0.0, now - self._since) / interval)
