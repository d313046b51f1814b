import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx.errors import PayloadLengthError, PlaintextError, SurbError
from sphinx.geometry import Geometry
from sphinx.plaintext import compose_plaintext, parse_plaintext

GEOMETRY = Geometry.nike("x25519", 5, 100)
SURB = bytes(range(256)) * 2 + bytes(range(60))


@given(st.binary(max_size=100), st.booleans())
def test_any_request_survives_a_round_trip(message: bytes, with_surb: bool) -> None:
    surb = SURB if with_surb else None
    plaintext = compose_plaintext(GEOMETRY, message, surb)
    assert len(plaintext) == GEOMETRY.forward_payload_length
    request = parse_plaintext(GEOMETRY, plaintext)
    assert request.surb == surb
    assert request.payload == message.ljust(100, b"\0")


def test_without_a_surb_its_room_stays() -> None:
    plaintext = compose_plaintext(GEOMETRY, b"message", None)
    assert plaintext == bytes(2 + GEOMETRY.surb_length) + b"message" + bytes(93)


def test_with_a_surb_it_stands_behind_the_flags() -> None:
    assert compose_plaintext(GEOMETRY, b"", SURB) == b"\x01\x00" + SURB + bytes(100)


def test_a_message_that_is_too_long_is_refused() -> None:
    with pytest.raises(PayloadLengthError, match="101 bytes, expected at most 100"):
        compose_plaintext(GEOMETRY, bytes(101), None)


@pytest.mark.parametrize("surb", [b"", SURB[1:], SURB + b"\0"], ids=["empty", "short", "long"])
def test_a_surb_of_another_length_is_refused(surb: bytes) -> None:
    with pytest.raises(SurbError, match="expected 572"):
        compose_plaintext(GEOMETRY, b"", surb)


GOOD = compose_plaintext(GEOMETRY, b"message", SURB)


@pytest.mark.parametrize(
    ("plaintext", "fault"),
    [
        (GOOD[:-1], "673 bytes, expected 674"),
        (GOOD + b"\0", "675 bytes, expected 674"),
        (b"", "0 bytes"),
        (b"\x02" + GOOD[1:], "flags are 0x02"),
        (b"\x01\x6f" + GOOD[2:], "reserved byte is 0x6f"),
    ],
    ids=["short", "long", "empty", "flags", "reserved"],
)
def test_a_malformed_request_is_refused(plaintext: bytes, fault: str) -> None:
    with pytest.raises(PlaintextError, match=fault):
        parse_plaintext(GEOMETRY, plaintext)


def test_a_geometry_without_room_for_surbs_has_no_requests() -> None:
    bare = Geometry.nike("x25519", 5, 100, with_surb=False)
    with pytest.raises(PlaintextError, match="no room"):
        parse_plaintext(bare, bytes(100))


def test_a_request_shows_neither_surb_nor_payload() -> None:
    assert repr(parse_plaintext(GEOMETRY, GOOD)) == "Request()"
