"""One application's connection: greeted, read, written, and ended for one stated reason.

    waiting for a document --> greeted --> open --> ended
    (early verbs are served)      (broadcasts are held back until the first request is answered, or for 5 s)

Theory of operation. Three tasks. One reads, serves what was read while it holds the turn (see `turns`), and waits for
nobody: answers go into the session's outbox. One writes what is in the outbox. One lets held broadcasts go: the newest
of each kind, the status first.

* Answers have the order of their requests. A slow request is served by a worker; what stands behind it waits, and the
  connection is read ahead meanwhile, so that its end is noticed and the work given up.
* Reading stops while too much waits to be written, or more requests have come than may wait.
* A frame that has begun has a deadline, and the unfinished frames of all connections a budget (see `budget`).
* No more is written than `WINDOW` bytes ahead of what the application reads, as far as that is known (see `unread`), so
  that it is known what to say again should it die. An application for which something waits, and which reads nothing
  for a minute, is ended.

Source: the Katzenpost thin-client protocol, "first messages after accept" and "framing".
"""

import enum
import logging
import math
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import trio

from kpclientd.streams import READ_SIZE
from kpclientd.thin.bounds import BoundsCheck
from kpclientd.thin.budget import FrameBudget
from kpclientd.thin.errors import ThinError
from kpclientd.thin.framing import FrameReader, decode_checked
from kpclientd.thin.outbox import Frame
from kpclientd.thin.peer import peer_of, user_of
from kpclientd.thin.sessions import Session
from kpclientd.thin.turns import AppTurns
from kpclientd.thin.unread import unread_of
from kpclientd.thin.verbs.table import ALLOWANCES, TABLE, read_request
from kpclientd.thin.verbs.verb import Caller, Services, Verb
from kpclientd.thin.written_marks import PeerProcess

log = logging.getLogger("client/incomingConn")

Result = TypeVar("Result")

READ_AHEAD: Final = 262_144
"""Bytes that are read while nothing is served."""

ROOT: Final = 0
WRITE_SIZE: Final = 65536
WINDOW: Final = 262_144
"""Bytes that may lie unread in the operating system."""

READ_NOTHING_SECONDS: Final = 60.0
FRAME_SECONDS: Final = 60.0
"""From the first byte of a frame to its last."""

HOLD_SECONDS: Final = 5.0
"""For how long broadcasts wait for a new connection's first request, whose reply strict clients expect first; as long
as the newest reference holds them."""

HIGH_WATER: Final = 4 * 1024 * 1024
"""Bytes that wait to be written at which no more requests are read."""

FIRST_LOOK_SECONDS: Final = 0.02
LAST_LOOK_SECONDS: Final = 0.5
"""Between two looks at how far the application has read, as long as it has not read all."""


class News(enum.Enum):
    """What everybody is told, in the order in which it is told to who had to wait for it."""

    STATUS = enum.auto()
    DOCUMENT = enum.auto()


class Greeter(Protocol):
    """What a connection is opened with."""

    @property
    def is_ready(self) -> bool:
        """Whether there is something to greet with."""

    async def ready(self) -> None:
        """Wait until there is something to greet with."""

    def greeting(self) -> tuple[Frame, Frame]:
        """Status and document."""


class AppConnection:
    """The daemon's end of one application's socket.

    Args:
        stream: the socket.
        services: what its requests are served with.
        greeter: gives its first two events.
        turns: the turn of all work for applications.
        budget: of all unfinished frames.
        table: the verbs that are known.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        services: Services,
        greeter: Greeter,
        turns: AppTurns,
        budget: FrameBudget,
        table: tuple[Verb, ...] = TABLE,
    ) -> None:
        self.opened = trio.current_time()
        self.requests = 0
        self._stream = stream
        self._services = services
        self._greeter = greeter
        self._turns = turns
        self._budget = budget
        self._table = table
        self._caller = Caller(services, None)
        self._frames = FrameReader()
        self._frame_began = math.inf
        self._frame_deadline = math.inf
        self._write_deadline = math.inf
        self._is_at_end = False
        self._not_early: dict[Any, Any] | None = None
        self._is_broken = False
        self._unread = unread_of(stream)
        self._is_told = self._unread(0) is not None
        self._taken = 0
        self._sent = 0
        self._known_read = 0
        self._look_again = 0.0
        self._more = trio.Event()
        self._drained = trio.Event()
        self._held: dict[News, Frame] | None = None
        self._greeted = False
        self._scope = trio.CancelScope()
        self._reason: str | None = None

    # -- called from elsewhere

    def notify(self) -> None:
        """Something waits in the session's outbox."""
        self._more.set()

    @property
    def is_written(self) -> bool:
        """Whether all that was said has been written, as far as the application takes it."""
        session = self._session
        return session is None or (not session.outbox.bytes_waiting and self._sent == self._taken)

    def peer_process(self) -> PeerProcess | None:
        """The application's process, if it can be known."""
        return peer_of(self._stream)

    def is_operator(self) -> bool:
        """Whether it is surely the user who runs the daemon, or root."""
        return user_of(self._stream) in (ROOT, os.geteuid())

    def note_unread(self) -> None:
        """Tell the outbox how far the application has read."""
        self._look_again = 0.0
        self._look()

    def broadcast(self, news: News, frame: Frame) -> None:
        """Say what everybody is told; a connection that is being set up gets the newest of its kind after that."""
        if self._held is not None:
            self._held[news] = frame
        elif self._greeted:
            self._put(frame)

    def send_shutdown(self, frame: Frame) -> None:
        """Say the last event of all, after whatever was held back."""
        self._release()
        if self._greeted:
            self._put(frame)

    def close(self, reason: str) -> None:
        """End the connection; the first reason counts."""
        if self._reason is None:
            self._reason = reason
        self._scope.cancel()

    async def serve(self) -> None:
        """Serve the connection until it ends."""
        sessions = self._services.sessions
        self._caller.session = sessions.open(self)
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    if not self._greeter.is_ready:
                        await self._while_reading_ahead(self._greeter.ready(), self._serve_early)
                    self._greet()
                    nursery.start_soon(self._release_after_a_while)
                    await self._read()
                    nursery.cancel_scope.cancel()
        finally:
            log.debug("connection ended: %s", self._reason or self._missed_deadline() or "the application left")
            self._budget.forget(self)
            if self._caller.session is not None:
                sessions.disconnected(self._caller.session, self, trio.current_time())
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)

    # -- reading and serving

    @property
    def _session(self) -> Session | None:
        """The session, as long as this is its connection."""
        session = self._caller.session
        return session if session is not None and session.connection is self else None

    async def _read(self) -> None:
        try:
            while True:
                await self._serve_what_came()
                if self._session is None or self._is_at_end:
                    return
                await self._receive()
        except ThinError as error:
            self.close(str(error))

    async def _receive(self) -> None:
        """Wait for the next bytes of the stream, or its end."""
        self._set_deadlines(frame=self._frame_began + FRAME_SECONDS)
        try:
            data = await self._stream.receive_some(READ_SIZE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
            self._is_broken = True
        self._set_deadlines(frame=math.inf)
        if not data:
            # Nothing of what was written is left unread, or this were no orderly end.
            if self._session is not None and not self._is_broken:
                self._services.sessions.note_unread(self._session, 0)
            self._is_at_end = True
            return
        self._frames.add(data)
        self._note_frame(self._frames.has_begun)

    def _note_frame(self, is_unfinished: bool) -> None:
        if not is_unfinished:
            self._frame_began = math.inf
        elif self._frame_began == math.inf:
            self._frame_began = trio.current_time()
        self._budget.hold(self, self._frames.unfinished, self._frame_began)

    async def _serve_what_came(self) -> None:
        """Serve all whole frames that have come, a turn at a time."""
        if not self._frames.has_begun and self._not_early is None:
            return
        await self._turns.take()
        try:
            if self._not_early is not None:
                message, self._not_early = self._not_early, None
                await self._serve_one(message)
            while self._session is not None and (body := self._frames.next_body()) is not None:
                self._frame_began = math.inf
                await self._serve_one(await self._decoded(body))
                if self._turns.is_over():
                    await self._turns.again()
        finally:
            self._turns.give()
            self._note_frame(self._frames.has_begun)

    async def _serve_early(self) -> None:
        """Serve what may be served before the greeting; the first request that may not, and all behind it, wait."""
        if self._not_early is not None or not self._frames.has_begun:
            return
        await self._turns.take()
        try:
            while self._not_early is None and (body := self._frames.next_body()) is not None:
                self._frame_began = math.inf
                message = await self._decoded(body)
                request = read_request(message, self._table)
                if request is None or not request.verb.is_early:
                    self._not_early = message
                    return
                self.requests += 1
                self._answer(request.verb, await request.verb.handle(self._caller, request.content))
        except ThinError as error:
            self.close(str(error))
        finally:
            self._turns.give()

    async def _decoded(self, body: bytearray) -> dict[Any, Any]:
        check = BoundsCheck(body, ALLOWANCES)
        for _ in check.steps():
            if self._turns.is_over():
                await self._turns.again()
        return decode_checked(check)

    async def _serve_one(self, message: dict[Any, Any]) -> None:
        request = read_request(message, self._table)
        self.requests += 1
        if request is None:
            log.debug("ignored a request that names no known verb")
        elif not request.verb.is_slow:
            self._answer(request.verb, await request.verb.handle(self._caller, request.content))
        elif not self._is_at_end:
            self._turns.give()
            answer = await self._while_reading_ahead(request.verb.handle(self._caller, request.content))
            await self._turns.again()
            self._answer(request.verb, answer)
        self._release()
        await self._wait_until_drained()

    def _answer(self, verb: Verb, body: Any) -> None:
        if body is not None and verb.reply is not None:
            self._caller.tell({verb.reply: body})

    async def _wait_until_drained(self) -> None:
        if not self._is_full():
            return
        self._turns.give()
        while self._is_full():
            self._drained = trio.Event()
            await self._drained.wait()
        await self._turns.again()

    def _is_full(self) -> bool:
        session = self._session
        return session is not None and session.outbox.bytes_waiting > HIGH_WATER

    async def _while_reading_ahead(
        self, waited_for: Awaitable[Result], on_read: Callable[[], Awaitable[None]] | None = None
    ) -> Result | None:
        """Wait for something while the connection is read; should that end, give up and return None."""
        results: list[Result] = []

        async def wait() -> None:
            results.append(await waited_for)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            while not self._is_at_end and self._frames.unfinished < READ_AHEAD:
                await self._receive()
                if on_read is not None:
                    await on_read()
                # Whole requests that wait behind what is waited for here are no unfinished frame.
                self._note_frame(self._frames.ends_inside_frame())
            if self._is_at_end:
                nursery.cancel_scope.cancel()
        return results[0] if results else None

    # -- writing

    def _greet(self) -> None:
        self._held, self._greeted = {}, True
        for frame in self._greeter.greeting():
            self._put(frame)

    def _put(self, frame: Frame) -> None:
        if self._session is not None:
            self._services.sessions.put(self._session, frame)

    async def _write(self) -> None:
        look_after = FIRST_LOOK_SECONDS
        last_progress, least = trio.current_time(), math.inf
        while True:
            session = self._session
            if session is None or not session.outbox.is_ready(self._services.sessions.durable):
                # Answers that may lie unread are looked at again, ever more seldom; nothing waits, so nothing is late.
                self._more = trio.Event()
                if session is None or not session.outbox.any_written:
                    await self._more.wait()
                else:
                    with trio.move_on_after(look_after):
                        await self._more.wait()
                if self._more.is_set():
                    look_after = FIRST_LOOK_SECONDS
                else:
                    self.note_unread()
                    look_after = min(2 * look_after, LAST_LOOK_SECONDS)
                last_progress, least = trio.current_time(), math.inf
                continue
            unread = self._look()
            if unread < WINDOW:
                look_after = FIRST_LOOK_SECONDS
                await self._write_some()
                last_progress, least = trio.current_time(), math.inf
                continue
            if unread < least:
                last_progress, least = trio.current_time(), unread
            elif trio.current_time() - last_progress > READ_NOTHING_SECONDS:
                self.close(f"it read nothing for {READ_NOTHING_SECONDS:.0f} s")
            await trio.sleep(look_after)
            look_after = min(2 * look_after, LAST_LOOK_SECONDS)

    def _look(self) -> int:
        """How many bytes lie unread, as far as is known; who is not there any more has read no more than before."""
        session = self._session
        if self._taken - self._known_read < WINDOW and (
            session is None or not session.outbox.any_written or trio.current_time() < self._look_again
        ):
            return self._taken - self._known_read  # at most
        self._look_again = trio.current_time() + FIRST_LOOK_SECONDS
        unread = self._unread(self._sent)
        if unread is None:
            if self._is_told:
                return 0
            unread = 0
        unread += self._taken - self._sent
        self._known_read = self._taken - unread
        if session is not None:
            self._services.sessions.note_unread(session, unread)
        return unread

    async def _write_some(self) -> None:
        await self._turns.take()
        session = self._session
        batch = session.outbox.take(WRITE_SIZE, self._services.sessions.durable) if session is not None else b""
        self._turns.give()
        self._taken += len(batch)
        try:
            await self._send(batch)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.close("the application left")
        if not self._is_full():
            self._drained.set()

    async def _send(self, batch: bytes) -> None:
        """Write, and count what was taken."""
        try:
            if isinstance(self._stream, trio.SocketStream):
                rest = memoryview(batch)
                while rest:
                    self._set_deadlines(write=trio.current_time() + READ_NOTHING_SECONDS)
                    rest = rest[await self._send_some(self._stream.socket, rest) :]
            else:
                self._set_deadlines(write=trio.current_time() + READ_NOTHING_SECONDS)
                await self._stream.send_all(batch)
                self._note_sent(len(batch))
        except OSError as error:
            raise trio.BrokenResourceError from error
        self._set_deadlines(write=math.inf)

    async def _send_some(self, target: trio.socket.SocketType, data: memoryview) -> int:
        """Write what the socket takes, and note it at once: a process killed in between would tell it again."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                sent = os.write(target.fileno(), data)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(target)
                continue
            self._note_sent(sent)
            await trio.lowlevel.cancel_shielded_checkpoint()
            return sent

    def _note_sent(self, length: int) -> None:
        self._sent += length
        if self._session is not None:
            self._services.sessions.note_sent(self._session, self._sent)

    # -- deadlines

    def _set_deadlines(self, frame: float | None = None, write: float | None = None) -> None:
        """By when the unfinished frame must be whole, and by when the application must take what is being written."""
        self._frame_deadline = self._frame_deadline if frame is None else frame
        self._write_deadline = self._write_deadline if write is None else write
        deadline = min(self._frame_deadline, self._write_deadline)
        if deadline != self._scope.deadline:
            self._scope.deadline = deadline

    def _missed_deadline(self) -> str | None:
        now = trio.current_time()
        if now >= self._frame_deadline:
            return f"a frame that it began has not come whole in {FRAME_SECONDS:.0f} s"
        return f"it read nothing for {READ_NOTHING_SECONDS:.0f} s" if now >= self._write_deadline else None

    async def _release_after_a_while(self) -> None:
        await trio.sleep(HOLD_SECONDS)
        self._release()

    def _release(self) -> None:
        held, self._held = self._held or {}, None
        for news in News:
            if news in held:
                self._put(held[news])
