"""Epochs: the mixnet's common time. All arithmetic is in whole microseconds, so that a boundary belongs to one epoch.

The period is in no document: every party of a network must be told the same one, by the key `EpochDuration` of its
configuration, as the newest reference has it, or by the environment, as all others have.
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
PERIOD_KEY: Final = "EpochDuration"

SHORTEST_CONFIGURED: Final = 120
LONGEST_CONFIGURED: Final = 168 * 3600
"""Seconds, of a period in a configuration; the environment may have any, as test networks do."""

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


def format_duration(seconds: float) -> str:
    """A duration in whole nanoseconds as Go writes it from a second on: `1m30s`, `2m0.5s`, `-3m0s`, `0s`."""
    nanoseconds = round(abs(seconds) * NANOSECONDS_PER_SECOND)
    whole, fraction = divmod(nanoseconds, NANOSECONDS_PER_SECOND)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    text += str(rest) + (f".{fraction:09d}".rstrip("0") if fraction else "") + "s"
    return f"-{text}" if seconds < 0 and nanoseconds else text


@dataclass(frozen=True, slots=True)
class EpochPeriod:
    """The period of a network's epochs, and where it comes from.

    Attributes:
        seconds: the period.
        source: in words for people.
        advice: what the owner should change, or empty.
    """

    seconds: float
    source: str
    advice: str = ""


def check_configured_period(seconds: float) -> None:
    """Refuse a period that a configuration may not have.

    Raises:
        EpochError: if it is not a whole number of seconds from two minutes to a week; in the reference's words.
    """
    if not (seconds == int(seconds) and SHORTEST_CONFIGURED <= seconds <= LONGEST_CONFIGURED):
        shortest, longest = format_duration(SHORTEST_CONFIGURED), format_duration(LONGEST_CONFIGURED)
        raise EpochError(
            f"epochtime: epoch duration {format_duration(seconds)} must be whole seconds from {shortest} to {longest}"
        )


def epoch_period(environ: Mapping[str, str], configured: float | None = None) -> EpochPeriod:
    """The network's period: what is configured, or `KATZENPOST_EPOCH_DURATION`, or 20 minutes.

    Args:
        environ: the environment; an empty variable is none.
        configured: the configuration's `EpochDuration` (seconds), or None.

    Raises:
        EpochError: if the variable is not a positive duration, or contradicts the configuration.
    """
    text = environ.get(PERIOD_VARIABLE, "")
    if configured is not None:
        if text and _period_of(text) != configured:
            given = f'{PERIOD_VARIABLE}="{text[:_LONGEST_TEXT]}"'
            raise EpochError(
                f"epochtime: {PERIOD_KEY} {format_duration(configured)} contradicts {given}; keep one of the two"
            )
        return EpochPeriod(configured, f"by {PERIOD_KEY}")
    if not text:
        return EpochPeriod(DEFAULT_PERIOD, DEFAULT_PERIOD_SOURCE)
    try:
        period = EpochClock(parse_duration(text)).period
    except EpochError as error:
        raise EpochError(f"{PERIOD_VARIABLE}: {error}") from None
    return EpochPeriod(period, f"by {PERIOD_VARIABLE}", _advice(period))


def _period_of(text: str) -> float | None:
    try:
        return parse_duration(text)
    except EpochError:
        return None


def _advice(period: float) -> str:
    try:
        check_configured_period(period)
    except EpochError:
        return ""  # a test network's, which no configuration may have
    key = f'{PERIOD_KEY} = "{format_duration(period)}"'
    return f"{PERIOD_VARIABLE} is deprecated, set {key} in the config file instead"
