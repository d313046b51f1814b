"""`start_resending_*` and `cancel_resending_*`: exchanges with a courier, until their one answer.

A request that cannot be begun is answered at once; every other when its exchange has ended, as an event. In the answers
about envelopes the codes 1 to 11 are a storage replica's, and 3 and 4 both; that is the protocol's.

Source: the Katzenpost thin-client protocol, "start_resending_encrypted_message" to "cancel_resending_copy_command".
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from arq import ArqError
from kpclientd.pigeonhole.capabilities import BoxIndex, ReadCap, WriteCap
from kpclientd.pigeonhole.codes import ThinCode
from kpclientd.pigeonhole.errors import InvalidArgument, PigeonholeError
from kpclientd.pigeonhole.exchanges import CopyRequest, Done, EnvelopeRequest
from kpclientd.pigeonhole.replicas import choose_courier
from kpclientd.pigeonhole.trunnel import digest
from kpclientd.storage.resender import COPY_REPLY, ENVELOPE_REPLY, Courier, copy_answer, envelope_answer
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs.storage import given, storage_verb
from kpclientd.thin.verbs.verb import ID_LENGTH, Caller, Verb
from sphinx.types import NODE_ID_LENGTH, RECIPIENT_ID_LENGTH, NodeId

log = logging.getLogger("client/pigeonhole")

HASH_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class StartResending:
    """Asks that an envelope be sent until it is answered."""

    query_id: bytes | None
    read_cap: bytes | None = field(repr=False)
    write_cap: bytes | None = field(repr=False)
    index: bytes | None = field(repr=False)
    descriptor: bytes | None = field(repr=False)
    ciphertext: bytes | memoryview | None = field(repr=False)
    envelope_hash: bytes | None
    wants_box_now: bool
    wants_conflict: bool


@dataclass(frozen=True, slots=True)
class StartCopying:
    """Asks that a courier copy what stands in a stream; by the courier that is named, if one is."""

    query_id: bytes | None
    write_cap: bytes | None = field(repr=False)
    courier_hash: bytes | None
    courier_queue: bytes | None


@dataclass(frozen=True, slots=True)
class CancelResending:
    """Asks that an exchange be ended."""

    query_id: bytes | None
    name: bytes | None


def _parse_start(fields: Fields) -> StartResending:
    fields.unsigned("reply_index")  # accepted, and without effect
    return StartResending(
        fields.octets("query_id"),
        fields.octets("read_cap"),
        fields.octets("write_cap"),
        fields.octets("message_box_index"),
        fields.octets("envelope_descriptor"),
        fields.payload("message_ciphertext"),
        fields.octets("envelope_hash"),
        fields.flag("no_retry_on_box_id_not_found"),
        fields.flag("no_idempotent_box_already_exists"),
    )


def _parse_start_copying(fields: Fields) -> StartCopying:
    return StartCopying(
        fields.octets("query_id"),
        fields.octets("write_cap"),
        fields.octets("courier_identity_hash"),
        fields.octets("courier_queue_id"),
    )


async def _start(caller: Caller, request: StartResending) -> Mapping[str, Any] | None:
    session, maker, resender = caller.session, caller.services.query_maker, caller.services.resender
    if session is None:
        return None
    try:
        await maker.mkem(caller.app_id)
        wanted = _envelope_request(request, caller.services.geometry.user_forward_payload_length)
        if request.read_cap is not None and request.index is not None:
            await maker.check(caller.app_id, ReadCap.parse(request.read_cap), BoxIndex.parse(request.index))
        service = choose_courier(maker.document(), maker.randomness)
        courier = Courier(service.node_id, service.endpoint)
        resender.start(session.app_id, wanted, bytes(request.ciphertext or b""), courier)
    except (PigeonholeError, ArqError) as error:
        log.info("Refused a start_resending_encrypted_message: %s", error)
        # 10 would be read as "this box exists already".
        code = ThinCode.INTERNAL_ERROR
        if isinstance(error, PigeonholeError) and error.code is not ThinCode.SERVICE_UNAVAILABLE:
            code = error.code
        return envelope_answer(request.query_id, Done(code), None)
    return None


def _envelope_request(request: StartResending, longest: int) -> EnvelopeRequest:
    query_id = _id(request.query_id)
    envelope_hash = _hash(request.envelope_hash, "envelope_hash")
    if not request.ciphertext or not request.descriptor:
        raise InvalidArgument("message_ciphertext or envelope_descriptor is empty")
    if len(request.ciphertext) > longest:
        raise InvalidArgument(f"message_ciphertext has {len(request.ciphertext)} bytes; at most {longest} are sent")
    if (request.read_cap is None) == (request.write_cap is None):
        raise InvalidArgument("one of read_cap and write_cap is needed, and not both")
    return EnvelopeRequest(
        query_id,
        envelope_hash,
        request.descriptor,
        request.read_cap,
        request.index if request.read_cap is not None else None,
        request.wants_box_now,
        request.wants_conflict,
    )


async def _start_copying(caller: Caller, request: StartCopying) -> Mapping[str, Any] | None:
    session, maker, resender = caller.session, caller.services.query_maker, caller.services.resender
    if session is None:
        return None
    try:
        await maker.mkem(caller.app_id)
        query_id = _id(request.query_id)
        write_cap = given(request.write_cap, "write_cap")
        await maker.offload(caller.app_id, partial(WriteCap.parse, write_cap))
        courier = _courier_of(caller, request)
        resender.start_copy(session.app_id, CopyRequest(query_id, digest(write_cap)), write_cap, courier)
    except ArqError as error:
        log.info("Refused a start_resending_copy_command: %s", error)
        return copy_answer(request.query_id, Done(ThinCode.INTERNAL_ERROR))
    except PigeonholeError as error:
        log.info("Refused a start_resending_copy_command: %s", error)
        return copy_answer(request.query_id, Done(error.code))
    return None


def _courier_of(caller: Caller, request: StartCopying) -> Courier:
    document = caller.services.query_maker.document()
    if request.courier_hash is not None and request.courier_queue:
        if len(request.courier_hash) != NODE_ID_LENGTH or len(request.courier_queue) > RECIPIENT_ID_LENGTH:
            raise InvalidArgument("courier_identity_hash or courier_queue_id has another length than one can have")
        node_id = NodeId(request.courier_hash)
        if all(node.node_id != node_id for node in document.service_nodes):
            raise UnknownCourier("the document does not list the courier that is named")
        return Courier(node_id, request.courier_queue)
    service = choose_courier(document, caller.services.query_maker.randomness)
    return Courier(service.node_id, service.endpoint)


class UnknownCourier(PigeonholeError):
    """An application names a courier that the network does not have (any more): without it another is taken."""


def _id(query_id: bytes | None) -> bytes:
    if query_id is None or len(query_id) != ID_LENGTH:
        raise InvalidArgument(f"query_id is not {ID_LENGTH} bytes")
    return query_id


def _hash(value: bytes | None, name: str) -> bytes:
    if value is None or len(value) != HASH_LENGTH:
        raise InvalidArgument(f"{name} is not {HASH_LENGTH} bytes")
    return value


def _cancelling(verb: str, named_by: str, kind: type[EnvelopeRequest | CopyRequest]) -> Verb:
    def parse(fields: Fields) -> CancelResending:
        return CancelResending(fields.octets("query_id"), fields.octets(named_by))

    async def cancel(caller: Caller, request: CancelResending) -> Mapping[str, Any]:
        given(request.query_id, "query_id")
        name = _hash(request.name, named_by)
        if caller.app_id is not None:
            caller.services.resender.cancel(caller.app_id, name, kind)
        return {}

    return storage_verb(verb, parse, cancel, {}, is_slow=False)


_ENVELOPE_CODES: Final = frozenset(range(14)) | {
    ThinCode.MKEM_DECRYPTION_FAILED,
    ThinCode.BACAP_DECRYPTION_FAILED,
    ThinCode.START_RESENDING_CANCELLED,
    ThinCode.INVALID_TOMBSTONE_SIGNATURE,
    ThinCode.COURIER_INVALID_ENVELOPE,
    ThinCode.COURIER_INVALID_EPOCH,
    ThinCode.INDEX_NOT_ON_STREAM,
    ThinCode.INDEX_TOO_FAR,
}
_COPY_CODES: Final = frozenset(
    (
        ThinCode.SUCCESS,
        ThinCode.INVALID_REQUEST,
        ThinCode.INTERNAL_ERROR,
        ThinCode.SERVICE_UNAVAILABLE,
        ThinCode.START_RESENDING_CANCELLED,
        ThinCode.COPY_COMMAND_FAILED,
    )
)

START_RESENDING_ENCRYPTED_MESSAGE: Final = Verb(
    "start_resending_encrypted_message",
    _parse_start,
    _start,
    ENVELOPE_REPLY,
    _ENVELOPE_CODES,
    is_slow=True,
)
START_RESENDING_COPY_COMMAND: Final = Verb(
    "start_resending_copy_command",
    _parse_start_copying,
    _start_copying,
    COPY_REPLY,
    _COPY_CODES,
    is_slow=True,
)
CANCEL_RESENDING_ENCRYPTED_MESSAGE: Final = _cancelling(
    "cancel_resending_encrypted_message", "envelope_hash", EnvelopeRequest
)
CANCEL_RESENDING_COPY_COMMAND: Final = _cancelling("cancel_resending_copy_command", "write_cap_hash", CopyRequest)
