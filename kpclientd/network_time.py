"""The network's time, in one place: a clock that never jumps, plus an offset that is measured, and bounded.

Theory of operation. Epochs, routes and documents follow the network's time; delays and deadlines follow the monotonic
clock, which never jumps and is trio's. The network's time is the *elapsed* clock (monotonic, but it goes on while the
machine sleeps) plus an offset, and only the offset can be wrong:

* At the start it is the wall clock's, and `look` follows the wall clock from second to second.
* The wall clock is somebody else's and may be stepped. A step is not followed where it leads before the documents that
  were verified, nor, as long as a link is up, where the gateway's clock agrees better with the time before the step.
  When that link ends the wall clock is followed again.
* A gateway tells its clock in each handshake; the difference, the *skew*, is kept to be seen. With `EnableTimeSync` the
  gateway's clock is followed instead of ours if the two differ by no more than an eighth of a period, as the newest
  reference does; or differ from what was agreed before the wall clock was stepped by no more than that. So a series of
  gateways cannot lead us away step by step, and none can lead back to where an old document could be played again.
* It is never before the first epoch: a machine whose clock was never set must not fail by that.

Where the machine slept the elapsed clock and the monotonic one part; `look` tells that apart from a step.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kpclientd.log_levels import NOTICE

log = logging.getLogger("katzenpost/client")

SKEW_TOLERATED: Final = 1 / 16
"""Of an epoch; a clock that is further off the gateway's is worth a warning."""

SKEW_RESOLUTION: Final = 2.0
"""Seconds; the gateway tells whole ones, and a difference of less than two may be none."""

LONGEST_CORRECTION: Final = 1 / 8
"""Of an epoch."""

BEFORE_ITS_EPOCH: Final = 1 / 2
"""Of an epoch: authorities sign a document at most 3/8 of a period before its epoch; the rest is for their clocks."""

STEP_SECONDS: Final = 0.5
"""Between two looks; less is taken for the wall clock's own course."""

SLEEP_SECONDS: Final = 0.5

SUMMED_SECONDS: Final = 60.0
"""After a step that was said, further ones are counted for so long, and said in one line."""


@dataclass(frozen=True, slots=True)
class TimeStatus:
    """What can be seen of the clocks.

    Attributes:
        now: the network's time, as far as it is known (Unix seconds).
        skew: our wall clock less the gateway's (seconds), by the last handshake; None before one.
        correction: what is taken off our wall clock (seconds).
        steps: how often the wall clock was stepped.
        sleeps: how often the machine slept.
    """

    now: float
    skew: float | None
    correction: float
    steps: int
    sleeps: int


@dataclass(frozen=True, slots=True)
class ClockChange:
    """What happened between two looks: for how long the machine slept, and how far the wall clock was stepped (s)."""

    slept: float = 0.0
    stepped: float = 0.0


class NetworkTime:
    """Tells the network's time.

    Args:
        wall: this machine's wall clock (Unix seconds).
        monotonic: a clock that never jumps, trio's (seconds).
        elapsed: the same, but it goes on while the machine sleeps; where there is none, `monotonic` itself.
        period: of an epoch (seconds).
        beginning: of the first epoch (Unix seconds).
        correct: whether gateways' clocks are followed.
    """

    def __init__(
        self,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        *,
        elapsed: Callable[[], float] | None = None,
        period: float,
        beginning: float,
        correct: bool,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._elapsed = elapsed or monotonic
        self._period = period
        self._beginning = beginning
        self._correct = correct
        self._wall_offset = self._offset = wall() - self._elapsed()
        self._gateway_offset: float | None = None
        self._is_gateway_present = False
        self._agreed_offset: float | None = None
        self._earliest = 0.0
        self._asleep = self._elapsed() - monotonic()
        self._steps = self._sleeps = 0
        self._step_said_at = -SUMMED_SECONDS
        self._steps_unsaid = 0
        self._is_step_unmeasured = False
        self.is_held_back = False
        """Whether the wall clock is not followed although it tells another time."""
        if self() > wall():
            log.warning("This machine's clock stands before the first epoch; set it, or nothing can be sent.")

    def __call__(self) -> float:
        """The present, in Unix seconds."""
        return max(self._elapsed() + self._offset, self._beginning)

    @property
    def offset(self) -> float:
        """The network's time less monotonic time (seconds): turns deadlines into Unix seconds and back."""
        return self() - self._monotonic()

    def note_document(self, start: float) -> None:
        """A document was verified whose epoch begins at `start` (Unix seconds): no step leads far before that."""
        self._earliest = max(self._earliest, start - BEFORE_ITS_EPOCH * self._period)

    def note_skew(self, skew: float) -> None:
        """A link is up, and its gateway's clock was seen; `skew` is our wall clock less its (seconds)."""
        self._is_gateway_present = True
        self._is_step_unmeasured = False
        elapsed, wall = self._elapsed(), self._wall()
        gateway = self._gateway_offset = wall - skew - elapsed
        if abs(skew) > max(SKEW_TOLERATED * self._period, SKEW_RESOLUTION):
            log.warning("This machine's clock is %+.0f s off the gateway's; epochs and routes go wrong by that.", skew)
        if not self._correct:
            return
        longest = max(LONGEST_CORRECTION * self._period, SKEW_RESOLUTION)
        agreed = self._agreed_offset if self._agreed_offset is not None else self._wall_offset
        is_near_wall = abs(gateway - self._wall_offset) <= longest
        if elapsed + gateway < self._earliest:
            log.warning("The gateway's clock is %.0f s behind, before documents that were verified: ignored.", skew)
        elif not is_near_wall and abs(gateway - agreed) > longest:
            log.warning("A clock is not corrected by %+.0f s on a gateway's word; set it.", -skew)
        else:
            if is_near_wall:
                self._agreed_offset = self._wall_offset
            differs = abs(gateway - self._wall_offset) >= SKEW_RESOLUTION
            self._offset = gateway if differs else self._wall_offset
            self.is_held_back = differs

    def is_in_doubt(self, *, has_document: bool) -> bool:
        """Whether a gateway that has no present document is a reason to measure the time anew.

        It is where a step of the wall clock is not followed, once for each; but not as long as a document serves and
        gateways' clocks are followed anyway, since nothing else would come of it.
        """
        return self.is_held_back and self._is_step_unmeasured and not (self._correct and has_document)

    def note_link_end(self) -> None:
        """The link has ended: its gateway's clock is no witness any more."""
        self._is_gateway_present = False
        if self.is_held_back and not self._correct:
            self._follow_wall()

    def look(self) -> ClockChange | None:
        """Compare the clocks; to be called each second. Returns what happened since the last time, if anything did."""
        elapsed = self._elapsed()
        asleep, offset = elapsed - self._monotonic(), self._wall() - elapsed
        slept, stepped = asleep - self._asleep, offset - self._wall_offset
        self._asleep = asleep
        self._wall_offset = offset
        self._say_sum_of_steps(elapsed)
        if slept < SLEEP_SECONDS and abs(stepped) < STEP_SECONDS:
            if not self.is_held_back:
                self._offset = offset
            return None
        if slept >= SLEEP_SECONDS:
            self._sleeps += 1
            log.log(NOTICE, "This machine slept for %.0f s.", slept)
        if abs(stepped) >= STEP_SECONDS:
            self._steps += 1
            self._consider_step(stepped)
        return ClockChange(max(0.0, slept), stepped)

    def status(self) -> TimeStatus:
        """What can be seen."""
        skew = None if self._gateway_offset is None else self._wall_offset - self._gateway_offset
        return TimeStatus(self(), skew, self._wall_offset - self._offset, self._steps, self._sleeps)

    def _consider_step(self, stepped: float) -> None:
        told = f"The clock was set {'ahead' if stepped > 0 else 'back'} by {abs(stepped):.1f} s"
        gateway = self._gateway_offset if self._is_gateway_present or self._correct else None
        before_documents = self._elapsed() + self._wall_offset < self._earliest
        was_held_back, self.is_held_back = self.is_held_back, True
        self._is_step_unmeasured = True
        if abs(self._wall_offset - self._offset) < STEP_SECONDS:
            self._say_step(f"{told}: it is right{' again' if was_held_back else ''}.")
            self._follow_wall()
        elif before_documents:
            self._say_step(f"{told}, before documents that were verified: not followed.")
        elif gateway is not None and self._contradicts(gateway):
            self._say_step(f"{told}, away from the gateway's: not followed while this link is up.")
        else:
            self._say_step(f"{told}.")
            self._follow_wall()

    def _contradicts(self, gateway: float) -> bool:
        """Whether a gateway's clock, which tells whole seconds, speaks against the wall clock and for the time kept."""
        difference = abs(gateway - self._wall_offset)
        return difference > SKEW_RESOLUTION and difference > abs(gateway - self._offset)

    def _say_step(self, text: str) -> None:
        if self._elapsed() < self._step_said_at + SUMMED_SECONDS:
            self._steps_unsaid += 1
            log.debug("%s", text)
            return
        self._step_said_at = self._elapsed()
        log.log(NOTICE, "%s", text)

    def _say_sum_of_steps(self, elapsed: float) -> None:
        if not self._steps_unsaid or elapsed < self._step_said_at + SUMMED_SECONDS:
            return
        what = "not followed now" if self.is_held_back else "followed"
        times = f"{self._steps_unsaid} times" if self._steps_unsaid > 1 else "once"
        log.log(NOTICE, "The clock was set %s more within %.0f s; it is %s.", times, elapsed - self._step_said_at, what)
        self._steps_unsaid = 0
        self._step_said_at = elapsed

    def _follow_wall(self) -> None:
        if self._elapsed() + self._wall_offset >= self._earliest:
            self._offset = self._wall_offset
            self.is_held_back = False
