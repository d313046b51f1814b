"""What an application is told, in order, from the moment it is said until the application has read it.

    put --> waiting --> written --> read
              ^            |
              +-- kept <---+   when its connection ends

Theory of operation. Events are encoded once, when they are said. A connection takes them from the front and writes
them; how far its application has read is told by the operating system, as a count of unread bytes. When the connection
ends, what was not read is put in front again if it is *final*, an answer that nobody will give a second time, and
forgotten otherwise: a status, or a document, is said anew to whoever comes back.

Where state outlives the process, an event may have to wait until what it tells is on the disk: it names the *commit*
that puts it there, and neither it nor what was said after it is taken before.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MOST_KEPT: Final = 4096
"""Answers kept for one application that is away: as many as it can have messages. Further ones are dropped."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it goes over the socket.

    Attributes:
        data: the whole frame.
        final: whether it is an answer that must reach its application.
        number: of a final one; they grow along an outbox, and no two of all outboxes are equal.
        commit: the number of the commit that must be durable before it is written, 0 if there is none.
    """

    data: bytes = field(repr=False)
    final: bool = False
    number: int = 0
    commit: int = 0


class Outbox:
    """The events of one application.

    Attributes:
        bytes: of what waits, and of what is final and not known to be read.
        bytes_waiting: of what waits.
        commit: the last that anything in it has waited for.
    """

    __slots__ = ("_end", "_waiting", "_written", "bytes", "bytes_waiting", "commit")

    def __init__(self) -> None:
        self._waiting: deque[Frame] = deque()
        self._written: deque[tuple[int, Frame]] = deque()  # with the count of bytes written up to its end
        self._end = 0
        self.bytes = 0
        self.bytes_waiting = 0
        self.commit = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Frame]:
        return iter(tuple(self._waiting))

    @property
    def any_written(self) -> bool:
        """Whether something was written that must not be lost and is not known to be read."""
        return bool(self._written)

    def put(self, frame: Frame) -> None:
        """Say something after all that was said."""
        self._waiting.append(frame)
        self.bytes += len(frame.data)
        self.bytes_waiting += len(frame.data)
        self.commit = max(self.commit, frame.commit)

    def is_ready(self, durable: float = math.inf) -> bool:
        """Whether there is something to write, where the commits up to `durable` are."""
        return bool(self._waiting) and self._waiting[0].commit <= durable

    def take(self, most: int, durable: float = math.inf) -> bytes:
        """The next events to write: one, or as many as fit into `most` bytes; see `is_ready`."""
        taken: list[bytes] = []
        size = 0
        while self.is_ready(durable) and (not taken or size + len(self._waiting[0].data) <= most):
            frame = self._waiting.popleft()
            taken.append(frame.data)
            size += len(frame.data)
            self._end += len(frame.data)
            if frame.final:
                self._written.append((self._end, frame))
            else:
                self.bytes -= len(frame.data)
        self.bytes_waiting -= size
        return b"".join(taken)

    def last_written(self, sent: int) -> int:
        """The number of the last final event, read or not, that is whole in the first `sent` bytes; 0 if unknown."""
        return next((frame.number for end, frame in reversed(self._written) if end <= sent), 0)

    def note_unread(self, unread: int) -> int:
        """Of all that was taken, the last `unread` bytes have not been read.

        Returns:
            The number of the last final event that is known to be read since the last call; 0 if there is none.
        """
        number = 0
        while self._written and self._written[0][0] <= self._end - unread:
            frame = self._written.popleft()[1]
            self.bytes -= len(frame.data)
            number = frame.number
        return number

    def forget_up_to(self, number: int) -> None:
        """The final events that wait have reached their application, up to that one."""
        self._waiting = deque(frame for frame in self._waiting if not frame.final or frame.number > number)
        self.bytes = self.bytes_waiting = sum(len(frame.data) for frame in self._waiting)

    def keep(self) -> int:
        """The connection is gone: what is final and was not read waits again. Returns how many had to be dropped."""
        final = list(self.final())
        self._written.clear()
        self._waiting = deque(final[:MOST_KEPT])
        self._end = 0
        self.bytes = self.bytes_waiting = sum(len(frame.data) for frame in self._waiting)
        return len(final) - len(self._waiting)

    def final(self) -> Iterator[Frame]:
        """All that is final and not known to be read, oldest first."""
        yield from (frame for _, frame in self._written)
        yield from (frame for frame in self._waiting if frame.final)

    def drain(self) -> list[Frame]:
        """Take all that waits, to give it to another outbox."""
        frames = list(self._waiting)
        self._waiting.clear()
        size = sum(len(frame.data) for frame in frames)
        self.bytes -= size
        self.bytes_waiting -= size
        return frames
