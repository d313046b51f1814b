"""Consecutive boxes, several under way at once, and told in their order.

The daemon makes the queries of one connection one after the other; what goes on beside that are the exchanges.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import trio

from kpclientd.client.boxes import Box, Boxes, Read, Write
from kpclientd.client.capabilities import ReadCapability, WriteCapability

WRITES_AT_ONCE: Final = 8
READS_AT_ONCE: Final = 4

CAUGHT_UP_SECONDS: Final = 60.0
"""If no box came for so long, the writer is waited for: then only the next one is asked for, and none ahead."""

Item = TypeVar("Item")


def _nothing(item: object) -> None:
    pass


@dataclass(slots=True)
class _InOrder(Generic[Item]):
    """Gives items in the order of their numbers, in whatever order they come."""

    next: int = 0
    waiting: dict[int, Item] = field(default_factory=dict)

    def add(self, number: int, item: Item) -> list[Item]:
        self.waiting[number] = item
        ready = []
        while self.next in self.waiting:
            ready.append(self.waiting.pop(self.next))
            self.next += 1
        return ready


async def write_series(
    boxes: Boxes,
    capability: WriteCapability,
    contents: AsyncIterator[bytes],
    *,
    on_stored: Callable[[Write], None] = _nothing,
    at_once: int = WRITES_AT_ONCE,
) -> WriteCapability:
    """Write a box for each of `contents`, and wait until replicas have all of them.

    Args:
        boxes: of a client.
        capability: at the first of them.
        contents: of the boxes; the next is asked for when there is room for it.
        on_stored: called for each box when it is stored and all before it are.
        at_once: exchanges under way.

    Returns:
        what writes the box after the last.

    Raises:
        StorageError: for the first box that could not be stored; those before it in time may or may not be.
        Exception: what `contents` or `on_stored` raises.
    """
    room = trio.Semaphore(at_once)
    stored: _InOrder[Write] = _InOrder()
    errors: list[Exception] = []

    async def store(number: int, write: Write) -> None:
        try:
            await boxes.store(write)
            for ready in stored.add(number, write):
                on_stored(ready)
        except Exception as error:
            errors.append(error)
            nursery.cancel_scope.cancel()
        room.release()

    async with trio.open_nursery() as nursery:
        try:
            number = 0
            async for content in contents:
                await room.acquire()
                write = await boxes.prepare_write(capability, content)
                nursery.start_soon(store, number, write)
                capability = write.following
                number += 1
        except Exception as error:
            errors.append(error)
            nursery.cancel_scope.cancel()
    if errors:
        raise errors[0]
    return capability


@asynccontextmanager
async def reading_series(
    boxes: Boxes, capability: ReadCapability, *, at_once: int = READS_AT_ONCE
) -> AsyncIterator[AsyncIterator[Box]]:
    """The boxes from `capability` on, in their order and without end; each is waited for.

    Reads are ahead of the boxes that were given, ever more of them as long as boxes come soon; so a little is asked for
    that nobody may have written.

    Args:
        boxes: of a client.
        capability: at the first of them.
        at_once: exchanges under way, at most.

    Raises:
        StorageError: from the iterator, for the first box that could not be read.
    """
    ahead = _ReadAhead(boxes, at_once)
    errors: list[Exception] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ahead.run, capability)
        try:
            yield ahead
        except Exception as error:
            errors.append(error)
        nursery.cancel_scope.cancel()
    if errors:
        raise errors[0]


class _ReadAhead(AsyncIterator[Box]):
    """Reads ahead of whoever takes its boxes."""

    def __init__(self, boxes: Boxes, at_once: int) -> None:
        self._boxes = boxes
        self._at_once = at_once
        self._under_way = 0
        self._window = 1
        self._came = trio.current_time()
        self._changed = trio.Event()
        self._found: _InOrder[Box] = _InOrder()
        self._ready: list[Box] = []
        self._error: Exception | None = None

    async def __anext__(self) -> Box:
        while not self._ready:
            if self._error is not None:
                raise self._error
            await self._changed.wait()
        box = self._ready.pop(0)
        self._tell()
        return box

    async def run(self, capability: ReadCapability) -> None:
        """Keep reads under way."""
        number = 0
        async with trio.open_nursery() as nursery:
            while self._error is None:
                if trio.current_time() - self._came > CAUGHT_UP_SECONDS:
                    self._window = 1
                if self._under_way + len(self._ready) + len(self._found.waiting) >= self._window:
                    await self._changed.wait()
                    continue
                try:
                    read = await self._boxes.prepare_read(capability)
                except Exception as error:
                    self._fail(error)
                    return
                self._under_way += 1
                nursery.start_soon(self._fetch, number, read)
                capability = read.following
                number += 1

    async def _fetch(self, number: int, read: Read) -> None:
        try:
            content = await self._boxes.fetch(read)
        except Exception as error:
            if number > self._found.next:  # those before it may still come
                await self._until(lambda: self._found.next >= number or self._error is not None)
            self._fail(error)
            return
        now = trio.current_time()
        self._window = 1 if now - self._came > CAUGHT_UP_SECONDS else min(self._window + 1, self._at_once)
        self._came = now
        self._under_way -= 1
        self._ready += self._found.add(number, Box(content, read.following))
        self._tell()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
