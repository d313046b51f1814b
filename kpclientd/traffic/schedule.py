"""When packets are sent: two Poisson processes, drawn ahead, and nothing else.

Theory of operation. The consensus gives two rates. The process λP has a tick for whatever waits, the process λL for
cover alone; their union is what an observer of the link sees. Each process draws the time of its next tick when the
one before is taken, from a stream of randomness of its own: neither messages nor replies nor other draws change it.
Ticks are taken *before* their time comes, earliest first, so that a packet can be made ready, and so that it is known
how many packets leave before it. New rates, and a new link, draw both anew from the present on, as in the reference.

The reference cuts each interval to whole milliseconds. Then all times of sending lie on one grid, and how late each
packet is against it, which depends on what else the machine does, can be read off. Ours are not cut: an interval and
a lateness added to it are not told apart.

A process that is late by more than `LAG_SECONDS` (the machine was suspended, the link took no data) goes on from the
present, instead of catching up in a burst.

Rates are events per millisecond, as consensus documents give them, and mean intervals whole milliseconds, as the
reference has them. Source: the Katzenpost client daemon, "the two Poisson processes".
"""

import enum
import math
from dataclasses import dataclass
from typing import Final

from sphinx.randomness import Randomness

MILLISECONDS: Final = 1000.0

LEAST_RATE: Final = 1e-12
"""Once in thirty years; a lower one is never."""

TAIL: Final = 1e-12
"""A draw longer than all but this fraction of draws is cut to that length."""

LAG_SECONDS: Final = 1.0


class Process(enum.Enum):
    """The two processes, by the names of their rates."""

    P = "λP"
    L = "λL"


@dataclass(frozen=True, slots=True)
class Tick:
    """One time at which a packet leaves: monotonic seconds, and whose it is."""

    at: float
    process: Process


def mean_interval_ms(rate: float) -> int:
    """The mean interval (whole milliseconds) of a process with `rate` events per millisecond; 0 means it is off."""
    if not LEAST_RATE <= rate <= 1:
        return 0
    return int(1 / rate)


def interval_cap_ms(mean_ms: int) -> int:
    """The longest interval (milliseconds) that is ever drawn for a mean of `mean_ms`."""
    return math.ceil(-math.log(TAIL) * mean_ms)


def draw_interval(mean_ms: int, randomness: Randomness) -> float:
    """Draw the time to the next event, in seconds."""
    return min(randomness.exponential(mean_ms), interval_cap_ms(mean_ms)) / MILLISECONDS


class SendSchedule:
    """The ticks of both processes.

    Args:
        randomness: each process forks a stream of it.
        cover: whether the process λL runs at all.
    """

    def __init__(self, randomness: Randomness, *, cover: bool) -> None:
        self._intervals = {process: randomness.fork() for process in Process}
        self._cover = cover
        self._means = dict.fromkeys(Process, 0)
        self._next: dict[Process, float] = {}

    @property
    def means_ms(self) -> dict[Process, int]:
        """The mean intervals (milliseconds); 0 is a process that is off."""
        return dict(self._means)

    def set_rates(self, lambda_p: float, lambda_l: float) -> bool:
        """Take over the rates of a document (events per millisecond); true if they are new.

        As with the reference, a `lambda_l` that is not positive leaves its process as it was, and a `lambda_p` that is
        not positive leaves both. Whoever calls this calls `start` if the result is true and a link is up.
        """
        means = dict(self._means)
        if lambda_p > 0:
            means[Process.P] = mean_interval_ms(lambda_p)
            if lambda_l > 0 and self._cover:
                means[Process.L] = mean_interval_ms(lambda_l)
        changed, self._means = means != self._means, means
        return changed

    def start(self, now: float) -> None:
        """Draw the next tick of each process anew, from `now` (monotonic seconds) on."""
        self._next = {process: now + self._draw(process) for process in Process if self._means[process]}

    def next_at(self) -> float:
        """Monotonic seconds of the earliest tick that is not taken; infinite where there is none."""
        return min(self._next.values(), default=math.inf)

    def take(self, now: float) -> Tick:
        """Take the earliest tick and draw its process's next one; there must be one (`next_at` is finite)."""
        process = min(self._next, key=self._next.__getitem__)
        at = self._next[process]
        if at < now - LAG_SECONDS:
            at = now
        self._next[process] = at + self._draw(process)
        return Tick(at, process)

    def _draw(self, process: Process) -> float:
        return draw_interval(self._means[process], self._intervals[process])
