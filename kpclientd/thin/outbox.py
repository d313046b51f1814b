"""What an application is told, in order, from the moment it is said until the application has read it.

    put --> waiting --> written --> read
              ^            |
              +-- kept <---+   when its connection ends

Theory of operation. Events are encoded once, when they are said. A connection takes them from the front and writes
them; how far its application has read is told by the operating system, as a count of unread bytes. When the connection
ends, what was not read is put in front again if it is *final*, an answer that nobody will give a second time, and
forgotten otherwise: a status, or a document, is said anew to whoever comes back.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MOST_KEPT: Final = 4096
"""Answers kept for one application that is away: as many as it can have messages. Further ones are dropped."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it goes over the socket; `final` is an answer that must reach its application."""

    data: bytes = field(repr=False)
    final: bool = False


class Outbox:
    """The events of one application."""

    __slots__ = ("_end", "_waiting", "_written", "bytes", "bytes_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Frame] = deque()
        self._written: deque[tuple[int, Frame]] = deque()  # with the count of bytes written up to its end
        self._end = 0
        self.bytes = 0
        self.bytes_waiting = 0

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
        self._grow(len(frame.data))

    def take(self, most: int) -> bytes:
        """The next events to write: one, or as many as fit into `most` bytes."""
        taken: list[bytes] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0].data) <= most):
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

    def note_unread(self, unread: int) -> None:
        """Of all that was taken, the last `unread` bytes have not been read."""
        while self._written and self._written[0][0] <= self._end - unread:
            self.bytes -= len(self._written.popleft()[1].data)

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

    def _grow(self, size: int) -> None:
        self.bytes += size
        self.bytes_waiting += size
