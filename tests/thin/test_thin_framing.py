"""Frames: however they arrive, and whatever hostile bytes they hold."""

import tracemalloc
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.thin.bounds import LONG_STRING, BoundsCheck
from kpclientd.thin.errors import FrameError
from kpclientd.thin.framing import MAX_FRAME, FrameReader, decode_body, encode_frame

KEYS = st.text(max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=300),
    st.text(max_size=300),
)
MESSAGES = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
    ),
    max_size=6,
)


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def read(*pieces: bytes) -> list[dict[Any, Any]]:
    reader = FrameReader()
    return [message for piece in pieces for message in reader.feed(piece)]


@settings(max_examples=40)
@given(st.lists(MESSAGES, max_size=4), st.data())
def test_frames_arrive_whole_in_any_pieces(messages: list[dict[str, Any]], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*pieces) == messages
    assert read(*(bytes([octet]) for octet in stream)) == messages


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ({"thin_close": {}}, "0000000da16a7468696e5f636c6f7365a0"),
        (
            {"session_token_reply": {"app_id": bytes(range(16)), "resumed": False}},
            "00000037a17373657373696f6e5f746f6b656e5f7265706c79a2666170705f696450000102030405060708090a0b0c0d0e0f"
            "67726573756d6564f4",
        ),
        (
            {
                "message_sent_event": {
                    "message_id": None,
                    "surbid": bytes(range(16)),
                    "sent_at": 1780000000,
                    "reply_eta": 1500000000,
                }
            },
            "00000055a1726d6573736167655f73656e745f6576656e74a46a6d6573736167655f6964f66673757262696450000102030405"
            "060708090a0b0c0d0e0f6773656e745f61741a6a18a500697265706c795f6574611a59682f00",
        ),
    ],
)
def test_frames_are_the_bytes_of_the_protocol(message: dict[str, Any], frame: str) -> None:
    assert encode_frame(message).hex() == frame
    assert read(bytes.fromhex(frame)) == [message]


@pytest.mark.parametrize("length", [0, MAX_FRAME + 1, 2**31, 2**32 - 1])
def test_a_length_out_of_bounds_is_refused_before_anything_follows(length: int) -> None:
    with pytest.raises(FrameError, match=str(length)):
        read(length.to_bytes(4, "big"))


def test_the_longest_length_is_waited_for_and_takes_no_memory_before_its_bytes_come() -> None:
    tracemalloc.start()
    try:
        assert read(MAX_FRAME.to_bytes(4, "big"), b"\xa1") == []
        assert tracemalloc.get_traced_memory()[1] < MAX_FRAME // 100
    finally:
        tracemalloc.stop()


def test_a_reader_may_have_a_limit_of_its_own() -> None:
    with pytest.raises(FrameError, match="1 to 8"):
        list(FrameReader(max_length=8).feed(framed(bytes(9))))


def test_the_longest_message_is_written_and_a_longer_one_is_not() -> None:
    assert MAX_FRAME == 40 * 1024 * 1024
    overhead = 1 + len(cbor2.dumps("payload")) + 5
    assert len(encode_frame({"payload": bytes(MAX_FRAME - overhead)})) == 4 + MAX_FRAME
    with pytest.raises(FrameError, match="longer than a frame"):
        encode_frame({"payload": bytes(MAX_FRAME - overhead + 1)})


def test_a_message_longer_than_a_frame_is_not_written() -> None:
    with pytest.raises(FrameError, match="longer than a frame"):
        encode_frame({"payload": bytes(MAX_FRAME)})


def test_frames_before_a_bad_one_are_given_whatever_they_came_together_with() -> None:
    reader = FrameReader()
    given_before = []
    with pytest.raises(FrameError):
        for message in reader.feed(encode_frame({"first": 1}) + encode_frame({"second": 2}) + framed(b"\xf6")):
            given_before.append(message)
    assert given_before == [{"first": 1}, {"second": 2}]


@pytest.mark.parametrize(
    "body",
    {
        "null": b"\xf6",
        "undefined": b"\xf7",
        "integer": b"\x05",
        "text": b"\x6athin_close",
        "empty array": b"\x80",
        "array": b"\x82\x01\x02",
        "break": b"\xff",
        "trailing bytes": b"\xa0\xa0",
        "cut map": b"\xa1",
        "cut string": b"\xa1\x61k\x58\x10" + bytes(15),
        "cut length": b"\xa1\x61k\x59\x00",
        "cut indefinite map": b"\xbf\x61k\x01",
        "indefinite map with an odd number of items": b"\xbf\x61k\xff",
        "indefinite string of integers": b"\xa1\x61k\x5f\x01\xff",
        "huge string": b"\xa1\x61k\x5b" + b"\xff" * 8,
        "huge array": b"\xa1\x61k\x9b" + b"\xff" * 8,
        "huge map": b"\xbb" + b"\xff" * 8,
        "reserved length": b"\xa1\x61k\x1c",
        "text that is not UTF-8": b"\xa1\x61k\x62\xff\xfe",
        "tagged map": b"\xd9\xd9\xf7\xa0",
        "tagged value": b"\xa1\x61k\xc2\x41\x01",
        "shared reference to itself": b"\xd8\x1c\xa1\x61k\xd8\x1d\x00",
        "integer keys": b"\xa1\x01\x02",
        "array as key": b"\xa1\x80\x02",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_body_that_is_not_one_plain_map_is_refused(body: tuple[str, bytes]) -> None:
    with pytest.raises(FrameError):
        decode_body(body[1])


def test_maps_and_strings_of_indefinite_length_are_accepted() -> None:
    body = b"\xbf\x61a\x5f\x42\x01\x02\x41\x03\xff\x61b\x9f\x01\xff\x61c\x7f\x61x\xff\xff"
    assert decode_body(body) == {"a": b"\x01\x02\x03", "b": [1], "c": "x"}


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_arbitrary_bodies_are_maps_or_frame_errors(body: bytes) -> None:
    try:
        assert isinstance(decode_body(body), dict)
    except FrameError:
        pass


@given(MESSAGES, st.data())
def test_damaged_bodies_are_maps_or_frame_errors(message: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(cbor2.dumps(message))
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        body[place] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(decode_body(bytes(body)), dict)
    except FrameError:
        pass


@given(st.binary(max_size=400))
def test_arbitrary_streams_are_the_same_whole_and_byte_by_byte(stream: bytes) -> None:
    def outcome(pieces: list[bytes]) -> tuple[list[dict[Any, Any]], str | None]:
        reader, messages = FrameReader(max_length=64), []
        try:
            for piece in pieces:
                for message in reader.feed(piece):
                    messages.append(message)
        except FrameError as error:
            return messages, str(error)
        return messages, None

    assert repr(outcome([stream])) == repr(outcome([bytes([octet]) for octet in stream]))


@settings(max_examples=40)
@given(MESSAGES)
def test_whatever_can_be_written_is_within_the_bounds(message: dict[str, Any]) -> None:
    BoundsCheck(cbor2.dumps(message)).run()


# -- long byte strings


def long_string(length: int, fill: int = 7) -> bytes:
    return bytes([fill]) * length


@pytest.mark.parametrize(("length", "is_view"), [(LONG_STRING - 1, False), (LONG_STRING, True), (3_000_000, True)])
def test_a_long_byte_string_is_seen_where_it_is_and_a_short_one_copied(length: int, is_view: bool) -> None:
    body = bytearray(cbor2.dumps({"a": 1, "k": long_string(length), "z": [True]}))
    message = decode_body(body)
    assert message == {"a": 1, "k": long_string(length), "z": [True]}
    assert isinstance(message["k"], memoryview) == is_view
    if is_view:
        assert message["k"].obj is body
        body[body.index(7, 8) + 1] = 8
        assert message["k"][1] == 8, "it is the same memory"


def test_a_body_that_the_reader_gave_is_what_its_long_strings_are_in() -> None:
    reader = FrameReader()
    reader.add(encode_frame({"k": long_string(200_000)}) + b"more")
    body = reader.next_body()
    assert body is not None
    assert decode_body(body)["k"].obj is body
    assert reader.unfinished == 4


def test_many_long_strings_keep_their_places_among_short_ones() -> None:
    strings = [long_string(length, fill) for fill, length in enumerate((70_000, 3, 65_536, 0, 90_000, 65_535))]
    message = {"list": strings, "map": {"x": strings[0], "y": {"z": strings[2]}}, "last": strings[4]}
    assert decode_body(cbor2.dumps(message)) == message


def test_a_long_string_costs_no_second_copy() -> None:
    length = 8 * 1024 * 1024
    body = bytearray(cbor2.dumps({"k": bytes(length)}))
    tracemalloc.start()
    try:
        message = decode_body(body)
        assert tracemalloc.get_traced_memory()[1] < length // 16
    finally:
        tracemalloc.stop()
    assert len(message["k"]) == length


def test_a_long_frame_that_comes_piece_by_piece_is_never_held_twice() -> None:
    length = 8 * 1024 * 1024
    stream = encode_frame({"k": bytes(length)}) + encode_frame({"next": 1})
    reader = FrameReader()
    tracemalloc.start()
    try:
        for place in range(0, len(stream), 65_536):
            reader.add(stream[place : place + 65_536])
        body = reader.next_body()
        assert tracemalloc.get_traced_memory()[1] < 1.5 * length
    finally:
        tracemalloc.stop()
    assert body is not None
    assert len(body) > length
    assert list(reader.feed(b"")) == [{"next": 1}]


@pytest.mark.parametrize("lengths", [(50_000, 50_000), (50_000, 80_000), (80_000, 80_000)], ids=str)
def test_a_long_string_in_pieces_is_put_together_however_long_they_are(lengths: tuple[int, int]) -> None:
    pieces = [long_string(length, fill) for fill, length in enumerate(lengths)]
    body = b"\xa1\x61k\x5f" + b"".join(map(cbor2.dumps, pieces)) + b"\xff"
    assert decode_body(body)["k"] == b"".join(pieces)


def test_behind_a_string_in_pieces_a_long_one_is_a_view_again() -> None:
    inner = b"\x5f" + cbor2.dumps(long_string(70_000, 1)) + b"\xff"
    body = b"\xa3\x61a" + inner + b"\x61b\x82" + inner + cbor2.dumps(long_string(66_000, 2))
    body += b"\x61c" + cbor2.dumps(long_string(90_000, 3))
    message = decode_body(body)
    assert (message["a"], message["b"][0]) == (long_string(70_000, 1), long_string(70_000, 1))
    assert isinstance(message["a"], bytes)
    assert [type(one) for one in (message["b"][1], message["c"])] == [memoryview, memoryview]
    assert (message["b"][1], message["c"]) == (long_string(66_000, 2), long_string(90_000, 3))


def test_a_long_text_is_text() -> None:
    assert decode_body(cbor2.dumps({"k": "x" * 100_000}))["k"] == "x" * 100_000


def test_a_long_byte_string_is_no_key() -> None:
    with pytest.raises(FrameError):
        decode_body(cbor2.dumps({"a": {long_string(70_000): 1}, "b": long_string(70_000)}))


def test_a_tag_that_claims_a_long_string_of_somebody_elses_is_refused() -> None:
    body = cbor2.dumps({"k": long_string(70_000), "stolen": cbor2.CBORTag(0x4B70, 0)})
    with pytest.raises(FrameError, match="tag"):
        decode_body(body)


# -- what a reader has


def test_a_reader_tells_what_it_holds_of_an_unfinished_frame() -> None:
    reader = FrameReader()
    assert (reader.unfinished, reader.has_begun) == (0, False)
    frame = encode_frame({"k": b"12345678"})
    reader.add(frame[:3])
    assert (reader.next_body(), reader.unfinished, reader.has_begun) == (None, 3, True)
    reader.add(frame[3:4])
    assert (reader.next_body(), reader.unfinished, reader.has_begun) == (None, 0, True), "its length has come"
    reader.add(frame[4:])
    assert (reader.unfinished, reader.has_begun) == (len(frame) - 4, True)
    assert bytes(reader.next_body() or b"") == frame[4:]
    assert (reader.next_body(), reader.unfinished, reader.has_begun) == (None, 0, False)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 300), max_size=6), st.lists(st.integers(0, 1500), max_size=10))
def test_bodies_are_cut_alike_however_the_stream_comes(lengths: list[int], cuts: list[int]) -> None:
    bodies = [bytes([number]) * length for number, length in enumerate(lengths)]
    stream = b"".join(framed(body) for body in bodies)
    cuts = sorted(min(cut, len(stream)) for cut in cuts)
    reader, cut_out, given_bytes = FrameReader(), [], 0
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.add(stream[begin:end])
        while (body := reader.next_body()) is not None:
            cut_out.append(bytes(body))
            given_bytes += 4 + len(body)
        assert reader.has_begun == (end > given_bytes)
    assert cut_out == bodies
    assert (reader.unfinished, reader.has_begun) == (0, False)


@settings(max_examples=150)
@given(
    st.lists(st.integers(1, 40), max_size=8),
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 3)), min_size=1, max_size=20),
)
def test_whether_the_last_frame_that_came_is_whole_is_known_whatever_was_taken(
    lengths: list[int], steps: list[tuple[int, int]]
) -> None:
    """The stream comes in pieces; behind each, some frames are taken."""
    stream = b"".join(framed(bytes(length)) for length in lengths)
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + 4 + length)
    reader, come, taken = FrameReader(), 0, 0
    for size, bodies in steps:
        reader.add(stream[come : come + size])
        come = min(come + size, len(stream))
        assert reader.ends_inside_frame() == (come not in ends)
        for _ in range(bodies):
            body = reader.next_body()
            assert (body is not None) == (taken < len(lengths) and ends[taken + 1] <= come)
            taken += body is not None
            assert reader.ends_inside_frame() == (come not in ends)
        assert reader.has_begun == (come > ends[taken])
