"""Counts the tokens of the gateway's rate limiter.

Theory of operation. A gateway gives each connection a bucket of tokens and silently drops the packets that find it
empty. A client that sends at just the rates of the consensus still runs a young bucket dry, and loses what it sends
then. So the client keeps a lower bound on the bucket's content, and lets a packet that matters leave only when a token
is there for sure; a decoy takes its slot otherwise, and the times of sending stay what they were.

The bound is kept in two numbers, the level at the last change and the time of that change; what was refilled since is
added when it is asked for. Three things keep it a lower bound: it begins when the client *knows* that the gateway
counts, it is lowered by a token for every packet that may have cost one, and it starts again at nothing whenever the
gateway's rate may have changed.

Source: the reference gateway's limiter: one token when the client is authenticated, one more each `interval`, at most
256.
"""

import math
from typing import Final

BUCKET_CAP: Final = 256
FIRST_TOKENS: Final = 1.0
HEADROOM: Final = 1.1
"""A gateway refills at this multiple of the rate at which a client should send."""

NANOSECONDS: Final = 1e9
NANOSECONDS_PER_MILLISECOND: Final = 1e6

LONGEST_INTERVAL: Final = float(2**63 - 1)
"""Nanoseconds that the reference's durations can hold."""


def refill_interval(lambda_p: float, lambda_l: float) -> float | None:
    """Seconds between two new tokens for these rates (events per millisecond), or None where there is no limit."""
    rate = HEADROOM * (lambda_p + lambda_l)
    if not 0 < rate < math.inf:
        return None
    return math.ceil(min(NANOSECONDS_PER_MILLISECOND / rate, LONGEST_INTERVAL)) / NANOSECONDS


class TokenEstimate:
    """A lower bound on the tokens that the gateway counts for this connection.

    What is not known is how much earlier the gateway began to count and how long a packet travels; together that is
    less than `uncertainty`. Counted are the tokens that a packet surely finds if it leaves now, so the gateway's count
    differs from ours by whole tokens and at most the uncertainty. Hence a packet that leaves while less than a token
    is there, uncertainty included, is dropped and costs nothing; any other is taken to cost one.

    A bucket that was full, or whose interval changed, has lost a part of a token at some time: the two counts are out
    of step then, and every packet is taken to cost a token. In no case does the gateway have less than none.

    Args:
        opened: monotonic seconds at which the connection was known to be authenticated.
        uncertainty: seconds, see above.
    """

    __slots__ = ("_in_step", "_interval", "_level", "_since", "_uncertainty")

    def __init__(self, opened: float, uncertainty: float) -> None:
        self._since = opened
        self._uncertainty = uncertainty
        self._interval: float | None = None
        self._level = FIRST_TOKENS
        self._in_step = True

    def set_interval(self, interval: float | None, now: float) -> None:
        """Count with `interval` (seconds a token; None for no limit) from now on.

        The first interval holds from the connection's beginning if nothing was sent before; otherwise the bucket is
        taken to be empty, as it is not known when the gateway changes over.
        """
        if interval == self._interval:
            return
        if self._interval is not None:
            self._in_step = False
        self._interval = interval
        if not self._in_step and interval is not None:
            self._level, self._since = -self._uncertainty / interval, now

    def has(self, now: float, tokens: float = 1.0) -> bool:
        """Whether a packet that leaves at `now` surely finds a token, or as many as `tokens`."""
        if self._interval is None:
            return True
        return self._level_at(now, self._interval) >= tokens

    def level(self, now: float) -> float | None:
        """How many tokens are surely there at `now`, or None where there is no limit."""
        return None if self._interval is None else self._level_at(now, self._interval)

    def spend(self, now: float) -> None:
        """A packet leaves at `now`, whatever it is."""
        if self._interval is None:
            self._in_step = False
            return
        level = self._level_at(now, self._interval)
        slack = self._uncertainty / self._interval
        self._in_step = self._in_step and level + slack < BUCKET_CAP
        if not self._in_step or level + slack >= 1.0:
            level = max(level - 1.0, -slack)
        self._level, self._since = level, now

    def _level_at(self, now: float, interval: float) -> float:
        full = max(FIRST_TOKENS, BUCKET_CAP - self._uncertainty / interval)
        return min(full, self._level + max(0.0, now - self._since) / interval)
