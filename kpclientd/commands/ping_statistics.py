"""What came of the messages of `kpclientd ping`: how many came back, how fast, and where the others were lost."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean, median, pstdev
from typing import Final

from pki.epoch import MILLISECONDS_PER_SECOND

MOST_SUSPECTS: Final = 3


@dataclass(slots=True)
class PingStatistics:
    """How many were sent, and the round trips (seconds) of those that were answered.

    Attributes:
        sent: messages.
        round_trips: of those that were answered (seconds).
        passed: by the name of a node, how many went that way, of those whose way is known.
        lost: how many of these were not answered.
    """

    sent: int = 0
    round_trips: list[float] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    def note_route(self, nodes: Iterable[str], *, answered: bool) -> None:
        """A message went by way of these nodes and was answered, or was not."""
        names = set(nodes)
        self.passed.update(names)
        if not answered:
            self.lost.update(names)

    def summary(self) -> list[str]:
        """One line, and another one with the times in milliseconds where there are any."""
        received = len(self.round_trips)
        loss = 100 * (self.sent - received) / self.sent if self.sent else 0.0
        line = f"{self.sent} sent, {received} received, {loss:.3g}% lost"
        if not received:
            return [line]
        least, most = min(self.round_trips), max(self.round_trips)
        told = (least, fmean(self.round_trips), median(self.round_trips), most, pstdev(self.round_trips))
        times = "/".join(f"{seconds * MILLISECONDS_PER_SECOND:.1f}" for seconds in told)
        return [line, f"round trip min/avg/median/max/stddev {times} ms"]

    def suspects(self) -> str:
        """One line about the nodes that lost more than those that all messages passed; empty where none stands out."""
        shares = {name: lost / self.passed[name] for name, lost in self.lost.items()}
        usual = min(shares.values(), default=0.0)
        worst = sorted(
            (name for name, share in shares.items() if share > usual), key=lambda name: (-shares[name], name)
        )
        told = ", ".join(f"{name} {self.lost[name]} of {self.passed[name]}" for name in worst[:MOST_SUSPECTS])
        return f"lost by way of: {told}" if told else ""
