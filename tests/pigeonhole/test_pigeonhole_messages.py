"""Messages between client, courier and replicas: the reference's bytes, and whatever else may come in their place."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.pigeonhole.codes import CopyStatus, ThinCode, thin_code_of
from kpclientd.pigeonhole.courier_messages import (
    FLAG_START,
    CopyCommand,
    CopyCommandReply,
    CopyStreamElement,
    CourierEnvelope,
    CourierEnvelopeReply,
    encode_query,
    encode_query_reply,
    parse_query,
    parse_query_reply,
)
from kpclientd.pigeonhole.errors import MessageError
from kpclientd.pigeonhole.replica_messages import (
    Box,
    ReplicaRead,
    ReplicaReadReply,
    ReplicaWrite,
    ReplicaWriteReply,
    encode_reply,
    encode_request,
    parse_reply,
    parse_request,
)
from kpclientd.pigeonhole.trunnel import LONGEST_MESSAGE, pad, unpad
from tests.pigeonhole.genuine import (
    DAEMON_WRITE,
    ELEMENTS,
    EXCHANGES,
    GENUINE,
    INNER,
    INNER_REPLIES,
    QUERIES,
    REPLIES,
)

Codec = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]

QUERY: Codec = (parse_query, encode_query)
REPLY: Codec = (parse_query_reply, encode_query_reply)
INNER_MESSAGE: Codec = (parse_request, encode_request)
INNER_REPLY: Codec = (parse_reply, encode_reply)
ELEMENT: Codec = (CopyStreamElement.parse, CopyStreamElement.encode)
BOX: Codec = (Box.parse, Box.encode)

RECORDED = [
    *((QUERY, name, data) for name, data in QUERIES.items()),
    *((REPLY, name, data) for name, data in REPLIES.items()),
    *((INNER_MESSAGE, name, data) for name, data in INNER.items()),
    *((INNER_REPLY, name, data) for name, data in INNER_REPLIES.items()),
    *((ELEMENT, f"element {number}", data) for number, data in enumerate(ELEMENTS)),
]

bytes_of = st.binary(max_size=200)
u8, u64 = st.integers(0, 255), st.integers(0, (1 << 64) - 1)


def exactly(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length)


MESSAGES: list[tuple[Codec, st.SearchStrategy[Any]]] = [
    (
        QUERY,
        st.builds(
            CourierEnvelope, exactly(2), st.tuples(exactly(60), exactly(60)), u64, bytes_of, bytes_of, reply_index=u8
        ),
    ),
    (QUERY, st.builds(CopyCommand, bytes_of)),
    (REPLY, st.builds(CourierEnvelopeReply, exactly(32), u8, st.booleans(), bytes_of, u8)),
    (REPLY, st.builds(CopyCommandReply, u8, u8, u64)),
    (INNER_MESSAGE, st.builds(ReplicaRead, exactly(32))),
    (INNER_MESSAGE, st.builds(ReplicaWrite, exactly(32), exactly(64), bytes_of)),
    (INNER_REPLY, st.builds(ReplicaReadReply, u8, exactly(32), exactly(64), bytes_of)),
    (INNER_REPLY, st.builds(ReplicaWriteReply, u8)),
    (ELEMENT, st.builds(CopyStreamElement, u8, bytes_of)),
    (BOX, st.builds(Box, exactly(32), bytes_of, exactly(64))),
]


@pytest.mark.parametrize(("codec", "data"), [pytest.param(c, d, id=n) for c, n, d in RECORDED])
def test_a_recorded_message_is_read_and_written_again_byte_for_byte(codec: Codec, data: str) -> None:
    parse, encode = codec
    message = bytes.fromhex(data)
    assert encode(parse(message)) == message
    assert parse(message + bytes(500)) == parse(message)


@pytest.mark.parametrize(("codec", "data"), [pytest.param(c, d, id=n) for c, n, d in RECORDED])
def test_every_shorter_message_is_refused(codec: Codec, data: str) -> None:
    parse, _ = codec
    message = bytes.fromhex(data)
    for length in range(len(message)):
        with pytest.raises(MessageError):
            parse(message[:length])


@given(st.data())
@pytest.mark.parametrize(("codec", "messages"), MESSAGES)
def test_what_is_written_is_read(codec: Codec, messages: st.SearchStrategy[Any], data: st.DataObject) -> None:
    parse, encode = codec
    message = data.draw(messages)
    assert parse(encode(message) + data.draw(bytes_of)) == message


@given(st.binary(max_size=400))
@pytest.mark.parametrize("codec", [QUERY, REPLY, INNER_MESSAGE, INNER_REPLY, ELEMENT, BOX])
def test_any_bytes_are_a_message_or_an_error(codec: Codec, data: bytes) -> None:
    parse, encode = codec
    try:
        message = parse(data)
    except MessageError:
        return
    assert data.startswith(encode(message))


@pytest.mark.parametrize("codec", [QUERY, REPLY, INNER_MESSAGE, INNER_REPLY])
def test_an_unknown_type_is_refused(codec: Codec) -> None:
    with pytest.raises(MessageError, match="type 2"):
        codec[0](bytes([2]) + bytes(500))


def test_a_reply_is_an_ack_or_a_payload_and_nothing_else() -> None:
    ack = bytearray(encode_query_reply(CourierEnvelopeReply(bytes(32))))
    assert len(ack) == 40
    ack[1 + 32 + 1] = 2
    with pytest.raises(MessageError, match="type 2"):
        parse_query_reply(bytes(ack))


def test_a_length_beyond_the_data_is_refused_before_anything_is_built() -> None:
    with pytest.raises(MessageError, match="4294967300 are needed"):
        CopyStreamElement.parse(b"\0" + b"\xff" * 4)
    with pytest.raises(MessageError, match="at most 16777216"):
        parse_query(bytes(LONGEST_MESSAGE + 1))


def test_parts_that_do_not_fit_are_not_written() -> None:
    envelope = CourierEnvelope(b"\0\1", (bytes(60), bytes(60)), 1, bytes(160), b"")
    misfits: list[tuple[Callable[[Any], bytes], object]] = [
        (encode_query, CourierEnvelope(b"\0", envelope.deks, 1, b"", b"")),
        (encode_query, CourierEnvelope(b"\0\1", (bytes(60), bytes(59)), 1, b"", b"")),
        (encode_query, CourierEnvelope(b"\0\1", envelope.deks, 1 << 64, b"", b"")),
        (encode_query, CourierEnvelope(b"\0\1", envelope.deks, -1, b"", b"")),
        (encode_query, CourierEnvelope(b"\0\1", envelope.deks, 1, bytes(65536), b"")),
        (encode_query, CopyCommand(bytes(LONGEST_MESSAGE + 1))),
        (encode_query_reply, CourierEnvelopeReply(bytes(31))),
        (encode_query_reply, CopyCommandReply(256)),
        (encode_request, ReplicaRead(bytes(33))),
        (encode_request, ReplicaWrite(bytes(32), bytes(63), b"")),
        (encode_reply, ReplicaWriteReply(-1)),
        (Box.encode, Box(bytes(32), b"", bytes(65))),
    ]
    for encode, message in misfits:
        with pytest.raises(MessageError):
            encode(message)


def test_the_daemons_envelope_taken_apart() -> None:
    query = parse_query(bytes.fromhex(DAEMON_WRITE["message_ciphertext"]))
    parts = DAEMON_WRITE["parts"]
    assert isinstance(query, CourierEnvelope)
    assert list(query.replicas) == parts["intermediate_replicas"]
    assert [dek.hex() for dek in query.deks] == [parts["dek1"], parts["dek2"]]
    assert (query.reply_index, query.epoch) == (parts["reply_index"], parts["epoch"])
    assert (query.sender_key.hex(), query.ciphertext.hex()) == (parts["sender_pubkey"], parts["ciphertext"])
    assert query.hash.hex() == DAEMON_WRITE["envelope_hash"]
    assert unpad(bytes.fromhex(parts["inner_padded"])).hex() == parts["inner"]
    assert pad(bytes.fromhex(parts["inner"]), 1674).hex() == parts["inner_padded"]


def test_the_couriers_replies_taken_apart() -> None:
    for exchange in EXCHANGES.values():
        for reply in exchange["replies"]:
            parsed = parse_query_reply(bytes.fromhex(reply["wire"]))
            assert isinstance(parsed, CourierEnvelopeReply)
            assert parsed.envelope_hash.hex() == exchange["envelope_hash"]
            assert (parsed.reply_index, int(parsed.has_payload)) == (reply["reply_index"], reply["reply_type"])
            assert parsed.error_code == reply["error_code"]
    conflict = parse_query_reply(bytes.fromhex(REPLIES["conflict"]))
    assert conflict == CopyCommandReply(CopyStatus.FAILED, error_code=10, failed_envelope=2)


def test_the_first_element_is_flagged() -> None:
    flags = [CopyStreamElement.parse(bytes.fromhex(data)).flags for data in GENUINE["copy"]["success"]["elements"]]
    assert flags[0] == FLAG_START


@given(st.binary(max_size=100), st.integers(0, 120))
def test_padding_is_undone_or_does_not_fit(message: bytes, length: int) -> None:
    if len(message) + 4 > length:
        with pytest.raises(MessageError):
            pad(message, length)
    else:
        padded = pad(message, length)
        assert len(padded) == length
        assert unpad(padded) == message


@pytest.mark.parametrize("padded", [b"", b"\0\0\0", b"\0\0\0\1", b"\xff\xff\xff\xffdata"])
def test_a_padding_with_a_wrong_length_is_refused(padded: bytes) -> None:
    with pytest.raises(MessageError):
        unpad(padded)


def test_a_couriers_code_is_translated() -> None:
    assert [thin_code_of(code) for code in (*range(6), 255)] == [0, 31, 12, 13, 32, 31, 31]
    assert thin_code_of(4) is ThinCode.COURIER_INVALID_EPOCH
