import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.loopix.errors import RequestError
from kpclientd.loopix.nodes import ClientConfig, MixConfig, key_text
from kpclientd.loopix.requests import (
    INCOMPLETE_SEND,
    INVALID_REQUEST,
    Clients,
    Details,
    Failed,
    Fetch,
    Fetched,
    Flush,
    Flushed,
    GetClients,
    Nothing,
    OwnDetails,
    Request,
    Response,
    Send,
    Sent,
    decode_json,
    decode_json_response,
    decode_request,
    decode_response,
    encode_json,
    encode_json_request,
    encode_request,
    encode_response,
    immediate_answer,
)
from tests.loopix.descriptions import clients, key, texts

PROVIDER = MixConfig("localhost:9997", "localhost", "9997", key(101), 1_000_000)
ALICE = ClientConfig(key_text(key(201)), "", "", key(201), PROVIDER)
BOB = ClientConfig(key_text(key(202)), "0.0.0.0", "42", key(202), PROVIDER)

requests = st.one_of(
    st.builds(Send, st.none() | st.binary(max_size=80), st.none() | clients),
    st.sampled_from([Fetch(), GetClients(), OwnDetails(), Flush(), Nothing()]),
)
responses = st.one_of(
    st.builds(Failed, texts),
    st.builds(Fetched, st.lists(st.binary(max_size=80), max_size=5).map(tuple)),
    st.builds(Clients, st.lists(clients, max_size=4).map(tuple)),
    st.builds(Details, clients),
    st.sampled_from([Sent(), Flushed()]),
)


@given(requests)
def test_requests_survive_both_forms(request: Request) -> None:
    assert decode_request(encode_request(request)) == request
    assert decode_json(encode_json_request(request)) == request


@given(responses)
def test_responses_survive_both_forms(response: Response) -> None:
    assert decode_response(encode_response(response)) == response
    assert decode_json_response(encode_json(response)) == response


@pytest.mark.parametrize(
    ("request_", "octets"),
    [
        (Fetch(), "1a00"),
        (GetClients(), "2200"),
        (OwnDetails(), "2a00"),
        (Flush(), "3200"),
        (Nothing(), ""),
        (Send(b"hi", None), "12040a026869"),
        (Send(b"", None), "12020a00"),
        (Send(None, ClientConfig()), "12021200"),
        (Send(None, None), "1200"),
    ],
)
def test_a_request_has_the_reference_s_bytes(request_: Request, octets: str) -> None:
    assert encode_request(request_).hex() == octets
    assert decode_request(bytes.fromhex(octets)) == request_


@pytest.mark.parametrize(
    ("response", "octets"),
    [
        (Failed("no"), "0a040a026e6f"),
        (Sent(), "1200"),
        (Fetched(()), "1a00"),
        (Fetched((b"a", b"")), "1a050a01610a00"),
        (Clients(()), "2200"),
        (Flushed(), "3200"),
    ],
)
def test_a_response_has_the_reference_s_bytes(response: Response, octets: str) -> None:
    assert encode_response(response).hex() == octets


@pytest.mark.parametrize("octets", ["1a002200", "1a0008012200", "1a002200780a"])
def test_the_last_of_several_requests_counts_and_unknown_fields_are_skipped(octets: str) -> None:
    assert decode_request(bytes.fromhex(octets)) == GetClients()


@pytest.mark.parametrize(
    "octets",
    [
        "12",
        "1205",
        "1001",
        "1a0208",
        "0000",
        "1f00",
        "1800",
        "12020801",
        "1204120208ff",
        "120412020801",
        "12041202120a",
    ],
)
def test_bytes_that_are_no_request_are_refused(octets: str) -> None:
    with pytest.raises(RequestError):
        decode_request(bytes.fromhex(octets))


def full_send(**changes: Any) -> dict[str, Any]:
    provider = {
        "id": "localhost:9997",
        "host": "localhost",
        "port": "9997",
        "pubKey": base64.b64encode(key(101)).decode(),
        "layer": "1000000",
    }
    recipient = {"id": ALICE.id, "pubKey": base64.b64encode(key(201)).decode(), "provider": provider}
    return {"send": {"message": "aGk=", "recipient": recipient} | changes}


def test_a_request_to_send_is_read_as_applications_write_it() -> None:
    assert decode_json(json.dumps(full_send())) == Send(b"hi", ALICE)


def test_the_original_names_and_a_number_for_the_layer_are_understood() -> None:
    standard = base64.b64encode(key(101)).decode()
    provider = {"Id": "localhost:9997", "Host": "localhost", "Port": "9997", "PubKey": standard, "Layer": 1_000_000}
    recipient = {"Id": ALICE.id, "PubKey": base64.b64encode(key(201)).decode(), "Provider": provider}
    assert decode_json(json.dumps({"send": {"message": "aGk=", "recipient": recipient}})) == Send(b"hi", ALICE)


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ('{"fetch": {}}', Fetch()),
        ('{"fetch": null}', Fetch()),
        ('{"clients": {}}', GetClients()),
        ('{"details": {}}', OwnDetails()),
        ('{"flush": {}}', Flush()),
        ("{}", Nothing()),
        ("null", Nothing()),
        ('{"send": null}', Send(None, None)),
        ('{"send": {"message": null, "recipient": null}}', Send(None, None)),
        ('{"send": {"message": ""}}', Send(b"", None)),
        (' \r\n\t{"fetch": {}} and what follows', Fetch()),
    ],
)
def test_a_request_in_json_means_what_it_meant_to_the_reference(text: str, request_: Request) -> None:
    assert decode_json(text) == request_


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '"fetch"',
        "7",
        "NaN",
        "{",
        '{"Fetch": {}}',
        '{"fetch": []}',
        '{"fetch": NaN}',
        '{"fetch": {"unknown": 1}}',
        '{"fetch": {}, "clients": {}}',
        '{"fetch": null, "send": null}',
        '{"send": {"message": 5}}',
        '{"send": {"message": "aGk"}}',
        '{"send": {"message": "__8="}}',
        '{"send": {"message": "a*Gk="}}',
        '{"send": {"message": ["aGk="]}}',
        '{"send": {"recipient": "me"}}',
        '{"send": {"recipient": {"pubkey": ""}}}',
        '{"send": {"recipient": {"pubKey": "_w=="}}}',
        '{"send": {"recipient": {"id": 5}}}',
        '{"send": {"recipient": {"id": "\\ud800"}}}',
        '{"send": {"recipient": {"provider": {"layer": -1}}}}',
        '{"send": {"recipient": {"provider": {"layer": "x"}}}}',
        '{"send": {"recipient": {"provider": {"layer": 18446744073709551616}}}}',
        "[" * 2000,
        '{"send":' * 300,
    ],
)
def test_a_text_that_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        decode_json(text)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Sent(), {"send": {}}),
        (Fetched((b"hello bob \xff\xfe",)), {"fetch": {"messages": ["aGVsbG8gYm9iIP/+"]}}),
        (Fetched(()), {"fetch": {"messages": []}}),
        (Clients(()), {"clients": {"clients": []}}),
        (INVALID_REQUEST, {"exception": {"error": "Invalid server request"}}),
        (
            Details(ALICE),
            {
                "details": {
                    "details": {
                        "id": ALICE.id,
                        "pubKey": base64.b64encode(key(201)).decode(),
                        "provider": full_send()["send"]["recipient"]["provider"],
                    }
                }
            },
        ),
    ],
)
def test_a_response_in_json_has_the_reference_s_form(response: Response, expected: object) -> None:
    assert json.loads(encode_json(response)) == expected


def test_a_client_from_the_topology_shows_its_unused_address_in_json() -> None:
    [shown] = json.loads(encode_json(Clients((BOB,))))["clients"]["clients"]
    assert (shown["host"], shown["port"]) == ("0.0.0.0", "42")


@pytest.mark.parametrize("text", ["{}", "null", '{"error": "x"}', "[]"])
def test_a_response_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        decode_json_response(text)
    with pytest.raises(RequestError):
        decode_response(b"")


@pytest.mark.parametrize("flushes", [True, False])
def test_requests_that_need_no_client_are_answered_at_once(flushes: bool) -> None:
    assert immediate_answer(Nothing(), flushes=flushes) == INVALID_REQUEST
    assert immediate_answer(Flush(), flushes=flushes) == (Flushed() if flushes else INVALID_REQUEST)
    for incomplete in (Send(None, ALICE), Send(b"x", None), Send(None, None)):
        assert immediate_answer(incomplete, flushes=flushes) == INCOMPLETE_SEND
    for served in (Send(b"", ALICE), Fetch(), GetClients(), OwnDetails()):
        assert immediate_answer(served, flushes=flushes) is None


@given(st.binary(max_size=200))
def test_random_bytes_are_a_request_or_refused(data: bytes) -> None:
    for read in (decode_request, decode_response):
        try:
            read(data)
        except RequestError:
            pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["send", "fetch", "message", "recipient", "id", "pubKey", "provider", "layer", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values | st.builds(lambda inner: {"send": inner}, json_values))
def test_any_json_is_a_request_or_refused(value: object) -> None:
    try:
        decode_json(json.dumps(value))
    except RequestError:
        pass


@given(st.text(max_size=100))
def test_any_text_is_a_request_or_refused(text: str) -> None:
    try:
        decode_json(text)
    except RequestError:
        pass


@given(st.data())
@settings(max_examples=200)
def test_a_mutated_request_is_a_request_or_refused(data: st.DataObject) -> None:
    octets = bytearray(encode_request(Send(b"message", ALICE)))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_request(bytes(octets))
    except RequestError:
        pass


def test_messages_do_not_show_in_logs() -> None:
    assert "secret" not in repr(Send(b"secret", ALICE)) + repr(Fetched((b"secret",)))
