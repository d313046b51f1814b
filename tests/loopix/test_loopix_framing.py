import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.loopix.errors import FrameError
from kpclientd.loopix.framing import MAX_BODY, FrameReader, encode_frame
from kpclientd.loopix.profile import DEFAULT, PROFILES, Profile

LATE = PROFILES["0.4"]
PADDED_LENGTH_OF_TWO = bytes.fromhex("84808080808080808000")

both = pytest.mark.parametrize("profile", [DEFAULT, LATE], ids=["varint", "be64"])


@pytest.mark.parametrize(
    ("length", "prefix"),
    [(0, "00"), (2, "04"), (63, "7e"), (64, "8001"), (159, "be02"), (8191, "fe7f"), (MAX_BODY, "80808001")],
)
def test_a_length_is_written_as_go_writes_it(length: int, prefix: str) -> None:
    assert encode_frame(DEFAULT, bytes(length)) == bytes.fromhex(prefix) + bytes(length)


def test_the_later_generations_write_eight_bytes() -> None:
    assert encode_frame(LATE, b"abc") == bytes.fromhex("0000000000000003") + b"abc"


@both
@given(bodies=st.lists(st.binary(max_size=300), max_size=5), cuts=st.lists(st.integers(1, 40)))
def test_frames_come_out_whole_however_they_arrive(profile: Profile, bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(encode_frame(profile, body) for body in bodies)
    reader = FrameReader(profile)
    received: list[bytes] = []
    for cut in cuts:
        received += reader.feed(stream[:cut])
        stream = stream[cut:]
    received += reader.feed(stream)
    assert received == bodies
    assert not reader.midway


@both
def test_a_frame_of_the_greatest_length_passes_and_a_longer_one_does_not(profile: Profile) -> None:
    assert FrameReader(profile).feed(encode_frame(profile, bytes(MAX_BODY))) == [bytes(MAX_BODY)]
    with pytest.raises(FrameError, match=str(MAX_BODY)):
        encode_frame(profile, bytes(MAX_BODY + 1))


def test_a_length_padded_to_ten_bytes_is_read() -> None:
    assert FrameReader(DEFAULT).feed(PADDED_LENGTH_OF_TWO + b"ab") == [b"ab"]


@pytest.mark.parametrize(
    "prefix",
    ["01", "82808001", "fffffffffffffffff" + "f01", "ffffffffffffffffff02", "ff" * 10, "80" * 9 + "02", "80" * 11],
    ids=["minus one", "one over the limit", "least number", "65 bits", "no end", "65 bits of zero", "eleven bytes"],
)
def test_a_length_that_cannot_be_is_refused_at_once(prefix: str) -> None:
    with pytest.raises(FrameError):
        FrameReader(DEFAULT).feed(bytes.fromhex(prefix))


@pytest.mark.parametrize("length", [MAX_BODY + 1, 2**63, 2**64 - 1])
def test_a_length_of_eight_bytes_over_the_limit_is_refused_at_once(length: int) -> None:
    with pytest.raises(FrameError):
        FrameReader(LATE).feed(length.to_bytes(8, "big"))


def test_an_unfinished_length_waits_for_its_end() -> None:
    reader = FrameReader(DEFAULT)
    assert reader.feed(b"\x80") == []
    assert reader.midway
    assert reader.feed(b"\x01" + bytes(64)) == [bytes(64)]


def test_what_was_complete_before_a_fault_is_handed_over_with_it_and_the_reader_stays_dead() -> None:
    reader = FrameReader(DEFAULT)
    with pytest.raises(FrameError) as caught:
        reader.feed(encode_frame(DEFAULT, b"one") + encode_frame(DEFAULT, b"two") + b"\x01")
    assert caught.value.bodies == (b"one", b"two")
    with pytest.raises(FrameError) as again:
        reader.feed(encode_frame(DEFAULT, b"three"))
    assert again.value.bodies == ()


@both
@given(data=st.binary(max_size=200))
def test_random_bytes_are_frames_or_refused_and_alike_byte_by_byte(profile: Profile, data: bytes) -> None:
    def read(pieces: list[bytes]) -> tuple[list[bytes], bool]:
        reader = FrameReader(profile)
        bodies: list[bytes] = []
        for piece in pieces:
            try:
                bodies += reader.feed(piece)
            except FrameError as error:
                return bodies + list(error.bodies), True
        return bodies, False

    assert read([data]) == read([bytes([octet]) for octet in data])
