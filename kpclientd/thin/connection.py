"""One application's connection: greeted, read, written, and ended for one stated reason.

Reading stops while too many answers wait unread, and a connection whose application reads nothing for a minute ends.
Source: the Katzenpost thin-client protocol, "first messages after accept" and "framing".
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from kpclientd.thin.desk import Desk
from kpclientd.thin.errors import ThinError
from kpclientd.thin.events import Event
from kpclientd.thin.framing import FrameReader, encode_frame
from kpclientd.thin.requests import parse_request
from kpclientd.thin.sessions import Session, Sessions

log = logging.getLogger("client/incomingConn")

READ_SIZE: Final = 65536
WRITE_SIZE: Final = 262_144
WRITE_SECONDS: Final = 60.0
HOLD_SECONDS: Final = 1.0
"""For how long broadcasts wait for a new connection's first request, whose reply strict clients expect first."""

HIGH_WATER: Final = 4 * 1024 * 1024
"""Bytes of unread answers at which no more requests are read."""

MAX_UNREAD: Final = 64 * 1024 * 1024
"""Bytes of unread events at which a connection is given up."""

REQUESTS_IN_A_ROW: Final = 16
"""Requests of one connection that are served before others have a turn."""


class AppConnection:
    """The daemon's end of one application's socket.

    Args:
        stream: the socket.
        sessions: where it is registered.
        desk: serves its requests.
        greeting: waits for a document, for a while, and returns the two events that open a connection.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        sessions: Sessions,
        desk: Desk,
        greeting: Callable[[], Awaitable[tuple[Event, Event]]],
    ) -> None:
        self._stream = stream
        self._sessions = sessions
        self._desk = desk
        self._greeting = greeting
        self._session: Session | None = None
        self._outbox: deque[bytes] = deque()
        self._unread = 0
        self._more = trio.Event()
        self._drained = trio.Event()
        self._held: list[Event] | None = None
        self._greeted = False
        self._scope = trio.CancelScope()
        self._reason: str | None = None

    def post(self, event: Event) -> None:
        """Queue an event for the application."""
        frame = encode_frame(event)
        self._outbox.append(frame)
        self._unread += len(frame)
        self._more.set()
        if self._unread > MAX_UNREAD:
            self.close(f"it left {self._unread} bytes unread")

    def broadcast(self, event: Event) -> None:
        """Queue an event that goes to everyone; a connection that is being set up gets it after that."""
        if self._held is not None:
            self._held.append(event)
        elif self._greeted:
            self.post(event)

    def say_farewell(self, event: Event) -> None:
        """Queue the last event of all, after whatever was held back."""
        self._release()
        if self._greeted:
            self.post(event)

    def close(self, reason: str) -> None:
        """End the connection; the first reason counts."""
        if self._reason is None:
            self._reason = reason
        self._scope.cancel()

    async def serve(self) -> None:
        """Serve the connection until it ends."""
        self._session = self._sessions.open(self)
        try:
            with self._scope:
                status, document = await self._greeting()
                self._held, self._greeted = [], True
                self.post(status)
                self.post(document)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._release_after_a_while)
                    await self._read()
                    nursery.cancel_scope.cancel()
        finally:
            log.debug("connection ended: %s", self._reason or "the application left")
            if self._session is not None:
                self._sessions.disconnected(self._session, self, trio.current_time())
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    async def _read(self) -> None:
        reader = FrameReader()
        served = 0
        while True:
            try:
                data = await self._stream.receive_some(READ_SIZE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            try:
                for message in reader.feed(bytes(data)):
                    if not await self._serve_one(message):
                        return
                    served += 1
                    if served % REQUESTS_IN_A_ROW == 0:
                        await trio.lowlevel.checkpoint()
            except ThinError as error:
                self.close(str(error))
                return

    async def _serve_one(self, message: dict[object, object]) -> bool:
        if self._session is None or self._session.connection is not self:
            return False
        self._session = self._desk.serve(self._session, parse_request(message))
        self._release()
        while self._unread > HIGH_WATER:
            self._drained = trio.Event()
            await self._drained.wait()
        return self._session is not None

    async def _write(self) -> None:
        while True:
            while not self._outbox:
                self._more = trio.Event()
                await self._more.wait()
            batch = self._next_batch()
            try:
                with trio.fail_after(WRITE_SECONDS):
                    await self._stream.send_all(batch)
            except trio.TooSlowError:
                self.close(f"it read nothing for {WRITE_SECONDS:.0f} s")
                return
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.close("the application left")
                return
            self._unread -= len(batch)
            if self._unread <= HIGH_WATER:
                self._drained.set()

    def _next_batch(self) -> bytes:
        frames = [self._outbox.popleft()]
        size = len(frames[0])
        while self._outbox and size + len(self._outbox[0]) <= WRITE_SIZE:
            frames.append(self._outbox.popleft())
            size += len(frames[-1])
        return b"".join(frames)

    async def _release_after_a_while(self) -> None:
        await trio.sleep(HOLD_SECONDS)
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, None
        for event in held or ():
            self.post(event)
