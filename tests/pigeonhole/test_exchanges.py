"""What a courier's replies mean: the table of the reference, and what it leaves hanging."""

from dataclasses import replace

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.pigeonhole.codes import CopyStatus, CourierCode, ReplicaCode, ThinCode
from kpclientd.pigeonhole.courier_messages import (
    CopyCommandReply,
    CourierEnvelopeReply,
    CourierReply,
    encode_query_reply,
)
from kpclientd.pigeonhole.errors import MessageError
from kpclientd.pigeonhole.exchanges import (
    ACK_PAUSES,
    COPY_PAUSE,
    LOOKS,
    LOST_PAUSE,
    NOT_FOUND_PAUSES,
    AskAgain,
    CopyRequest,
    Done,
    EnvelopeRequest,
    Exchange,
    ExchangeRequest,
    Open,
    Stage,
    decode_request,
    encode_request,
)

QUERY = b"q" * 16
HASH = b"h" * 32
READ = EnvelopeRequest(QUERY, HASH, b"descriptor", b"c" * 136, b"i" * 104)
WRITE = EnvelopeRequest(QUERY, HASH, b"descriptor")
CAREFUL_WRITE = EnvelopeRequest(QUERY, HASH, b"descriptor", wants_conflict=True)
COPY = CopyRequest(QUERY, HASH)

PADDING = bytes(500)
ACK = CourierEnvelopeReply(HASH)
PAYLOAD = CourierEnvelopeReply(HASH, has_payload=True, payload=b"sealed")


def wire(reply: CourierReply) -> bytes:
    return encode_query_reply(reply) + PADDING


def after(exchange: Exchange, *replies: CourierReply) -> Exchange:
    for reply in replies:
        exchange.replied(wire(reply))
    return exchange


@pytest.mark.parametrize(
    ("request_", "before", "reply", "verdict", "stage"),
    [
        (WRITE, (), ACK, Done(), Stage.SENT),
        (READ, (), ACK, AskAgain(0.0), Stage.ACCEPTED),
        (CAREFUL_WRITE, (), ACK, AskAgain(0.0), Stage.ACCEPTED),
        (READ, (), PAYLOAD, Open(b"sealed"), Stage.SENT),
        (WRITE, (), PAYLOAD, Open(b"sealed"), Stage.SENT),
        (READ, (ACK,), PAYLOAD, Open(b"sealed"), Stage.ACCEPTED),
        (READ, (ACK,), ACK, AskAgain(0.0), Stage.ACCEPTED),
        (CAREFUL_WRITE, (ACK,), PAYLOAD, Open(b"sealed"), Stage.ACCEPTED),
    ],
)
def test_the_references_table(
    request_: EnvelopeRequest, before: tuple[CourierReply, ...], reply: CourierReply, verdict: object, stage: Stage
) -> None:
    exchange = after(Exchange(request_), *before)
    assert exchange.replied(wire(reply)) == verdict
    assert exchange.stage is stage


@pytest.mark.parametrize("request_", [READ, WRITE, CAREFUL_WRITE])
@pytest.mark.parametrize("before", [(), (ACK,)])
@pytest.mark.parametrize(
    ("courier", "told"),
    [
        (CourierCode.INVALID_ENVELOPE, ThinCode.COURIER_INVALID_ENVELOPE),
        (CourierCode.CACHE_CORRUPTION, ThinCode.COURIER_CACHE_CORRUPTION),
        (CourierCode.PROPAGATION_ERROR, ThinCode.PROPAGATION_ERROR),
        (CourierCode.INVALID_EPOCH, ThinCode.COURIER_INVALID_EPOCH),
        (200, ThinCode.COURIER_INVALID_ENVELOPE),
    ],
)
def test_a_couriers_error_ends_it(
    request_: EnvelopeRequest, before: tuple[CourierReply, ...], courier: int, told: ThinCode
) -> None:
    exchange = after(Exchange(request_), *before)
    assert exchange.replied(wire(CourierEnvelopeReply(HASH, error_code=courier))) == Done(told)


def test_a_box_that_is_not_there_is_waited_for_ever_more_patiently_unless_it_is_wanted_now() -> None:
    exchange = after(Exchange(READ), ACK)
    pauses = []
    for _ in range(len(NOT_FOUND_PAUSES) + 2):
        verdict = exchange.opened(ReplicaCode.BOX_NOT_FOUND)
        assert isinstance(verdict, AskAgain)
        assert exchange.stage is Stage.SENT
        pauses.append(verdict.pause)
    assert pauses == [*NOT_FOUND_PAUSES, NOT_FOUND_PAUSES[-1], NOT_FOUND_PAUSES[-1]]
    impatient = EnvelopeRequest(QUERY, HASH, b"descriptor", b"c" * 136, b"i" * 104, wants_box_now=True)
    assert Exchange(impatient).opened(ReplicaCode.BOX_NOT_FOUND) == Done(ReplicaCode.BOX_NOT_FOUND)
    assert Exchange(WRITE).opened(ReplicaCode.BOX_NOT_FOUND) == Done(ReplicaCode.BOX_NOT_FOUND)


def test_when_the_courier_asks_the_replicas_no_more_the_same_is_asked_by_a_new_query() -> None:
    exchange = Exchange(READ)
    for _ in range(LOOKS - 1):
        assert exchange.reply_index == 0
        verdict = exchange.opened(ReplicaCode.BOX_NOT_FOUND)
        assert isinstance(verdict, AskAgain)
        assert not verdict.is_anew
    for turn in range(3):
        verdict = exchange.opened(ReplicaCode.BOX_NOT_FOUND)
        assert isinstance(verdict, AskAgain)
        assert verdict.is_anew
        assert exchange.reply_index == (turn + 1) % 2
        exchange.asked_anew(bytes([turn]) * 32, b"descriptor %d" % turn)
        assert exchange.replied(wire(PAYLOAD)) == AskAgain(LOST_PAUSE), "a late reply to the query before"
        payload = CourierEnvelopeReply(bytes([turn]) * 32, has_payload=True, payload=b"sealed")
        assert exchange.replied(wire(payload)) == Open(b"sealed")
        assert exchange.request == replace(READ, asked_as=bytes([turn]) * 32, descriptor=b"descriptor %d" % turn)
        assert decode_request(encode_request(exchange.request)) == exchange.request


def test_a_box_that_exists_already_is_a_success_unless_a_conflict_is_to_be_told() -> None:
    assert Exchange(WRITE).opened(ReplicaCode.BOX_ALREADY_EXISTS) == Done()
    assert Exchange(CAREFUL_WRITE).opened(ReplicaCode.BOX_ALREADY_EXISTS) == Done(ReplicaCode.BOX_ALREADY_EXISTS)
    assert Exchange(READ).opened(ReplicaCode.BOX_ALREADY_EXISTS) == Done(ReplicaCode.BOX_ALREADY_EXISTS)


@pytest.mark.parametrize("code", [2, 3, 4, 5, 6, 7, 8, 9, 11, 22, 23, 25])
@pytest.mark.parametrize("request_", [READ, WRITE, CAREFUL_WRITE])
def test_other_codes_are_told(request_: EnvelopeRequest, code: int) -> None:
    assert Exchange(request_).opened(code) == Done(code)


@pytest.mark.parametrize("plaintext", [b"", b"hello"])
def test_what_was_read_is_told(plaintext: bytes) -> None:
    assert after(Exchange(READ), ACK).opened(0, plaintext) == Done(0, plaintext)


def test_polls_for_a_slow_replica_grow_apart_and_begin_anew_with_each_look() -> None:
    exchange = Exchange(READ)
    pauses = [exchange.replied(wire(ACK)) for _ in range(8)]
    assert pauses == [AskAgain(pause) for pause in (*ACK_PAUSES, *3 * ACK_PAUSES[-1:])]
    exchange.opened(ReplicaCode.BOX_NOT_FOUND)
    assert exchange.replied(wire(ACK)) == AskAgain(ACK_PAUSES[0])


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (CopyCommandReply(CopyStatus.IN_PROGRESS), AskAgain(COPY_PAUSE)),
        (CopyCommandReply(CopyStatus.SUCCEEDED), Done()),
        (CopyCommandReply(CopyStatus.FAILED, 10, 2), Done(ThinCode.COPY_COMMAND_FAILED, None, 10, 2)),
        (CopyCommandReply(77), Done(ThinCode.INTERNAL_ERROR)),
    ],
)
def test_copy_jobs(reply: CopyCommandReply, verdict: object) -> None:
    assert Exchange(COPY).replied(wire(reply)) == verdict


@pytest.mark.parametrize("request_", [READ, WRITE, COPY])
def test_what_answers_something_else_counts_as_lost(request_: ExchangeRequest) -> None:
    other = CopyCommandReply(CopyStatus.SUCCEEDED) if request_ is not COPY else ACK
    foreign = CourierEnvelopeReply(b"x" * 32, has_payload=True, payload=b"sealed")
    for reply in (wire(other), wire(foreign), b"", b"\x02", b"\x00" + HASH):
        assert Exchange(request_).replied(reply) == AskAgain(LOST_PAUSE)


@given(st.binary(max_size=80), st.sampled_from([READ, WRITE, CAREFUL_WRITE, COPY]), st.booleans())
def test_no_reply_is_a_crash(payload: bytes, request_: ExchangeRequest, is_envelope: bool) -> None:
    head = b"\x00" + HASH if is_envelope else b""
    assert isinstance(Exchange(request_).replied(head + payload), AskAgain | Open | Done)


@pytest.mark.parametrize("request_", [READ, WRITE, CAREFUL_WRITE, COPY])
def test_a_request_outlives_its_process(request_: ExchangeRequest) -> None:
    assert decode_request(encode_request(request_)) == request_


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        cbor2.dumps(None),
        cbor2.dumps(["envelope"]),
        cbor2.dumps(["other", {}]),
        cbor2.dumps(["copy", {"query_id": "text", "write_cap_hash": HASH}]),
        cbor2.dumps(["copy", {"query_id": QUERY}]),
        cbor2.dumps([["copy"], {}]),
        encode_request(READ)[:-1],
    ],
)
def test_what_is_no_kept_request_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        decode_request(data)


@given(st.binary(max_size=100))
def test_no_kept_bytes_are_a_crash(data: bytes) -> None:
    try:
        decode_request(data)
    except MessageError:
        pass
