"""Exchanges of applications with couriers, from their start to their one answer.

Theory of operation. An exchange is a polled operation of the engine: that sends, sends again, and outlives the process;
here its replies are judged (see `exchanges`), which may take a worker's time, and its answer is told. The engine says
whether an operation is still wanted when its answer is there, so a cancel that overtakes an answer, or an application
that goes, leaves one answer or none.

An application that starts the same exchange again, since it lost its connection or its memory, joins the one that is
under way, and gets an answer for each of its requests.

Source: Katzenpost Pigeonhole, 'ARQ for Pigeonhole'.
"""

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import trio

from arq import AppId, Engine, Kind, Message, Operation, PollFailed, ReplyToJudge
from kpclientd.pigeonhole.codes import ThinCode
from kpclientd.pigeonhole.courier_messages import CopyCommand, encode_query
from kpclientd.pigeonhole.envelopes import EnvelopeDescriptor, Opened
from kpclientd.pigeonhole.errors import MessageError, PigeonholeError
from kpclientd.pigeonhole.exchanges import (
    AskAgain,
    CopyRequest,
    Done,
    EnvelopeRequest,
    Exchange,
    ExchangeRequest,
    Open,
    Verdict,
    decode_request,
    encode_request,
)
from sphinx.types import RECIPIENT_ID_LENGTH, NodeId, RecipientId

log = logging.getLogger("client/pigeonhole")

ENVELOPE_REPLY: Final = "start_resending_encrypted_message_reply"
COPY_REPLY: Final = "start_resending_copy_command_reply"

MOST_ASKING: Final = 16
"""Requests that one exchange answers; the oldest of more are told that they are cancelled."""


@dataclass(frozen=True, slots=True)
class Courier:
    """The courier of an exchange.

    Attributes:
        identity_hash: its node (32 bytes).
        queue_id: its endpoint there, at most 32 bytes.
    """

    identity_hash: NodeId
    queue_id: bytes


class AnotherQuery(Protocol):
    """A query that takes the place of one; a `Query`."""

    @property
    def hash(self) -> bytes:
        """What replies to it name."""

    @property
    def descriptor(self) -> EnvelopeDescriptor:
        """What opens them."""

    def encode(self) -> bytes:
        """What the courier gets."""


class Queries(Protocol):
    """Opens replicas' answers, and asks anew; a `QueryMaker`."""

    async def opened(
        self,
        owner: Hashable,
        envelope_hash: bytes,
        descriptor: bytes,
        sealed: bytes,
        reading: tuple[bytes, bytes] | None,
    ) -> Opened:
        """See `QueryMaker.opened`."""

    async def read_anew(
        self, owner: Hashable, query_hash: bytes, descriptor: bytes, reading: tuple[bytes, bytes], reply_index: int
    ) -> AnotherQuery:
        """See `QueryMaker.read_anew`."""


class Deliver(Protocol):
    """Tells an application its answer, when it is there."""

    def __call__(self, app_id: AppId, event: dict[str, Any], *, final: bool) -> None:
        """Tell it."""


class Resender:
    """All exchanges of the daemon.

    Args:
        engine: keeps the operations.
        queries: opens replicas' answers, and asks anew.
        deliver: tells answers.
        on_progress: to be called when the engine may have something to tell.
        now: monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        queries: Queries,
        deliver: Deliver,
        on_progress: Callable[[], None],
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self._engine = engine
        self._queries = queries
        self._deliver = deliver
        self._on_progress = on_progress
        self._now = now
        self._underway: WeakKeyDictionary[Operation, Exchange] = WeakKeyDictionary()
        # Of each operation one answer at most is being opened.
        self._to_open: trio.MemorySendChannel[tuple[Operation, bytes]]
        self._to_open, self._opening = trio.open_memory_channel[tuple[Operation, bytes]](float("inf"))

    async def run(self) -> None:
        """Open the answers that come, for ever."""
        async with trio.open_nursery() as nursery:
            async for operation, sealed in self._opening:
                nursery.start_soon(self.open, operation, sealed)

    # -- what applications want

    def start(self, app_id: AppId, request: EnvelopeRequest, ciphertext: bytes, courier: Courier) -> None:
        """Send an envelope until it is answered.

        Args:
            app_id: the application's session.
            request: what it wants of it.
            ciphertext: the query.
            courier: to whom; it remains the same.

        Raises:
            ArqError: if the application has too much under way.
        """
        self._start(app_id, request, request.envelope_hash, ciphertext, courier)

    def start_copy(self, app_id: AppId, request: CopyRequest, write_cap: bytes, courier: Courier) -> None:
        """Have a courier copy what stands in the stream of `write_cap` (168 bytes); errors as for `start`."""
        self._start(app_id, request, request.write_cap_hash, encode_query(CopyCommand(write_cap)), courier)

    def cancel(self, app_id: AppId, name: bytes, kind: type[ExchangeRequest]) -> bool:
        """End an exchange of the application's; who asked for it is told. False if there is none."""
        operation = self._find(app_id, name, kind)
        if operation is None:
            return False
        exchange = self._of(operation)
        self._engine.cancel(operation)
        self._answer(operation, exchange, Done(ThinCode.START_RESENDING_CANCELLED))
        return True

    def _start(self, app_id: AppId, request: ExchangeRequest, name: bytes, payload: bytes, courier: Courier) -> None:
        operation = self._find(app_id, name, type(request))
        if operation is not None:
            self._join(operation, request.query_id)
            return
        operation = self._engine.accept(
            Message(
                owner=app_id,
                message_id=None,
                destination=courier.identity_hash,
                recipient=RecipientId(courier.queue_id.ljust(RECIPIENT_ID_LENGTH, b"\0")),
                payload=payload,
                with_surb=True,
                polled=True,
                context=encode_request(request),
            )
        )
        self._underway[operation] = Exchange(request)
        self._on_progress()

    def _join(self, operation: Operation, query_id: bytes) -> None:
        exchange = self._of(operation)
        if query_id in exchange.asking:
            return
        asking = (*exchange.asking, query_id)
        for too_many in asking[:-MOST_ASKING]:
            self._tell(operation, too_many, Done(ThinCode.START_RESENDING_CANCELLED))
        exchange.asked_by(asking[-MOST_ASKING:])
        self._engine.change_content(operation, encode_request(exchange.request), is_recorded=True)

    def _find(self, app_id: AppId, name: bytes, kind: type[ExchangeRequest]) -> Operation | None:
        for operation in self._engine.owned_by(app_id):
            if operation.kind is Kind.POLLED:
                request = self._of(operation).request
                if isinstance(request, kind) and _name(request) == name:
                    return operation
        return None

    def _of(self, operation: Operation) -> Exchange:
        """What is known of an exchange; of one that outlived a process, what was kept with it."""
        exchange = self._underway.get(operation)
        if exchange is None:
            assert operation.message is not None
            exchange = self._underway[operation] = Exchange(decode_request(operation.message.context))
        return exchange

    def request_of(self, operation: Operation) -> ExchangeRequest:
        """What an exchange is for."""
        return self._of(operation).request

    def asking(self, operation: Operation) -> tuple[bytes, ...]:
        """The requests (query ids) that wait for an exchange's answer, the oldest first."""
        return self._of(operation).asking

    # -- what the engine tells

    def judge(self, event: ReplyToJudge) -> None:
        """A courier has answered."""
        operation = event.operation
        try:
            verdict = self._of(operation).replied(event.payload)
        except MessageError as error:
            log.error("An exchange cannot go on: %s", error)
            self._engine.conclude(operation, self._now())
            return
        self._follow(operation, verdict)

    def failed(self, event: PollFailed) -> None:
        """No packet could be made for an exchange, which has ended."""
        log.info("An exchange with a courier could not begin: %s", event.reason)
        self._answer(event.operation, self._of(event.operation), Done(ThinCode.INTERNAL_ERROR), with_courier=False)

    def _follow(self, operation: Operation, verdict: Verdict) -> None:
        now = self._now()
        match verdict:
            case AskAgain(pause=pause):
                self._engine.go_on(operation, now, pause)
            case Open(sealed=sealed):
                self.open_later(operation, sealed)
            case Done():
                exchange = self._of(operation)
                if self._engine.conclude(operation, now):
                    self._answer(operation, exchange, verdict)

    def open_later(self, operation: Operation, sealed: bytes) -> None:
        """Have `run` open a replica's answer."""
        self._to_open.send_nowait((operation, sealed))

    async def open(self, operation: Operation, sealed: bytes) -> None:
        """Open a replica's answer, and do what follows from it."""
        exchange = self._of(operation)
        request = exchange.request
        assert isinstance(request, EnvelopeRequest)
        reading = None if request.read_cap is None else (request.read_cap, request.box_index or b"")
        try:
            opened = await self._queries.opened(
                operation.owner, request.query_hash, request.descriptor, sealed, reading
            )
        except PigeonholeError as error:
            log.debug("an answer of a replica did not open: %s", error)
            verdict = exchange.opened(error.code)
        else:
            verdict = exchange.opened(opened.code, opened.plaintext)
        if isinstance(verdict, AskAgain) and verdict.is_anew and reading is not None:
            await self._ask_anew(operation, request, reading)
        self._follow(operation, verdict)
        self._on_progress()

    async def _ask_anew(self, operation: Operation, request: EnvelopeRequest, reading: tuple[bytes, bytes]) -> None:
        exchange = self._of(operation)
        try:
            query = await self._queries.read_anew(
                operation.owner, request.query_hash, request.descriptor, reading, exchange.reply_index
            )
        except PigeonholeError as error:
            log.debug("an exchange goes on with its old query: %s", error)
            return
        exchange.asked_anew(query.hash, query.descriptor.encode())
        self._engine.change_content(operation, encode_request(exchange.request), query.encode())

    # -- what applications are told

    def _answer(self, operation: Operation, exchange: Exchange, done: Done, *, with_courier: bool = True) -> None:
        for query_id in exchange.asking:
            self._tell(operation, query_id, done, with_courier=with_courier)

    def _tell(self, operation: Operation, query_id: bytes, done: Done, *, with_courier: bool = True) -> None:
        owner, message = operation.owner, operation.message
        assert owner is not None
        assert message is not None
        if isinstance(self._of(operation).request, CopyRequest):
            event = {COPY_REPLY: copy_answer(query_id, done)}
        else:
            courier = Courier(message.destination, message.recipient.rstrip(b"\0")) if with_courier else None
            event = {ENVELOPE_REPLY: envelope_answer(query_id, done, courier)}
        self._deliver(owner, event, final=True)


def envelope_answer(query_id: bytes | None, done: Done, courier: Courier | None) -> dict[str, Any]:
    """The body of the answer to `start_resending_encrypted_message`."""
    return {
        "query_id": query_id,
        "plaintext": done.plaintext,
        "error_code": int(done.code),
        "courier_identity_hash": courier.identity_hash if courier is not None else None,
        "courier_queue_id": courier.queue_id if courier is not None else None,
    }


def copy_answer(query_id: bytes | None, done: Done) -> dict[str, Any]:
    """The body of the answer to `start_resending_copy_command`; the reasons are there only where there are any."""
    reply: dict[str, Any] = {"query_id": query_id, "error_code": int(done.code)}
    if done.replica_code:
        reply["replica_error_code"] = done.replica_code
    if done.failed_envelope:
        reply["failed_envelope_index"] = done.failed_envelope
    return reply


def _name(request: ExchangeRequest) -> bytes:
    return request.write_cap_hash if isinstance(request, CopyRequest) else request.envelope_hash
