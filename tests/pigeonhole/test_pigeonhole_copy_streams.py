"""Copy streams: the daemon's elements, the same for one request and for many, and what a courier refuses."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.pigeonhole.copy_streams import LONGEST_PAYLOAD, StreamDecoder, StreamEncoder, pieces
from kpclientd.pigeonhole.courier_messages import FLAG_FINAL, FLAG_START, CopyStreamElement, CourierEnvelope
from kpclientd.pigeonhole.errors import InvalidArgument, MessageError, PigeonholeError
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from sphinx.geometry import Geometry
from tests.pigeonhole.genuine import ELEMENTS, EMBEDDED, GENUINE


def geometry_for(room: int) -> PigeonholeGeometry:
    return PigeonholeGeometry.derive(Geometry.nike("x25519", 5, room))


GEOMETRY = geometry_for(2000)
SMALL = geometry_for(500)
"""Of 49 bytes for a plaintext, so 44 for a chunk."""


def decoded(elements: Iterable[bytes], geometry: PigeonholeGeometry = GEOMETRY) -> list[CourierEnvelope]:
    decoder = StreamDecoder(geometry)
    return [envelope for element in elements for envelope in decoder.feed(element)]


def encoded(envelopes: Iterable[CourierEnvelope], geometry: PigeonholeGeometry = GEOMETRY) -> list[bytes]:
    encoder = StreamEncoder(geometry)
    elements = [element for envelope in envelopes for element in encoder.add(envelope)]
    return elements + encoder.flush(is_final=True)


def envelope(size: int, fill: int = 0) -> CourierEnvelope:
    """One of 137 + `size` bytes."""
    return CourierEnvelope(b"\0\1", (bytes([fill]) * 60, bytes(60)), 480, b"", bytes([fill]) * size)


def test_the_daemons_elements_hold_whole_envelopes_and_are_made_again_of_them() -> None:
    elements = [bytes.fromhex(element) for element in ELEMENTS]
    envelopes = decoded(elements)
    assert [len(found.encode()) for found in envelopes] == [1999, 1999]
    assert encoded(envelopes) == elements
    flags = [CopyStreamElement.parse(element).flags for element in elements]
    assert flags == [FLAG_START, 0, FLAG_FINAL]


def test_the_elements_that_the_genuine_courier_took() -> None:
    elements = [bytes.fromhex(element) for element in GENUINE["copy"]["success"]["elements"]]
    assert [found.encode().hex() for found in decoded(elements)] == EMBEDDED
    assert encoded(decoded(elements)) == elements


@pytest.mark.parametrize("key", ["success", "conflict"])
def test_a_courier_knows_the_end(key: str) -> None:
    decoder = StreamDecoder(GEOMETRY)
    ends = []
    for element in GENUINE["copy"][key]["elements"]:
        decoder.feed(bytes.fromhex(element))
        ends.append(decoder.is_final)
    assert ends == [False] * (len(ends) - 1) + [True]
    assert decoder.feed(bytes.fromhex(ELEMENTS[0])) == []


def test_an_element_that_comes_in_parts_is_waited_for() -> None:
    stream = b"".join(map(bytes.fromhex, ELEMENTS))
    decoder = StreamDecoder(GEOMETRY)
    found = [envelope for at in range(0, len(stream), 100) for envelope in decoder.feed(stream[at : at + 100])]
    assert found == decoded(map(bytes.fromhex, ELEMENTS))


def test_the_references_counts_of_elements() -> None:
    payload = bytes.fromhex(GENUINE["daemon_copy_stream"]["payload"])
    assert len(list(pieces(payload, GEOMETRY))) == 2
    assert [len(piece) for piece in pieces(bytes(3091), GEOMETRY)] == [1545, 1545, 1]
    assert list(pieces(b"", GEOMETRY)) == []


def test_too_long_a_payload_or_too_small_a_box_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="at most 10485760"):
        pieces(bytes(LONGEST_PAYLOAD + 1), GEOMETRY)
    with pytest.raises(InvalidArgument, match="too small"):
        pieces(b"x", geometry_for(455))
    with pytest.raises(InvalidArgument, match="too small"):
        StreamEncoder(geometry_for(456))


@settings(max_examples=50)
@given(st.lists(st.integers(0, 300), max_size=8), st.sampled_from([500, 600, 2000]))
def test_what_is_encoded_is_decoded(sizes: list[int], room: int) -> None:
    geometry = geometry_for(room)
    envelopes = [envelope(min(size, room - 137), number) for number, size in enumerate(sizes)]
    elements = encoded(envelopes, geometry)
    assert decoded(elements, geometry) == envelopes
    assert all(len(element) <= geometry.max_plaintext_payload_length for element in elements)
    flags = [CopyStreamElement.parse(element).flags for element in elements]
    if elements:
        assert flags[0] & FLAG_START and flags[-1] & FLAG_FINAL
        assert not any(flag & FLAG_START for flag in flags[1:])
        assert not any(flag & FLAG_FINAL for flag in flags[:-1])
    else:
        assert not envelopes


@settings(max_examples=50)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=8), st.data())
def test_requests_that_hand_the_buffer_on_give_the_elements_of_one(sizes: list[int], data: st.DataObject) -> None:
    envelopes = [envelope(size, number) for number, size in enumerate(sizes)]
    elements: list[bytes] = []
    buffer = b""
    for added in envelopes:
        encoder = StreamEncoder(SMALL, buffer, is_start=not elements)
        elements += encoder.add(added)
        buffer = encoder.buffer
        assert 0 < len(buffer) <= SMALL.max_plaintext_payload_length - 5
        if data.draw(st.booleans()):
            assert StreamEncoder(SMALL, buffer, is_start=False).buffer == buffer
    elements += StreamEncoder(SMALL, buffer, is_start=not elements).flush(is_final=True)
    assert elements == encoded(envelopes, SMALL)


def test_a_stream_that_goes_on_has_no_final_flag_and_nothing_gives_nothing() -> None:
    encoder = StreamEncoder(GEOMETRY)
    assert encoder.flush(is_final=True) == []
    assert encoder.add(envelope(0)) == []
    (element,) = encoder.flush(is_final=False)
    assert CopyStreamElement.parse(element).flags == FLAG_START
    assert encoder.buffer == b""


def test_a_single_element_is_first_and_last() -> None:
    (element,) = encoded([envelope(0)])
    assert CopyStreamElement.parse(element).flags == FLAG_START | FLAG_FINAL


def test_a_chunk_that_is_just_full_stays_until_it_is_known_whether_it_is_the_last() -> None:
    encoder = StreamEncoder(SMALL, bytes(SMALL.max_plaintext_payload_length - 5))
    (element,) = encoder.flush(is_final=True)
    assert len(element) == SMALL.max_plaintext_payload_length


@pytest.mark.parametrize(
    ("element", "fault"),
    [
        (CopyStreamElement(0, bytes(1545)), "1550 bytes; a box takes 1549"),
        (CopyStreamElement(0, (2001).to_bytes(4, "big")), "2001 bytes; at most 2000"),
        (CopyStreamElement(0, (1).to_bytes(4, "big") + b"x"), "1 bytes; at least 2 are needed"),
        (CopyStreamElement(0, (138).to_bytes(4, "big") + envelope(0).encode() + b"x"), "1 bytes follow"),
    ],
)
def test_a_courier_refuses_what_no_encoder_writes(element: CopyStreamElement, fault: str) -> None:
    with pytest.raises(MessageError, match=fault):
        StreamDecoder(GEOMETRY).feed(element.encode())


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_any_boxes_are_envelopes_or_an_error(boxes: list[bytes]) -> None:
    decoder = StreamDecoder(SMALL)
    try:
        for box in boxes:
            decoder.feed(box)
    except PigeonholeError as error:
        assert error.code == 4
