"""Whether a box index is on the stream of the capability that comes with it.

An index does not say where it comes from, and a capability that is given one of another stream writes where nobody
reads. So each pair is checked, by going from the capability's own index to the other. That takes 11 µs for each box
between; so the farthest index of each stream that was found good is remembered, and a stream that is read or written
box by box costs one step each time.

Source: the reference's newest version of BACAP; Katzenpost Pigeonhole, 'BACAP', has the steps.
"""

import hmac
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from kpclientd.pigeonhole.capabilities import BoxIndex, ReadCap, WriteCap
from kpclientd.pigeonhole.errors import IndexNotOnStream, IndexTooFar
from kpclientd.pigeonhole.trunnel import digest

LONGEST_WALK: Final = 1 << 18
"""Boxes from a capability's own index to the farthest that is checked; the reference's limit."""

MOST_STREAMS: Final = 1024
"""Streams that are remembered; the one used longest ago is forgotten first, and only costs time again."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The way from an index that is known to be on a stream to one that may be.

    Attributes:
        stream: the stream's name.
        begin: where the way begins.
        index: where it should lead.
    """

    stream: bytes
    begin: BoxIndex
    index: BoxIndex

    def check(self) -> None:
        """Go it; takes up to three seconds.

        Raises:
            IndexNotOnStream: if it leads elsewhere.
        """
        if not hmac.compare_digest(self.begin.advanced_to(self.index.counter).encode(), self.index.encode()):
            raise IndexNotOnStream("a box index is none of its capability's stream")


class StreamChecks:
    """Remembers how far each stream was found good. A check is a walk between `begin` and `end`, of which many may be
    under way at once; these two are quick, and for one thread at a time.

    Args:
        most_streams: how many streams are remembered.
    """

    __slots__ = ("_farthest", "_most_streams")

    def __init__(self, most_streams: int = MOST_STREAMS) -> None:
        self._most_streams = most_streams
        self._farthest: OrderedDict[bytes, BoxIndex] = OrderedDict()

    def __len__(self) -> int:
        return len(self._farthest)

    def begin(self, cap: ReadCap | WriteCap, index: BoxIndex) -> Walk:
        """What is to be done to see that `index` is on the capability's stream, no farther back than it begins.

        Raises:
            IndexNotOnStream: if it is behind.
            IndexTooFar: if it is more than `LONGEST_WALK` boxes ahead of the capability's own index.
        """
        start = cap.index
        ahead = index.counter - start.counter
        if ahead > LONGEST_WALK:
            raise IndexTooFar(
                f"a box index is {ahead} boxes ahead of its capability; at most {LONGEST_WALK} are checked"
            )
        if ahead < 0:
            raise IndexNotOnStream("a box index is behind the first of its capability's stream")
        name = digest(start.encode())
        known = self._farthest.get(name, start)
        return Walk(name, known if known.counter <= index.counter else start, index)

    def end(self, walk: Walk) -> None:
        """Take note that a walk led where it should."""
        farthest = self._farthest.get(walk.stream)
        if farthest is None or farthest.counter < walk.index.counter:
            self._farthest[walk.stream] = walk.index
        self._farthest.move_to_end(walk.stream)
        if len(self._farthest) > self._most_streams:
            self._farthest.popitem(last=False)
