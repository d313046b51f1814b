"""A stream of bytes in boxes, with an end that tells whether it is whole.

Each box begins with a byte that says what it is:

    data    01 | bytes, one at least
    end     02 | length of the whole stream, 8 bytes, big-endian | its BLAKE3, 32 bytes | its last bytes, none or some

All boxes before the end are full; of what is left then, as much as fits stands in the last box, or in two. So what a
box holds follows from the bytes, its place and the length of boxes alone: whoever sends the same bytes again writes the
same boxes, and a stream that broke off goes on by doing that.

`Splitter` and `Joiner` are sans-IO; the functions below join them to boxes.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from blake3 import blake3

from kpclientd.client.boxes import Box, Boxes, Write
from kpclientd.client.capabilities import ReadCapability, WriteCapability
from kpclientd.client.errors import BrokenStreamError, ChangedContentError
from kpclientd.client.series import reading_series, write_series

DIGEST_LENGTH: Final = 32
EMPTY_DIGEST: Final = blake3(b"").digest()

_DATA: Final = b"\x01"
_END: Final = b"\x02"
_LENGTH_BYTES: Final = 8
_END_OVERHEAD: Final = len(_END) + _LENGTH_BYTES + DIGEST_LENGTH

SHORTEST_BOX: Final = _END_OVERHEAD
"""Boxes that are shorter hold no end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stream has come.

    Attributes:
        boxes: so many, from the beginning on.
        length: bytes in them.
        digest: BLAKE3 of these bytes.
        is_ended: whether the last of these boxes is the stream's.
    """

    boxes: int = 0
    length: int = 0
    digest: bytes = field(default=EMPTY_DIGEST, repr=False)
    is_ended: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A box's content, and how far the stream has come with it."""

    content: bytes = field(repr=False)
    progress: Progress


class Splitter:
    """Cuts bytes into what boxes hold.

    Args:
        box_length: bytes of a box, `SHORTEST_BOX` at least.
        sent: what was sent before: the boxes up to there are not given again, but have to be the same.

    Raises:
        ValueError: boxes are too short.
    """

    def __init__(self, box_length: int, sent: Progress | None = None) -> None:
        if box_length < SHORTEST_BOX:
            raise ValueError(f"boxes of {box_length} bytes hold no streams; {SHORTEST_BOX} are needed")
        self._data_length = box_length - len(_DATA)
        self._last_length = box_length - _END_OVERHEAD
        self._sent = sent or Progress()
        self._hash = blake3()
        self._buffer = bytearray()
        self._boxes = 0
        self._length = 0

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next bytes; returns the boxes that are full.

        Raises:
            ChangedContentError: they are not what was sent before.
        """
        self._buffer += data
        pieces = []
        while len(self._buffer) > self._data_length:
            pieces += self._data(self._data_length)
        return pieces

    def end(self) -> list[Piece]:
        """There are no more bytes; returns the last boxes.

        Raises:
            ChangedContentError: there were more, or others, before.
        """
        pieces = self._data(len(self._buffer)) if len(self._buffer) > self._last_length else []
        rest = bytes(self._buffer)
        self._hash.update(rest)
        self._length += len(rest)
        self._boxes += 1
        digest = self._hash.digest()
        content = b"".join((_END, self._length.to_bytes(_LENGTH_BYTES, "big"), digest, rest))
        pieces += self._unsent(content, Progress(self._boxes, self._length, digest, is_ended=True))
        if self._boxes < self._sent.boxes:
            raise ChangedContentError(f"{self._sent.length} bytes were sent before, and now there are {self._length}")
        return pieces

    def _data(self, length: int) -> list[Piece]:
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._hash.update(data)
        self._length += length
        self._boxes += 1
        if self._boxes < self._sent.boxes:
            return []
        return self._unsent(_DATA + data, Progress(self._boxes, self._length, self._hash.digest()))

    def _unsent(self, content: bytes, progress: Progress) -> list[Piece]:
        if progress.boxes == self._sent.boxes and progress != self._sent:
            raise ChangedContentError(f"the first {self._sent.length} bytes are not those that were sent before")
        return [Piece(content, progress)] if progress.boxes > self._sent.boxes else []


class Joiner:
    """Puts the bytes together again, and sees that they are all there, and the same.

    Args:
        received: what was received before; give its bytes to `again`.
    """

    def __init__(self, received: Progress | None = None) -> None:
        self.progress = received or Progress()
        self._hash = blake3()
        self._again = 0

    def again(self, data: bytes) -> None:
        """Take bytes that were received before, all of them before any box."""
        self._hash.update(data)
        self._again += len(data)

    def check(self) -> None:
        """See that these were what was received before.

        Raises:
            ChangedContentError: they were not.
        """
        if self._again != self.progress.length or self._hash.digest() != self.progress.digest:
            raise ChangedContentError(f"these are not the {self.progress.length} bytes that were received before")

    def add(self, box: bytes) -> Piece:
        """Take the next box; returns its bytes.

        Raises:
            BrokenStreamError: it holds no part of a stream, or ends it otherwise than it was.
        """
        number, before = self.progress.boxes + 1, self.progress.length
        kind, body = box[:1], box[1:]
        if self.progress.is_ended:
            raise BrokenStreamError("a box follows the end of the stream")
        if kind == _DATA and body:
            self._hash.update(body)
            self.progress = Progress(number, before + len(body), self._hash.digest())
            return Piece(body, self.progress)
        if kind != _END or len(box) < _END_OVERHEAD:
            raise BrokenStreamError(f"box {number} holds no part of a stream of bytes")
        length = int.from_bytes(body[:_LENGTH_BYTES], "big")
        digest, rest = box[_END_OVERHEAD - DIGEST_LENGTH : _END_OVERHEAD], box[_END_OVERHEAD:]
        self._hash.update(rest)
        if before + len(rest) != length or self._hash.digest() != digest:
            raise BrokenStreamError(f"the stream ended with {before + len(rest)} bytes that are not what was sent")
        self.progress = Progress(number, length, digest, is_ended=True)
        return Piece(rest, self.progress)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender has to keep to go on later: which box is the next, and how far it has come."""

    following: WriteCapability
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True, slots=True)
class Received:
    """The same for a receiver, with the bytes of the last box.

    Attributes:
        following: reads the next box.
        progress: how far it has come.
        data: what the last box brought.
    """

    following: ReadCapability
    progress: Progress = field(default_factory=Progress)
    data: bytes = field(default=b"", repr=False)


async def write_stream(
    boxes: Boxes,
    begun: Sent,
    data: AsyncIterable[bytes],
    *,
    box_length: int | None = None,
    on_stored: Callable[[Sent], None] = lambda sent: None,
) -> Sent:
    """Write a stream of bytes, from its beginning or from where it broke off.

    Args:
        boxes: of a client.
        begun: a new stream's capability, or how far it had come.
        data: all bytes, from the first on, in any pieces; a generator is closed in the end.
        box_length: bytes in each box, as many as the boxes before had; all that one takes, by default.
        on_stored: told each time that more is stored.

    Raises:
        ChangedContentError: the first bytes are not those that were written before.
        BoxTakenError: something else stands in one of the boxes.
        StorageError: boxes could not be written.
    """
    splitter = Splitter(boxes.longest if box_length is None else box_length, begun.progress)
    under_way: deque[Progress] = deque()
    sent = begun

    async def contents() -> AsyncGenerator[bytes, None]:
        async for part in data:
            for piece in splitter.feed(part):
                under_way.append(piece.progress)
                yield piece.content
        for piece in splitter.end():
            under_way.append(piece.progress)
            yield piece.content

    def stored(write: Write) -> None:
        nonlocal sent
        sent = Sent(write.following, under_way.popleft())
        on_stored(sent)

    async with AsyncExitStack() as stack:
        if isinstance(data, AsyncGenerator):
            stack.push_async_callback(data.aclose)
        pieces = await stack.enter_async_context(aclosing(contents()))
        await write_series(boxes, begun.following, pieces, on_stored=stored)
    return sent


@asynccontextmanager
async def read_stream(
    boxes: Boxes, capability: ReadCapability, joiner: Joiner | None = None
) -> AsyncIterator[AsyncIterator[Received]]:
    """What stands in a stream of bytes, box by box until its end, each waited for.

    Args:
        boxes: of a client.
        capability: at the first box, or at the one where `joiner` has come to.
        joiner: a new one, or one that knows what was received before.

    Raises:
        BrokenStreamError: from the iterator: the boxes hold no stream, or not what was sent.
        BoxDeletedError: one was deleted.
        StorageError: boxes could not be read.
    """
    async with reading_series(boxes, capability) as found:
        yield _Pieces(found, joiner or Joiner())


class _Pieces(AsyncIterator[Received]):
    """What is in the boxes of a stream, until its end."""

    def __init__(self, boxes: AsyncIterator[Box], joiner: Joiner) -> None:
        self._boxes = boxes
        self._joiner = joiner

    async def __anext__(self) -> Received:
        if self._joiner.progress.is_ended:
            raise StopAsyncIteration
        box = await anext(self._boxes)
        piece = self._joiner.add(box.content)
        return Received(box.following, piece.progress, piece.content)
