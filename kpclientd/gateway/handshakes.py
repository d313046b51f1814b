"""Counts handshakes with gateways: how long they took, and where those that failed did."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from arq import Distribution, Histogram


@dataclass(frozen=True, slots=True)
class HandshakesStatus:
    """Handshakes since the start.

    Attributes:
        succeeded, failed: seconds that they took.
        failures: how many failed where: a handshake's state, `premature_close` or `other`, the reference's words.
    """

    succeeded: Distribution
    failed: Distribution
    failures: Mapping[str, int]


class Handshakes:
    """Told of each handshake that ended."""

    def __init__(self) -> None:
        self._succeeded = Histogram()
        self._failed = Histogram()
        self._failures: Counter[str] = Counter()

    def ended(self, seconds: float, failed_at: str | None) -> None:
        """One ended after so many seconds; `failed_at` says where it failed, or is None if it did not."""
        if failed_at is None:
            self._succeeded.add(seconds)
        else:
            self._failed.add(seconds)
            self._failures[failed_at] += 1

    def status(self) -> HandshakesStatus:
        """What was counted so far."""
        return HandshakesStatus(self._succeeded.distribution(), self._failed.distribution(), dict(self._failures))
