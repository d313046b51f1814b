"""An exchange with a courier: what a reply means, and whether to ask again; of envelopes and of copy commands.

Theory of operation. The same query goes to the same courier again and again, each time with a fresh SURB, until its
last reply. Of an envelope that is

    sent --ACK--> done                         a write that is content with the courier's word
    sent --ACK--> accepted --ACK--> accepted   a read, or a write that wants the replicas' word: asked again
    sent, accepted --payload--> opened         what a replica said; then done, or for a box that is not there yet: sent

and of a copy command, which is asked about until its job has ended. A courier's error ends either. A reply that is
none, or is to something else, counts as lost: the query goes out again.

Polls leave at the ticks of the send clock like everything else; how soon one may follow another grows, as each costs a
slot that another message could have.

A courier asks the replicas only so often for one query; then it answers a read of a box that was not there from its
cache, for minutes, and where nobody else uses it for ever. So after as many looks as it takes, the same read goes out
as a new query each time, which the courier does not know.

No I/O: bytes come in, and a `Verdict` goes out.

Source: Katzenpost Pigeonhole, 'ARQ for Pigeonhole'.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

import cbor2
import msgspec

from kpclientd.pigeonhole.codes import CopyStatus, ReplicaCode, ThinCode, thin_code_of
from kpclientd.pigeonhole.courier_messages import SHARDS, CopyCommandReply, CourierEnvelopeReply, parse_query_reply
from kpclientd.pigeonhole.errors import MessageError

ACK_PAUSES: Final = (0.0, 0.0, 1.0, 2.0, 4.0)
"""Seconds before the next poll, after so many that brought nothing; the last for all further ones."""

NOT_FOUND_PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 30.0)
"""The same for a box that is not there."""

LOOKS: Final = 6
"""For so many replies that a box is not there a courier asks the replicas; later ones would come from its cache."""

COPY_PAUSE: Final = 5.0
"""Seconds before a copy job is asked about again."""

LOST_PAUSE: Final = 20.0
"""Seconds before a query whose reply made no sense goes out again; as if that reply had not come."""


class Stage(enum.Enum):
    """How far an envelope has come, as far as its replies say."""

    SENT = "sent"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class EnvelopeRequest:
    """What an application wants of an envelope; a read if it has a read capability.

    Attributes:
        query_id: the application's name for its request (16 bytes).
        envelope_hash: names the exchange (32 bytes).
        descriptor: what opens the reply.
        read_cap: 136 bytes, or None for a write.
        box_index: 104 bytes for a read.
        wants_box_now: whether a box that is not there is an answer, and not to be waited for.
        wants_conflict: whether a write to a box that exists with the same content is told as such, by the replicas.
        asked_as: the hash of the query that went out instead of the application's, if one did; the descriptor is its.
        also_asked_by: further requests for the same, which get the same answer.
    """

    query_id: bytes
    envelope_hash: bytes
    descriptor: bytes = field(repr=False)
    read_cap: bytes | None = field(default=None, repr=False)
    box_index: bytes | None = field(default=None, repr=False)
    wants_box_now: bool = False
    wants_conflict: bool = False
    asked_as: bytes = b""
    also_asked_by: tuple[bytes, ...] = ()

    @property
    def query_hash(self) -> bytes:
        """What replies name."""
        return self.asked_as or self.envelope_hash

    @property
    def is_read(self) -> bool:
        """Whether a box is read; else one is written."""
        return self.read_cap is not None


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """What an application wants copied.

    Attributes:
        query_id: the application's name for its request (16 bytes).
        write_cap_hash: names the exchange (32 bytes).
        also_asked_by: further requests for the same, which get the same answer.
    """

    query_id: bytes
    write_cap_hash: bytes
    also_asked_by: tuple[bytes, ...] = ()


ExchangeRequest = EnvelopeRequest | CopyRequest


@dataclass(frozen=True, slots=True)
class AskAgain:
    """The query goes out again, after so many seconds.

    Attributes:
        pause: seconds.
        is_anew: whether the same is to be asked by a new query, of which the courier knows nothing.
    """

    pause: float
    is_anew: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """A replica's sealed answer, which is to be opened; see `Exchange.opened`."""

    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """The application's one answer.

    Attributes:
        code: 0, or why not: a `ThinCode`, or a replica's code.
        plaintext: of a read.
        replica_code: why a copy job failed.
        failed_envelope: where it did, counted from 1.
    """

    code: int = ThinCode.SUCCESS
    plaintext: bytes | None = field(default=None, repr=False)
    replica_code: int = 0
    failed_envelope: int = 0


Verdict = AskAgain | Open | Done


@dataclass(slots=True)
class Exchange:
    """One exchange, from its first reply on.

    Args:
        request: what is wanted.

    Attributes:
        stage: how far it has come. It may begin anew at any time, as when the process was restarted: all replies come
            again.
    """

    request: ExchangeRequest
    stage: Stage = Stage.SENT
    _polls: int = 0
    _looks: int = 0

    @property
    def reply_index(self) -> int:
        """Whose reply a new query is to want: of two replicas one may lack for ever what the other has."""
        return max(0, self._looks - LOOKS + 1) % SHARDS

    def replied(self, payload: bytes) -> Verdict:
        """What the courier's reply (with whatever padding behind it) means."""
        try:
            reply = parse_query_reply(payload)
        except MessageError:
            return AskAgain(LOST_PAUSE)
        match self.request, reply:
            case EnvelopeRequest(), CourierEnvelopeReply():
                return self._envelope_replied(self.request, reply)
            case CopyRequest(), CopyCommandReply():
                return _copy_replied(reply)
        return AskAgain(LOST_PAUSE)

    def _envelope_replied(self, request: EnvelopeRequest, reply: CourierEnvelopeReply) -> Verdict:
        if reply.envelope_hash != request.query_hash:
            return AskAgain(LOST_PAUSE)
        code = thin_code_of(reply.error_code)
        if code is not ThinCode.SUCCESS:
            return Done(code)
        if reply.has_payload:
            return Open(reply.payload)
        if self.stage is Stage.SENT and not request.is_read and not request.wants_conflict:
            return Done()
        self.stage = Stage.ACCEPTED
        self._polls += 1
        return AskAgain(_nth(ACK_PAUSES, self._polls))

    def opened(self, code: int, plaintext: bytes | None = None) -> Verdict:
        """What it means that a replica's answer came to `code`, and for a read to `plaintext`."""
        request = self.request
        assert isinstance(request, EnvelopeRequest)
        if code == ReplicaCode.BOX_NOT_FOUND and request.is_read and not request.wants_box_now:
            self.stage, self._polls = Stage.SENT, 0
            self._looks += 1
            return AskAgain(_nth(NOT_FOUND_PAUSES, self._looks), is_anew=self._looks >= LOOKS)
        if code == ReplicaCode.BOX_ALREADY_EXISTS and not request.is_read and not request.wants_conflict:
            return Done()
        return Done(code, plaintext)

    @property
    def asking(self) -> tuple[bytes, ...]:
        """The requests that its answer is for, the oldest first."""
        return (self.request.query_id, *self.request.also_asked_by)

    def asked_by(self, query_ids: Sequence[bytes]) -> None:
        """Its answer is for these requests from now on."""
        self.request = replace(self.request, query_id=query_ids[0], also_asked_by=tuple(query_ids[1:]))

    def asked_anew(self, query_hash: bytes, descriptor: bytes) -> None:
        """Another query asks the same from now on."""
        assert isinstance(self.request, EnvelopeRequest)
        self.request = replace(self.request, asked_as=query_hash, descriptor=descriptor)
        self.stage, self._polls = Stage.SENT, 0


def _copy_replied(reply: CopyCommandReply) -> Verdict:
    match reply.status:
        case CopyStatus.IN_PROGRESS:
            return AskAgain(COPY_PAUSE)
        case CopyStatus.SUCCEEDED:
            return Done()
        case CopyStatus.FAILED:
            return Done(ThinCode.COPY_COMMAND_FAILED, None, reply.error_code, reply.failed_envelope)
    return Done(ThinCode.INTERNAL_ERROR)


def _nth(pauses: tuple[float, ...], number: int) -> float:
    """The pause after that many, counted from 1."""
    return pauses[min(number, len(pauses)) - 1]


# -- as bytes, beside an operation that outlives the process

_KINDS: Final[Mapping[str, type[ExchangeRequest]]] = {"envelope": EnvelopeRequest, "copy": CopyRequest}


def encode_request(request: ExchangeRequest) -> bytes:
    """The bytes that `decode_request` makes the same request of."""
    kind = next(name for name, of_kind in _KINDS.items() if type(request) is of_kind)
    return cbor2.dumps([kind, asdict(request)])


def decode_request(data: bytes) -> ExchangeRequest:
    """The request of which `encode_request` made `data`.

    Raises:
        MessageError: if it made no such bytes.
    """
    try:
        kind, fields = cbor2.loads(data)
        request: ExchangeRequest = msgspec.convert(fields, _KINDS[kind], builtin_types=(bytes,))
    except (ValueError, TypeError, KeyError, cbor2.CBORDecodeError, msgspec.ValidationError) as error:
        raise MessageError(f"what was kept of an exchange cannot be read: {type(error).__name__}") from None
    return request
