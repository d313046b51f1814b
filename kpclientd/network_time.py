"""The network's time, in one place: the wall clock, how wrong it is known to be, and whether it jumped.

Theory of operation. Epochs, routes and documents follow the network's time; delays and deadlines follow the monotonic
clock, which never jumps and is trio's. The network's time is this machine's wall clock less a correction. A gateway
tells its clock in each handshake; the difference, the *skew*, is kept to be seen, and with `EnableTimeSync` it becomes
the correction, within two bounds: it is no more than `LONGEST_CORRECTION`, and it never leads back before an epoch
whose document was verified already, since then an old document could be played again.

The wall clock is somebody else's and may be stepped. `look` compares it with the monotonic clock: where the two part by
more than `JUMP_SECONDS` between two looks, that is counted as a jump.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

log = logging.getLogger("katzenpost/client")

SKEW_TOLERATED: Final = 1 / 16
"""Of an epoch; a clock that is further off the gateway's is worth a warning."""

SKEW_RESOLUTION: Final = 2.0
"""Seconds; the gateway tells whole ones, and a difference of less than two may be none."""

LONGEST_CORRECTION: Final = 86_400.0 * 7
"""Seconds; a clock that is further off was never set, and has to be, by other means."""

JUMP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class TimeStatus:
    """What can be seen of the clocks.

    Attributes:
        now: the network's time, as far as it is known (Unix seconds).
        skew: our wall clock less the gateway's (seconds) at the last handshake, or None before one.
        correction: what is taken off our wall clock (seconds).
        jumps: how often the wall clock was seen to jump.
    """

    now: float
    skew: float | None
    correction: float
    jumps: int


class NetworkTime:
    """Tells the network's time.

    Args:
        wall: this machine's wall clock (Unix seconds).
        monotonic: a clock that never jumps (seconds).
        period: of an epoch (seconds).
        correct: whether the wall clock is corrected by what gateways tell.
    """

    def __init__(
        self, wall: Callable[[], float], monotonic: Callable[[], float], *, period: float, correct: bool
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._period = period
        self._correct = correct
        self._correction = 0.0
        self._skew: float | None = None
        self._earliest = 0.0
        self._jumps = 0
        self._last_offset: float | None = None

    def __call__(self) -> float:
        """The present, in Unix seconds."""
        return self._wall() - self._correction

    @property
    def offset(self) -> float:
        """The network's time less monotonic time (seconds): turns deadlines into Unix seconds and back."""
        return self() - self._monotonic()

    def note_document(self, start: float) -> None:
        """A document was verified whose epoch begins at `start` (Unix seconds): no correction leads back before."""
        self._earliest = max(self._earliest, start)

    def note_skew(self, skew: float) -> None:
        """A gateway's clock was seen; `skew` is our wall clock less its (seconds)."""
        self._skew = skew
        if abs(skew) > max(SKEW_TOLERATED * self._period, SKEW_RESOLUTION):
            log.warning("This machine's clock is %+.0f s off the gateway's; epochs and routes go wrong by that.", skew)
        if not self._correct:
            return
        correction = skew if abs(skew) >= SKEW_RESOLUTION else 0.0
        if abs(correction) > LONGEST_CORRECTION:
            log.warning("A clock is not corrected by %+.0f s on a gateway's word alone; set it.", -correction)
        elif self._wall() - correction < self._earliest - self._period:
            log.warning("The gateway's clock is %.0f s behind a document that was verified; it is not followed.", skew)
        else:
            self._correction = correction

    def look(self) -> bool:
        """Compare the clocks; true if the wall clock jumped since the last look."""
        offset = self._wall() - self._monotonic()
        jumped = self._last_offset is not None and abs(offset - self._last_offset) > JUMP_SECONDS
        self._last_offset = offset
        self._jumps += jumped
        return jumped

    def status(self) -> TimeStatus:
        """What can be seen."""
        return TimeStatus(self(), self._skew, self._correction, self._jumps)
