"""What loops carry, how they are known again, and what they tell of the network.

Loops are the only thing whose way a client can follow to its end: what happens to them happens to messages too.
Source: the Nym 2019 Loopix client, "traffic loops"; "weaknesses", "optional hardening".
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, replace
from typing import Final

from kpclientd.loopix.inbox import LOOP_COVER, is_loop_cover
from kpclientd.loopix.nodes import UNUSED_HOST, UNUSED_PORT, ClientConfig
from sphinx.randomness import Randomness

FEWEST_LOOPS: Final = 20
"""Loops in a period from which on their number means something."""

WANTED_SHARE: Final = 0.5

REMEMBERED_LENGTHS: Final = 64
REMEMBERED_LOOPS: Final = 16384
"""Contents of loops that may still come back: some minutes' worth at the usual rates."""


class PlainLoops:
    """The reference's: all of one content, which anybody can recognise, and shorter than messages."""

    def recipient(self, own: ClientConfig) -> ClientConfig:
        """Return how loops address the client itself."""
        return own

    def content(self, longest: int | None = None) -> bytes:
        """Return what the next loop is to carry, at most `longest` bytes if that can be."""
        return LOOP_COVER

    def is_cover(self, message: bytes) -> bool:
        """Whether a message that was pulled is a loop."""
        return is_loop_cover(message)

    def note_message(self, length: int) -> None:
        """Take note of the length (bytes) of a message that an application sends."""


class HardenedLoops(PlainLoops):
    """Loops as long as recent messages, addressed like them, each with a random content that is known but here.

    Args:
        randomness: makes the contents.
    """

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._lengths = deque([len(LOOP_COVER)], maxlen=REMEMBERED_LENGTHS)
        self._contents: OrderedDict[bytes, None] = OrderedDict()

    def recipient(self, own: ClientConfig) -> ClientConfig:
        """Return how loops address the client itself: as a topology describes it."""
        return replace(own, host=UNUSED_HOST, port=UNUSED_PORT)

    def content(self, longest: int | None = None) -> bytes:
        """Return what the next loop is to carry; no shorter than the reference's, so that it is never a message."""
        drawn = self._randomness.choice(self._lengths)
        length = max(len(LOOP_COVER), drawn if longest is None else min(drawn, longest))
        content = self._randomness.bytes(length)
        self._contents[content] = None
        if len(self._contents) > REMEMBERED_LOOPS:
            self._contents.popitem(last=False)
        return content

    def is_cover(self, message: bytes) -> bool:
        """Whether a message that was pulled is a loop; also those of an earlier run that was not hardened.

        One that comes twice is a loop twice: there is no protection against replays.
        """
        return message in self._contents or is_loop_cover(message)

    def note_message(self, length: int) -> None:
        """Take note of the length (bytes) of a message that an application sends."""
        self._lengths.append(length)


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

        Loops under way at either end of a period are taken to balance; those that come back are compared with the
        fewer of this period's and the last one's.
        """
        expected = min(self.sent, self._expected)
        share = self.returned / expected if expected >= FEWEST_LOOPS else None
        self._expected, self.sent, self.returned = self.sent, 0, 0
        return share
