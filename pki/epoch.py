"""Epochs: the mixnet's common time. All arithmetic is in whole microseconds, so that a boundary belongs to one epoch.

The period is in no file and in no document: every party of a network must be told the same one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from pki.errors import EpochError

GENESIS: Final = 1_496_275_200
"""Unix time of the start of epoch 0, 2017-06-01 00:00:00 UTC (Katzenpost `core/epochtime`)."""

DEFAULT_PERIOD: Final = 1200.0
"""Seconds; the reference's 20 minutes."""

DEFAULT_PERIOD_SOURCE: Final = "the default"

MILLISECONDS_PER_SECOND: Final = 1_000
NANOSECONDS_PER_SECOND: Final = 1_000_000_000

PERIOD_VARIABLE: Final = "KATZENPOST_EPOCH_DURATION"

REPLICA_PERIOD: Final = 604_800
"""Seconds; storage replicas change their envelope keys weekly, whatever the epoch period is."""

RESOLUTION: Final = 1e-6
"""Seconds; two times nearer to each other than this are one."""

_TICKS: Final = 1_000_000  # microseconds per second
_GENESIS_TICKS: Final = GENESIS * _TICKS

_DURATION_UNITS: Final[Mapping[str, int]] = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS_PER_SECOND,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LONGEST_DURATION: Final = (1 << 63) - 1  # Go's int64 nanoseconds
_LONGEST_TEXT: Final = 100
_DURATION_TERM: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


@dataclass(frozen=True, slots=True)
class EpochClock:
    """Tells epochs from Unix times, for one epoch period.

    Args:
        period: seconds; a positive whole number of microseconds.

    Raises:
        EpochError: if the period is not positive or finer than a microsecond.
    """

    period: float = DEFAULT_PERIOD

    def __post_init__(self) -> None:
        if not RESOLUTION <= self.period <= _LONGEST_DURATION / NANOSECONDS_PER_SECOND:
            raise EpochError(f"the epoch period must be a positive number of seconds, not {self.period}")

    def epoch(self, now: float) -> int:
        """The epoch of the Unix time `now` (Katzenpost PKI, 'epoch time').

        Raises:
            EpochError: if `now` is before epoch 0.
        """
        return self._ticks_since_genesis(now) // self._period_ticks

    def elapsed(self, now: float) -> float:
        """Seconds since the present epoch began, in [0, period)."""
        return self._ticks_since_genesis(now) % self._period_ticks / _TICKS

    def till_next(self, now: float) -> float:
        """Seconds until the next epoch begins, in (0, period]."""
        period = self._period_ticks
        return (period - self._ticks_since_genesis(now) % period) / _TICKS

    def start(self, epoch: int) -> float:
        """The Unix time at which `epoch` begins: `clock.epoch(clock.start(e)) == e`."""
        return (_GENESIS_TICKS + epoch * self._period_ticks) / _TICKS

    def replica_epoch(self, now: float) -> int:
        """The weekly epoch of the storage replicas' envelope keys."""
        return self._ticks_since_genesis(now) // (REPLICA_PERIOD * _TICKS)

    @property
    def _period_ticks(self) -> int:
        return round(self.period * _TICKS)

    def _ticks_since_genesis(self, now: float) -> int:
        ticks = round(now * _TICKS) - _GENESIS_TICKS
        if ticks < 0:
            raise EpochError(f"the clock says {now:.0f} s, which is before epoch 0 ({GENESIS} s): set the clock")
        return ticks


def parse_duration(text: str) -> float:
    """Seconds of a duration in Go's syntax: `2m`, `90s`, `1h30m`, `1m30.5s`, `-1.5h`, `0`.

    Raises:
        EpochError: if the text is no such duration, or too long for 64 bits of nanoseconds.
    """
    fault = f"{text[:_LONGEST_TEXT]!r} is not a duration: expected numbers with units, such as 20m, 90s or 1h30m"
    if len(text) > _LONGEST_TEXT:
        raise EpochError(fault)
    negative = text.startswith("-")
    unsigned = text[1:] if text[:1] in ("-", "+") else text
    if unsigned == "0":
        return 0.0
    nanoseconds = 0
    offset = 0
    while offset < len(unsigned):
        term = _DURATION_TERM.match(unsigned, offset)
        if term is None:
            raise EpochError(fault)
        nanoseconds += int(Fraction(term[1].rstrip(".")) * _DURATION_UNITS[term[2]])
        offset = term.end()
    if offset == 0 or nanoseconds > _LONGEST_DURATION:
        raise EpochError(fault)
    return (-nanoseconds if negative else nanoseconds) / NANOSECONDS_PER_SECOND


def period_source(environ: Mapping[str, str]) -> str:
    """Where `period_from_environment` has the period from, in words for people."""
    return f"by {PERIOD_VARIABLE}" if environ.get(PERIOD_VARIABLE) else DEFAULT_PERIOD_SOURCE


def period_from_environment(environ: Mapping[str, str]) -> float:
    """The epoch period in seconds: `KATZENPOST_EPOCH_DURATION`, or 20 minutes where it is unset or empty.

    Raises:
        EpochError: if the variable is set to something that is not a positive duration.
    """
    text = environ.get(PERIOD_VARIABLE, "")
    if not text:
        return DEFAULT_PERIOD
    try:
        return EpochClock(parse_duration(text)).period
    except EpochError as error:
        raise EpochError(f"{PERIOD_VARIABLE}: {error}") from None
