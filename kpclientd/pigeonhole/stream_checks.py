"""Whether a box index is on the stream of the capability that comes with it.

An index does not say where it comes from, and a capability that is given one of another stream writes where nobody
reads. So each pair is checked, by going from the capability's own index to the other. That takes 11 µs for each box
between; so the farthest index of each stream that was found good is remembered, and a stream that is read or written
box by box costs one step each time.

Source: the reference's newest version of BACAP; Katzenpost Pigeonhole, 'BACAP', has the steps.
"""

import hmac
import threading
from collections import OrderedDict
from typing import Final

from kpclientd.pigeonhole.capabilities import BoxIndex, ReadCap, WriteCap
from kpclientd.pigeonhole.errors import IndexNotOnStream, IndexTooFar
from kpclientd.pigeonhole.trunnel import digest

LONGEST_WALK: Final = 1 << 18
"""Boxes from a capability's own index to the farthest that is checked; the reference's limit."""

MOST_STREAMS: Final = 1024
"""Streams that are remembered; the one used longest ago is forgotten first, and only costs time again."""


class StreamChecks:
    """Checks indices, and remembers how far each stream was found good; from any thread.

    Args:
        most_streams: how many streams are remembered.
    """

    __slots__ = ("_farthest", "_lock", "_most_streams")

    def __init__(self, most_streams: int = MOST_STREAMS) -> None:
        self._most_streams = most_streams
        self._lock = threading.Lock()  # held for moments: nobody waits for another's long way
        self._farthest: OrderedDict[bytes, BoxIndex] = OrderedDict()

    def __len__(self) -> int:
        return len(self._farthest)

    def check(self, cap: ReadCap | WriteCap, index: BoxIndex) -> None:
        """See that `index` is on the capability's stream, no farther back than it begins.

        Slow where much is between the index and what is remembered: up to three seconds.

        Raises:
            IndexNotOnStream: if it is on another stream, or behind.
            IndexTooFar: if it is more than `LONGEST_WALK` boxes ahead of the capability's own index.
        """
        start = cap.index
        ahead = index.counter - start.counter
        if ahead > LONGEST_WALK:
            raise IndexTooFar(
                f"a box index is {ahead} boxes ahead of its capability; at most {LONGEST_WALK} are checked"
            )
        name = digest(start.encode())
        with self._lock:
            known = self._farthest.get(name, start)
        begin = known if known.counter <= index.counter else start
        if ahead < 0 or not hmac.compare_digest(begin.advanced_to(index.counter).encode(), index.encode()):
            raise IndexNotOnStream("a box index is none of its capability's stream")
        with self._lock:
            farthest = self._farthest.get(name, start)
            self._farthest[name] = index if index.counter >= farthest.counter else farthest
            self._farthest.move_to_end(name)
            if len(self._farthest) > self._most_streams:
                self._farthest.popitem(last=False)
