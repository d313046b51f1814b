"""The Pigeonhole sizes that applications are told follow from the Sphinx geometry."""

import pytest

from kpclientd.pigeonhole.geometry import PigeonholeGeometry, PigeonholeGeometryError
from sphinx.geometry import Geometry


def derived(user_payload: int) -> PigeonholeGeometry:
    return PigeonholeGeometry.derive(Geometry.nike("x25519", 5, user_payload))


@pytest.mark.parametrize(
    ("user_payload", "plaintext", "reply"), [(2000, 1549, 1718), (8000, 7549, 7718), (32000, 31549, 31718)]
)
def test_the_references_figures(user_payload: int, plaintext: int, reply: int) -> None:
    assert derived(user_payload).fields() == {
        "MaxPlaintextPayloadLength": plaintext,
        "CourierQueryReadLength": user_payload,
        "CourierQueryWriteLength": user_payload,
        "CourierQueryReplyReadLength": reply,
        "CourierQueryReplyWriteLength": reply,
        "NIKEName": "CTIDH1024-X25519",
        "SignatureSchemeName": "Ed25519",
    }


def test_a_packet_must_have_room_for_a_byte() -> None:
    assert derived(452).max_plaintext_payload_length == 1
    with pytest.raises(PigeonholeGeometryError, match="is 451, expected at least 452"):
        derived(451)
