"""Requests of all generations, and the fields that they are made of."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.thin.errors import MistypedField, ThinError
from kpclientd.thin.fields import Fields
from kpclientd.thin.framing import FrameReader
from kpclientd.thin.verbs.directory import GetDirectoryAuthorities, GetPkiDocument
from kpclientd.thin.verbs.messages import SendMessage
from kpclientd.thin.verbs.refused import IgnoredRequest, RefusedRequest
from kpclientd.thin.verbs.session import SessionToken, ThinClose
from kpclientd.thin.verbs.table import TABLE, Request, read_request
from tests.support.vectors import recorded

TRANSCRIPTS = recorded("thin_transcripts.json")
ID, SURB, HASH = bytes(range(16)), b"s" * 16, b"h" * 32
SEND = {
    "id": ID,
    "with_surb": True,
    "surbid": SURB,
    "destination_id_hash": HASH,
    "recipient_queue_id": b"+echo",
    "payload": b"hello",
}
SENT = SendMessage(ID, True, SURB, HASH, b"+echo", b"hello")


def reliable(*, legacy_v1: bool = False) -> SendMessage:
    return SendMessage(ID, True, SURB, HASH, b"+echo", b"hello", reliable=True, legacy_v1=legacy_v1)


def read(message: dict[Any, Any]) -> Any:
    """What a message asks for, or None."""
    request = read_request(message)
    return request.content if request is not None else None


# -- fields


def test_a_key_matches_exactly_before_it_matches_in_any_case() -> None:
    fields = Fields("verb", {"QUERY_ID": b"other", "query_id": b"exact"})
    assert fields.octets("query_id") == b"exact"


def test_a_key_matches_in_any_case_and_the_first_such_key_counts() -> None:
    assert Fields("verb", {"Query_ID": b"first", "QUERY_ID": b"second"}).octets("query_id") == b"first"


def test_missing_and_null_fields_are_the_types_zero_value() -> None:
    for values in ({}, {"octets": None, "flag": None, "number": None}):
        fields = Fields("verb", values)
        assert (fields.octets("octets"), fields.flag("flag"), fields.unsigned("number")) == (None, False, 0)


def test_an_array_of_octets_may_stand_for_a_byte_string() -> None:
    assert Fields("verb", {"k": [0, 1, 255]}).octets("k") == b"\x00\x01\xff"
    assert Fields("verb", {"k": []}).octets("k") == b""


@pytest.mark.parametrize("value", ["text", 5, 1.5, True, {}, [256], [-1], ["a"], [None], [True], [[1]]])
def test_what_is_no_byte_string_is_told_by_its_type_alone(value: Any) -> None:
    with pytest.raises(MistypedField, match=f"verb: k is of type {type(value).__name__} where a byte string belongs"):
        Fields("verb", {"k": value}).octets("k")


@pytest.mark.parametrize("value", [0, 1, "true", b"", []])
def test_what_is_no_boolean_is_refused(value: Any) -> None:
    with pytest.raises(MistypedField, match="boolean"):
        Fields("verb", {"k": value}).flag("k")


@pytest.mark.parametrize("value", [-1, 2**64, 1.0, True, "1", b"1"])
def test_what_is_no_unsigned_integer_is_refused(value: Any) -> None:
    with pytest.raises(MistypedField, match="unsigned"):
        Fields("verb", {"k": value}).unsigned("k")


def test_the_largest_unsigned_integer_is_read() -> None:
    assert Fields("verb", {"k": 2**64 - 1}).unsigned("k") == 2**64 - 1


def test_a_long_byte_string_is_a_payload_as_it_is_and_an_id_that_is_cut() -> None:
    view = memoryview(bytes(100_000))
    fields = Fields("verb", {"k": view})
    assert fields.payload("k") is view
    assert fields.octets("k") == bytes(65_536)
    assert Fields("verb", {"k": b"short"}).payload("k") == b"short"
    assert Fields("verb", {"k": [1, 2]}).payload("k") == b"\x01\x02"
    assert Fields("verb", {}).payload("k") is None


# -- verbs


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        ({"thin_close": {}}, ThinClose()),
        ({"session_token": {"client_instance_token": ID}}, SessionToken(ID)),
        ({"session_token": {}}, SessionToken(None)),
        ({"get_pki_document": {"query_id": ID, "epoch": 7}}, GetPkiDocument(ID, 7)),
        ({"get_pki_document": {"query_id": None}}, GetPkiDocument(None, 0)),
        ({"get_directory_authorities": {"query_id": ID}}, GetDirectoryAuthorities(ID)),
        ({"send_message": SEND}, SENT),
        ({"send_message": {}}, SendMessage(None, False, None, None, None, b"")),
        ({"send_arq_message": SEND}, reliable()),
        ({"send_loop_decoy": {}}, IgnoredRequest()),
        ({"send_drop_decoy": {}}, IgnoredRequest()),
        ({}, None),
        ({"no_such_verb": {"query_id": ID}}, None),
        ({"thin_close": None}, None),
        ({"Thin_Close": {}}, ThinClose()),
        ({"GET_PKI_DOCUMENT": {"Query_Id": ID, "EPOCH": 7}}, GetPkiDocument(ID, 7)),
        ({"thin_close": None, "send_message": SEND, "more": 1}, SENT),
        ({"send_message": SEND, "get_pki_document": {"query_id": ID}}, GetPkiDocument(ID, 0)),
        ({"is_send_op": True} | SEND, SendMessage(ID, True, SURB, HASH, b"+echo", b"hello", legacy_v1=True)),
        ({"is_arq_send_op": True} | SEND, reliable(legacy_v1=True)),
        ({"is_thin_close": True}, ThinClose()),
        ({"is_thin_close": True, "is_send_op": True} | SEND, ThinClose()),
        (
            {"is_loop_decoy": True, "is_send_op": True} | SEND,
            IgnoredRequest(),
        ),
        ({"is_drop_decoy": True}, IgnoredRequest()),
        ({"is_send_op": False}, None),
    ],
    ids=str,
)
def test_a_message_is_read_as_its_request(message: dict[str, Any], request_: Any) -> None:
    assert read(message) == request_


@pytest.mark.parametrize("body", [5, "text", b"octets", [], True])
def test_a_live_verb_without_a_map_ends_the_connection(body: Any) -> None:
    with pytest.raises(MistypedField, match="send_message"):
        read({"send_message": body})


@pytest.mark.parametrize("field", SEND)
def test_a_mistyped_field_of_a_message_is_named(field: str) -> None:
    with pytest.raises(MistypedField, match=f"send_message: {field} "):
        read({"send_message": SEND | {field: "text"}})


def test_no_payload_destination_or_token_is_in_a_representation() -> None:
    shown = repr(read({"send_message": SEND})) + repr(SessionToken(b"secret token 16b"))
    assert not any(secret in shown for secret in ("hello", "+echo", "secret"))


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.binary(max_size=40), st.text(max_size=8), st.floats()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELD_NAMES = st.sampled_from([*SEND, "query_id", "epoch", "client_instance_token", "Query_ID"]) | st.text(max_size=6)
FLAGS = st.sampled_from(["is_send_op", "is_arq_send_op", "is_thin_close", "is_loop_decoy", "is_drop_decoy"])


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.sampled_from([verb.name for verb in TABLE]) | FLAGS | FIELD_NAMES,
        VALUES | st.dictionaries(FIELD_NAMES, VALUES, max_size=6),
        max_size=5,
    )
)
def test_any_map_is_a_request_or_has_a_mistyped_field(message: dict[str, Any]) -> None:
    try:
        assert isinstance(read_request(message), Request | None)
    except MistypedField:
        pass


# -- recorded from real clients and the genuine daemon


def parse_stream(stream: bytes) -> list[Any]:
    return [read(message) for message in FrameReader().feed(stream)]


@pytest.mark.parametrize(
    "recording", TRANSCRIPTS["requests"], ids=lambda recording: f"{recording['peer'].split()[0]}-{recording['verb']}"
)
def test_requests_of_real_clients_are_understood(recording: dict[str, str]) -> None:
    (request,) = parse_stream(bytes.fromhex(recording["frame"]))
    verb = recording["verb"]
    if verb == "thin_close":
        assert request == ThinClose()
    elif verb == "session_token":
        assert isinstance(request, SessionToken)
        assert request.token is not None
        assert len(request.token) == 16
    elif verb == "send_message":
        assert isinstance(request, SendMessage)
        assert (request.recipient, bytes(request.payload[:5])) == (b"+echo", b"hello")
    else:
        assert not isinstance(request, RefusedRequest | IgnoredRequest)
        assert request.query_id is not None
        assert len(request.query_id) == 16


@pytest.mark.parametrize("recording", TRANSCRIPTS["fates"], ids=lambda recording: recording["scenario"])
def test_odd_frames_end_a_connection_exactly_where_the_genuine_daemon_ends_it(recording: dict[str, str]) -> None:
    stream = bytes.fromhex(recording["bytes"])
    if recording["connection"] == "EOF":
        with pytest.raises(ThinError):
            parse_stream(stream)
    else:
        assert len(parse_stream(stream)) == (2 if recording["scenario"] == "two_frames_in_one_write" else 1)
