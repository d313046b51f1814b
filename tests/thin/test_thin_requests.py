"""Requests of all generations, and the fields that they are made of."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.thin.errors import MistypedField, ThinError
from kpclientd.thin.fields import Fields
from kpclientd.thin.framing import FrameReader
from kpclientd.thin.requests import (
    _CHANNEL_VERBS,
    _VERBS,
    ChannelRequest,
    GetDirectoryAuthorities,
    GetPkiDocument,
    Request,
    SendMessage,
    SessionToken,
    Swallowed,
    ThinClose,
    UnservedRequest,
    parse_request,
)
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


def reliable(*, flat: bool = False) -> SendMessage:
    return SendMessage(ID, True, SURB, HASH, b"+echo", b"hello", reliable=True, flat=flat)


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
        ({"send_loop_decoy": {}}, Swallowed("a decoy request: cover traffic is the daemon's own business")),
        ({"send_drop_decoy": {}}, Swallowed("a decoy request: cover traffic is the daemon's own business")),
        ({}, Swallowed("a map without a known request")),
        ({"no_such_verb": {"query_id": ID}}, Swallowed("a map without a known request")),
        ({"thin_close": None}, Swallowed("a map without a known request")),
        ({"Thin_Close": {}}, ThinClose()),
        ({"GET_PKI_DOCUMENT": {"Query_Id": ID, "EPOCH": 7}}, GetPkiDocument(ID, 7)),
        ({"thin_close": None, "send_message": SEND, "more": 1}, SENT),
        ({"send_message": SEND, "get_pki_document": {"query_id": ID}}, GetPkiDocument(ID, 0)),
        ({"is_send_op": True} | SEND, SendMessage(ID, True, SURB, HASH, b"+echo", b"hello", flat=True)),
        ({"is_arq_send_op": True} | SEND, reliable(flat=True)),
        ({"is_thin_close": True}, ThinClose()),
        ({"is_thin_close": True, "is_send_op": True} | SEND, ThinClose()),
        (
            {"is_loop_decoy": True, "is_send_op": True} | SEND,
            Swallowed("a decoy request: cover traffic is the daemon's own business"),
        ),
        ({"is_drop_decoy": True}, Swallowed("a decoy request: cover traffic is the daemon's own business")),
        ({"is_send_op": False}, Swallowed("a flat map with no flag set")),
    ],
    ids=str,
)
def test_a_message_is_read_as_its_request(message: dict[str, Any], request_: Request) -> None:
    assert parse_request(message) == request_


@pytest.mark.parametrize("verb", _CHANNEL_VERBS)
def test_channel_requests_keep_their_verb_for_the_reply(verb: str) -> None:
    assert parse_request({verb: {"query_id": ID}}) == ChannelRequest(verb, ID)


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_is_read_or_told_as_not_served(verb: str) -> None:
    request = parse_request({verb: {"query_id": ID}})
    assert not isinstance(request, Swallowed | ChannelRequest)
    if isinstance(request, UnservedRequest):
        assert request == UnservedRequest(verb, ID)


def test_the_first_live_verb_in_the_references_order_is_the_only_one_served() -> None:
    for earlier, later in pairwise(_VERBS):
        union = {later: {"query_id": ID}, earlier: {"query_id": ID}}
        assert parse_request(union) == parse_request({earlier: {"query_id": ID}})


@pytest.mark.parametrize("body", [5, "text", b"octets", [], True])
def test_a_live_verb_without_a_map_ends_the_connection(body: Any) -> None:
    with pytest.raises(MistypedField, match="send_message"):
        parse_request({"send_message": body})


@pytest.mark.parametrize("field", SEND)
def test_a_mistyped_field_of_a_message_is_named(field: str) -> None:
    with pytest.raises(MistypedField, match=f"send_message: {field} "):
        parse_request({"send_message": SEND | {field: "text"}})


def test_no_payload_destination_or_token_is_in_a_representation() -> None:
    shown = repr(parse_request({"send_message": SEND})) + repr(SessionToken(b"secret token 16b"))
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
        st.sampled_from(_VERBS + _CHANNEL_VERBS) | FLAGS | FIELD_NAMES,
        VALUES | st.dictionaries(FIELD_NAMES, VALUES, max_size=6),
        max_size=5,
    )
)
def test_any_map_is_a_request_or_has_a_mistyped_field(message: dict[str, Any]) -> None:
    try:
        assert isinstance(parse_request(message), Request)
    except MistypedField:
        pass


# -- recorded from real clients and the genuine daemon


def parse_stream(stream: bytes) -> list[Request]:
    return [parse_request(message) for message in FrameReader().feed(stream)]


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
        assert (request.recipient, request.payload[:5]) == (b"+echo", b"hello")
    else:
        assert isinstance(request, GetPkiDocument | GetDirectoryAuthorities | UnservedRequest)
        assert getattr(request, "verb", verb) == verb
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
