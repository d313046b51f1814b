"""Events and replies: their shapes are those that the genuine daemon writes."""

from typing import Any

import cbor2
import pytest

from arq import RouteNames
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.thin import events
from kpclientd.thin.announcements import document_frame, pushed_document
from kpclientd.thin.framing import FrameReader
from sphinx.geometry import Geometry
from tests.support.vectors import recorded

RECORDED = recorded("thin_transcripts.json")["events"]
ID, SURB = bytes(16), b"s" * 16
GEOMETRY = Geometry.nike("x25519", 5, 2000)
PIGEONHOLE_FIELDS: dict[str, int | str] = {
    "MaxPlaintextPayloadLength": 1549,
    "CourierQueryReadLength": 2000,
    "CourierQueryWriteLength": 2000,
    "CourierQueryReplyReadLength": 1718,
    "CourierQueryReplyWriteLength": 1718,
    "NIKEName": "CTIDH1024-X25519",
    "SignatureSchemeName": "Ed25519",
}


def genuine(name: str) -> dict[str, Any]:
    """What the genuine daemon wrote, without the null keys of its union."""
    (message,) = FrameReader().feed(bytes.fromhex(RECORDED[name]))
    return {verb: body for verb, body in message.items() if body is not None}


def shape(value: object) -> object:
    """A value's keys and types."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


def status(*, connected: bool = True) -> events.Event:
    return events.connection_status(
        connected=connected,
        instance_token=ID,
        sphinx_geometry=GEOMETRY.fields(),
        pigeonhole_geometry=PIGEONHOLE_FIELDS,
    )


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("connection_status_event", status()),
        ("new_pki_document_event", events.new_pki_document(b"document")),
        ("new_pki_document_event without document", events.new_pki_document(None)),
        ("session_token_reply", events.session_token_reply(ID, resumed=False)),
        ("message_sent_event", events.message_sent(None, SURB, sent_at=1.8e9, reply_eta=1.5)),
        ("message_sent_event with err", events.message_not_sent(None, SURB, "why", now=1.8e9)),
        ("message_reply_event", events.message_reply(None, SURB, b"answer")),
        ("get_pki_document_reply", events.pki_document_reply(ID, b"certificate", 1, events.SUCCESS)),
    ],
)
def test_events_have_the_keys_and_types_of_the_genuine_daemon(name: str, event: events.Event) -> None:
    assert shape(event) == shape(genuine(name))


def test_the_geometries_of_the_status_are_the_genuine_ones() -> None:
    ours, theirs = status()["connection_status_event"], genuine("connection_status_event")["connection_status_event"]
    assert ours["sphinx_geometry"] == theirs["sphinx_geometry"]
    assert ours["pigeonhole_geometry"] == theirs["pigeonhole_geometry"]
    assert PigeonholeGeometry.derive(GEOMETRY).fields() == theirs["pigeonhole_geometry"]


def test_a_document_that_is_not_there_is_empty_rather_than_null_which_rust_clients_cannot_read() -> None:
    theirs = genuine("get_pki_document_reply of failure")["get_pki_document_reply"]
    ours = events.pki_document_reply(theirs["query_id"], b"", 1, events.SERVICE_UNAVAILABLE)["get_pki_document_reply"]
    assert theirs | {"payload": b""} == ours


def test_authorities_have_the_fields_of_the_genuine_daemon() -> None:
    theirs = genuine("get_directory_authorities_reply")["get_directory_authorities_reply"]
    ours = events.directory_authorities_reply(ID, theirs["authorities"], events.SUCCESS)
    assert shape(ours["get_directory_authorities_reply"]) == shape(theirs)


def test_the_shutdown_event_has_todays_name_and_the_old_misspelt_one() -> None:
    assert genuine("shutdown_event") == {"shutdown_event": {}}
    assert events.shutdown() == {"shutdown_event": {}, "shudown_event": {}}


def test_times_are_whole_seconds_and_estimates_nanoseconds() -> None:
    sent = events.message_sent(ID, SURB, sent_at=1780000000.9, reply_eta=1.5)["message_sent_event"]
    assert (sent["sent_at"], sent["reply_eta"]) == (1780000000, 1_500_000_000)


def test_a_sent_event_names_the_nodes_on_its_way_as_far_as_they_are_known() -> None:
    def routes(route: RouteNames) -> events.Event:
        body = events.message_sent(ID, SURB, sent_at=0.0, reply_eta=0.0, route=route)["message_sent_event"]
        return {key: value for key, value in body.items() if "route" in key}

    there, back = ("gateway1", "mix1", "service1"), ("mix2", "gateway1")
    assert routes(RouteNames(there, back)) == {"forward_route": list(there), "return_route": list(back)}
    assert routes(RouteNames(there)) == {"forward_route": list(there)}, "there is no way back without a SURB"
    assert routes(RouteNames()) == {}


def test_a_refusal_is_named_as_the_reply_that_its_client_waits_for() -> None:
    refusal = events.refusal("create_write_channel", ID, events.INVALID_CHANNEL)
    assert refusal == {"create_write_channel_reply": {"query_id": ID, "error_code": 6}}


def test_a_garbage_collection_names_its_message() -> None:
    assert events.message_id_garbage_collected(ID) == {"message_id_garbage_collected": {"message_id": ID}}


# -- the pushed document


def test_the_pushed_document_is_the_genuine_daemons_but_for_the_key_of_old_clients() -> None:
    certificate = cbor2.loads(genuine("get_pki_document_reply")["get_pki_document_reply"]["payload"])
    theirs = genuine("new_pki_document_event")["new_pki_document_event"]["payload"]
    ours = cbor2.loads(pushed_document(certificate["Certified"]))
    services = [cbor2.loads(node) for node in ours["ServiceNodes"]]
    assert all(node.pop("omitempty") == node["Kaetzchen"] for node in services)
    assert services
    ours["ServiceNodes"] = [cbor2.dumps(node, canonical=True) for node in services]
    assert cbor2.dumps(ours, canonical=True) == theirs


def test_the_event_that_pushes_a_document_is_made_as_a_frame() -> None:
    certified = cbor2.dumps({"Epoch": 1})
    (message,) = FrameReader().feed(document_frame(certified))
    assert message == events.new_pki_document(pushed_document(certified))


def test_a_document_is_pushed_in_the_one_canonical_form() -> None:
    node = cbor2.dumps({"Name": "n", "Kaetzchen": {"echo": {"endpoint": "+echo", "b": 1}}, "A": 1})
    pushed = pushed_document(cbor2.dumps({"Version": 1, "ServiceNodes": [node], "Epoch": 2}))
    document = cbor2.loads(pushed)
    assert pushed == cbor2.dumps(document, canonical=True)
    (inner,) = document["ServiceNodes"]
    assert inner == cbor2.dumps(cbor2.loads(inner), canonical=True)
    assert inner != cbor2.dumps(cbor2.loads(node) | {"omitempty": cbor2.loads(node)["Kaetzchen"]})


def test_a_document_without_services_can_be_pushed() -> None:
    assert cbor2.loads(pushed_document(cbor2.dumps({"Epoch": 1}))) == {"Epoch": 1, "ServiceNodes": []}
    node = cbor2.dumps({"Name": "n"})
    pushed = cbor2.loads(pushed_document(cbor2.dumps({"ServiceNodes": [node]})))
    assert cbor2.loads(pushed["ServiceNodes"][0]) == {"Name": "n", "omitempty": None}
