"""Tells from the loops that come back whether packets get through.

Loops are the only thing whose way a client can follow to its end: what happens to them happens to messages too.
"""

from dataclasses import dataclass
from typing import Final

FEWEST_LOOPS: Final = 20
"""Loops in a period from which on their number means something."""

WANTED_SHARE: Final = 0.5


@dataclass(slots=True)
class LoopWatch:
    """Counts loops, period by period.

    Attributes:
        sent: in this period.
        returned: in this period.
    """

    sent: int = 0
    returned: int = 0
    _expected: int = 0

    def end_period(self) -> float | None:
        """Begin a new period and return the share that came back, None if there were too few to say.

        Loops under way at either end of a period are taken to balance; so those that come back are compared with the
        fewer of this period's and the last one's.
        """
        expected = min(self.sent, self._expected)
        share = self.returned / expected if expected >= FEWEST_LOOPS else None
        self._expected, self.sent, self.returned = self.sent, 0, 0
        return share
