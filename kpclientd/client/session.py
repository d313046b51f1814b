"""An application's session with its daemon, over as many connections as it takes.

Theory of operation. One task reads, one writes. Each request has a random name, by which its answer finds it. If the
connection breaks, another is made with the same token, and all requests that have no answer are sent again as they
were: the daemon lets an exchange that is started twice join the one that is under way, and the other verbs change
nothing. So a break costs the caller time only. A message to a service that the daemon may have forgotten
before it left is sent again, too, with another name.

    connected --break--> away --in time--> connected
                          | patience is over
                          v
                         lost: every request, also later ones, raises DaemonLostError

Source: the Katzenpost thin-client protocol, "session token, disconnect, resume".
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from kpclientd.client.connection import Message, ThinClient
from kpclientd.client.errors import DaemonLostError, RefusedError
from kpclientd.thin.errors import ThinError
from kpclientd.thin.fields import Fields
from pki.document import Document
from pki.epoch import NANOSECONDS_PER_SECOND
from sphinx.randomness import Randomness
from sphinx.types import SURB_ID_LENGTH, NodeId

QUERY_ID_LENGTH: Final = 16

PATIENCE_SECONDS: Final = 600.0
"""How long the daemon may be away: as long as it keeps a session whose application is."""

FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 10.0

REPLY_SLOP_SECONDS: Final = 20.0
"""Beyond the time that the daemon expects an answer in; the same that it has for its own retransmissions."""

MOST_BREAKS: Final = 10
"""How often one message may be lost with a connection: it may be what breaks it."""

Dial = Callable[[], Awaitable[ThinClient]]
"""Makes a connection and goes through its first messages, always with the same token."""


@dataclass(slots=True, eq=False)
class _Outgoing:
    """One frame that is to be sent.

    Attributes:
        body: the request.
        until_answered: whether it is sent again on the next connection although it was written.
    """

    body: Mapping[str, Any] = field(repr=False)
    until_answered: bool = False
    written: trio.Event = field(default_factory=trio.Event)


@dataclass(slots=True, eq=False)
class _Request:
    reply_name: str
    outgoing: _Outgoing
    ended: trio.Event = field(default_factory=trio.Event)
    reply: Fields | None = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class _Message:
    """A message to a service, from its sending to its end.

    Attributes:
        has_left: whether the daemon has said that it sent it.
        expected_seconds: until the answer, from then on.
        is_lost: whether it was lost with a connection.
        step: set when something has happened.
    """

    outgoing: _Outgoing
    has_left: bool = False
    expected_seconds: float = 0.0
    is_lost: bool = False
    refusal: str = ""
    answer: bytes | None = field(default=None, repr=False)
    step: trio.Event = field(default_factory=trio.Event)


class Session:
    """What an application asks its daemon by; made by `open_session`.

    Attributes:
        connections: how many there were so far.
    """

    def __init__(self, first: ThinClient, dial: Dial, patience: float, randomness: Randomness) -> None:
        self.connections = 1
        self._client = first
        self._dial = dial
        self._patience = patience
        self._randomness = randomness
        self._is_up = True
        self._lost: DaemonLostError | None = None
        self._pending: dict[_Outgoing, None] = {}
        self._queue: dict[_Outgoing, None] = {}
        self._more = trio.Event()
        self._requests: dict[bytes, _Request] = {}
        self._messages: dict[bytes, _Message] = {}
        self._changed = trio.Event()
        self._parsed: tuple[bytes, Document] | None = None

    # -- what the daemon has told

    @property
    def is_online(self) -> bool:
        """Whether the daemon is there, and has a link to its gateway."""
        return self._is_up and self._client.connected

    @property
    def document(self) -> Document | None:
        """The network's newest document, if the daemon has told us one.

        Raises:
            EncodingError: what it told us is none.
        """
        payload = self._client.document_payload
        if payload is not None and (self._parsed is None or self._parsed[0] != payload):
            self._parsed = (payload, Document.parse(payload))
        return None if self._parsed is None else self._parsed[1]

    @property
    def geometry(self) -> Mapping[str, Any]:
        """The network's Sphinx geometry, by the reference's field names."""
        return self._client.geometry

    @property
    def storage_geometry(self) -> Mapping[str, Any]:
        """The lengths of boxes, by the reference's field names."""
        return self._client.storage_geometry

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that the daemon tells by itself.

        Raises:
            DaemonLostError: it has been away for too long.
        """
        while not condition():
            self._check()
            await self._changed.wait()

    # -- what the application wants

    async def request(self, verb: str, fields: Mapping[str, object]) -> Fields:
        """Ask, and wait for the answer, over breaks of the connection.

        Cancelled, it asks no longer; what the daemon has begun for it goes on there.

        Args:
            verb: a verb whose answer has the request's `query_id`.
            fields: of the request, but for that.

        Raises:
            DaemonLostError: the daemon has been away for too long.
        """
        self._check()
        query_id = self._randomness.bytes(QUERY_ID_LENGTH)
        outgoing = _Outgoing({verb: {"query_id": query_id, **fields}}, until_answered=True)
        request = self._requests[query_id] = _Request(f"{verb}_reply", outgoing)
        self._put(outgoing)
        try:
            await request.ended.wait()
        finally:
            del self._requests[query_id]
            self._drop(outgoing)
        if request.reply is None:
            raise self._gone()
        return request.reply

    def tell(self, verb: str, fields: Mapping[str, object]) -> None:
        """Ask for something whose answer does not matter; if the connection breaks, perhaps in vain."""
        self._put(_Outgoing({verb: {"query_id": self._randomness.bytes(QUERY_ID_LENGTH), **fields}}))

    async def send(self, destination: NodeId, recipient: bytes, payload: bytes) -> None:
        """Hand a message to the daemon that is not to be answered.

        Raises:
            DaemonLostError: the daemon has been away for too long.
        """
        self._check()
        outgoing = _Outgoing(_message(destination, recipient, payload, None))
        self._put(outgoing)
        try:
            await outgoing.written.wait()
        finally:
            self._drop(outgoing)
        self._check()

    async def exchange(self, destination: NodeId, recipient: bytes, payload: bytes) -> bytes | None:
        """Send a message, and return its padded answer; None if that does not come.

        It is sent once, and again only if a break of the connection may have cost it.

        Raises:
            RefusedError: the daemon does not send it.
            DaemonLostError: the daemon has been away for too long.
        """
        message = await self._sent(destination, recipient, payload)
        for _ in range(MOST_BREAKS):
            if not message.is_lost:
                break
            message = await self._sent(destination, recipient, payload)
        if message.refusal:
            raise RefusedError(f"the daemon does not send this message: {message.refusal}")
        if message.answer is None:
            self._check()
        return message.answer

    async def _sent(self, destination: NodeId, recipient: bytes, payload: bytes) -> _Message:
        """A message after its end."""
        self._check()
        surb_id = self._randomness.bytes(SURB_ID_LENGTH)
        outgoing = _Outgoing(_message(destination, recipient, payload, surb_id))
        message = self._messages[surb_id] = _Message(outgoing)
        self._put(outgoing)
        try:
            await message.step.wait()
            if message.has_left and message.answer is None and not message.is_lost:
                message.step = trio.Event()
                with trio.move_on_after(message.expected_seconds + REPLY_SLOP_SECONDS):
                    await message.step.wait()
        finally:
            del self._messages[surb_id]
            self._drop(outgoing)
        return message

    def _check(self) -> None:
        if self._lost is not None:
            raise self._gone()

    def _gone(self) -> DaemonLostError:
        """An error of its own for each who is told, so that each has its own traceback."""
        error = DaemonLostError(str(self._lost))
        error.__cause__ = self._lost
        return error

    def _put(self, outgoing: _Outgoing) -> None:
        self._pending[outgoing] = self._queue[outgoing] = None
        self._more.set()

    def _drop(self, outgoing: _Outgoing) -> None:
        self._pending.pop(outgoing, None)
        self._queue.pop(outgoing, None)

    # -- connections

    async def run(self) -> None:
        """Keep the session up, until the daemon is lost."""
        while self._lost is None:
            reason = await self._serve()
            self._is_up = False
            self._tell_change()
            await self._connect_again(reason)

    async def leave(self) -> None:
        """End the session; the daemon forgets it."""
        await self._client.leave()

    async def _serve(self) -> str:
        """Read and write until the connection ends, and return why it did."""
        reasons: list[str] = []

        async def until_it_breaks(work: Callable[[], Awaitable[None]]) -> None:
            try:
                await work()
            except ThinError as error:
                reasons.append(str(error))
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_it_breaks, self._read)
            nursery.start_soon(until_it_breaks, self._write)
        await self._client.hang_up()
        return reasons[0]

    async def _connect_again(self, reason: str) -> None:
        began, pause = trio.current_time(), FIRST_PAUSE_SECONDS
        while True:
            try:
                client = await self._dial()
                break
            except ThinError as error:
                reason = str(error)
            if trio.current_time() + pause - began > self._patience:
                self._give_up(DaemonLostError(f"the daemon is away for {self._patience:g} s now: {reason}"))
                return
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        client.document_payload = client.document_payload or self._client.document_payload
        self._client, self._is_up = client, True
        self.connections += 1
        for message in self._messages.values():
            if message.outgoing.written.is_set() and not (client.resumed and message.has_left):
                message.is_lost = True
                message.step.set()
        self._queue = dict(self._pending)
        self._tell_change()

    def _give_up(self, error: DaemonLostError) -> None:
        self._lost = error
        for request in self._requests.values():
            request.ended.set()
        for message in self._messages.values():
            message.step.set()
        for outgoing in self._pending:
            outgoing.written.set()
        self._tell_change()

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _write(self) -> None:
        while True:
            while self._queue:
                outgoing = next(iter(self._queue))
                del self._queue[outgoing]
                await self._client.send(outgoing.body)
                outgoing.written.set()
                if not outgoing.until_answered:
                    self._pending.pop(outgoing, None)
            self._more = trio.Event()
            await self._more.wait()

    async def _read(self) -> None:
        while True:
            self._take(await self._client.receive())

    def _take(self, message: Message) -> None:
        for name, body in message.items():
            if not isinstance(body, dict):
                continue
            fields = Fields(name, body)
            match name:
                case "connection_status_event" | "new_pki_document_event":
                    self._tell_change()
                case "message_sent_event":
                    self._note_sent(fields)
                case "message_reply_event":
                    self._note_reply(fields)
                case _ if name.endswith("_reply"):
                    request = self._requests.get(fields.octets("query_id") or b"")
                    if request is not None and request.reply_name == name and request.reply is None:
                        request.reply = fields
                        request.ended.set()

    def _note_sent(self, event: Fields) -> None:
        message = self._messages.get(event.octets("surbid") or b"")
        if message is not None:
            message.refusal = event.text("err")
            message.has_left = not message.refusal
            message.expected_seconds = event.unsigned("reply_eta") / NANOSECONDS_PER_SECOND
            message.step.set()

    def _note_reply(self, event: Fields) -> None:
        message = self._messages.get(event.octets("surbid") or b"")
        if message is not None and not event.unsigned("error_code"):
            message.answer = bytes(event.payload("payload") or b"")
            message.step.set()


@asynccontextmanager
async def open_session(
    dial: Dial, randomness: Randomness, *, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Session]:
    """A session, ended with the block.

    Args:
        dial: makes connections; what it raises at the first one is raised here.
        randomness: for the names of requests.
        patience: seconds that the daemon may be away.
    """
    session = Session(await dial(), dial, patience, randomness)
    errors: list[Exception] = []
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            try:
                yield session
            except Exception as error:  # raised behind the nursery, which would make a group of it
                errors.append(error)
            nursery.cancel_scope.cancel()
    finally:
        await session.leave()
    if errors:
        raise errors[0]


def _message(destination: NodeId, recipient: bytes, payload: bytes, surb_id: bytes | None) -> dict[str, Any]:
    return {
        "send_message": {
            "id": None,
            "with_surb": surb_id is not None,
            "surbid": surb_id,
            "destination_id_hash": destination,
            "recipient_queue_id": recipient,
            "payload": payload,
        }
    }
