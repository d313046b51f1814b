"""What a peer can do to an established link, how its bytes may be cut, and how much of them is kept."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.wire.commands import Consensus2, GetConsensus2, MessageDelivered, NoOp, SendPacket
from kpclientd.wire.errors import (
    CommandError,
    DecryptionError,
    HandshakeError,
    MessageSizeError,
    ProtocolVersionError,
    SessionStateError,
    WireError,
)
from kpclientd.wire.noise import CipherState
from kpclientd.wire.session import CommandReceived, NoiseEvent, NoiseSession
from kpclientd.wire.transport import HEADER_LENGTH, seal_frame
from sphinx.randomness import Randomness, seeded
from tests.wire.links import CLIENT_DATA, CODEC, FAST_KEM, NODE_ID, NOW, anybody, connected

HANDSHAKE_KEYS = (b"client", b"gateway")


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def altered(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def sending_key(session: NoiseSession) -> CipherState:
    assert session._sending is not None
    return session._sending


def deterministic_session(initiator: bool) -> NoiseSession:
    """The x25519 KEM draws from the given source only, so that such a session always says the same."""
    randomness = seeded(HANDSHAKE_KEYS[not initiator])
    make = NoiseSession.initiator if initiator else NoiseSession.responder
    data = CLIENT_DATA if initiator else NODE_ID
    return make(FAST_KEM, FAST_KEM.generate(randomness), data, CODEC, anybody, randomness)


def recorded_conversation() -> tuple[bytes, bytes]:
    """All the bytes of a client and all those of a gateway."""
    client, gateway = deterministic_session(True), deterministic_session(False)
    said_by_client = client.start()
    gateway.receive(said_by_client, NOW)
    said_by_gateway = answer = gateway.outgoing()
    client.receive(answer, NOW)
    introduction = client.outgoing()
    gateway.receive(introduction, NOW)
    last = gateway.outgoing()
    client.receive(last, NOW)
    for number in range(3):
        introduction += client.seal(MessageDelivered(number))
        last += gateway.seal(GetConsensus2(number))
    return said_by_client + introduction, said_by_gateway + last


SAID_BY_CLIENT, SAID_BY_GATEWAY = recorded_conversation()


def hear(
    initiator: bool, data: bytes, cuts: Sequence[int]
) -> tuple[list[NoiseEvent], bytes, type[WireError] | None, str]:
    """Feed a session bytes cut anywhere: its events, its answers, and how it failed."""
    session = deterministic_session(initiator)
    answers = session.start()
    events: list[NoiseEvent] = []
    for piece in pieces(data, cuts):
        try:
            events += session.receive(piece, NOW)
        except WireError as error:
            return events + list(error.events), answers, type(error), str(error)
        answers += session.outgoing()
    return events, answers, None, ""


@pytest.mark.parametrize("initiator", [True, False])
def test_a_conversation_byte_by_byte_is_the_conversation_at_once(initiator: bool) -> None:
    data = SAID_BY_GATEWAY if initiator else SAID_BY_CLIENT
    whole, single = hear(initiator, data, []), hear(initiator, data, range(len(data)))
    assert whole == single
    assert len(whole[0]) == 4
    assert whole[2] is None


@given(st.booleans(), st.lists(st.integers(0, 1 << 20), max_size=12))
def test_any_cutting_of_a_conversation_gives_the_same_events_and_answers(initiator: bool, cuts: list[int]) -> None:
    data = SAID_BY_GATEWAY if initiator else SAID_BY_CLIENT
    assert hear(initiator, data, cuts) == hear(initiator, data, [])


@given(
    st.booleans(),
    st.lists(st.integers(0, 1 << 20), max_size=6),
    st.integers(0, 1 << 20),
    st.integers(1, 255),
)
def test_a_changed_byte_anywhere_ends_in_an_error_of_the_link_however_it_is_cut(
    initiator: bool, cuts: list[int], position: int, change: int
) -> None:
    data = bytearray(SAID_BY_GATEWAY if initiator else SAID_BY_CLIENT)
    data[position % len(data)] ^= change
    whole, cut = hear(initiator, bytes(data), []), hear(initiator, bytes(data), cuts)
    # Only the answers may differ: a piece that ends between two messages lets the first be answered.
    assert (whole[0], whole[2], whole[3]) == (cut[0], cut[2], cut[3])
    assert whole[2] in (HandshakeError, ProtocolVersionError, DecryptionError, MessageSizeError)


@settings(max_examples=200)
@given(st.booleans(), st.binary(max_size=400), st.integers(0, 5_000), st.lists(st.integers(0, 1 << 20), max_size=4))
def test_any_bytes_after_any_part_of_a_conversation_raise_only_errors_of_the_link(
    initiator: bool, noise: bytes, kept: int, cuts: list[int]
) -> None:
    data = (SAID_BY_GATEWAY if initiator else SAID_BY_CLIENT)[:kept] + noise
    hear(initiator, data, cuts)  # anything but a WireError escapes from here


@pytest.mark.parametrize("position", [0, HEADER_LENGTH - 1, HEADER_LENGTH, -1])
def test_an_altered_frame_kills_the_session(position: int) -> None:
    pair = connected()
    with pytest.raises(DecryptionError):
        pair.client.receive(altered(pair.gateway.seal(NoOp()), position), NOW)
    assert not pair.client.established
    with pytest.raises(SessionStateError):
        pair.client.receive(pair.gateway.seal(NoOp()), NOW)


def test_a_repeated_swapped_or_dropped_frame_kills_the_session() -> None:
    for order in ((0, 0), (1, 0), (0, 2)):
        pair = connected()
        frames = [pair.gateway.seal(GetConsensus2(number)) for number in range(3)]
        with pytest.raises(DecryptionError):
            for index in order:
                pair.client.receive(frames[index], NOW)


@pytest.mark.parametrize("length", [0, 15, CODEC.body_limit + 1, 500_000_001, 0xFFFFFFFF])
def test_a_length_out_of_bounds_is_refused_before_its_body_comes(length: int) -> None:
    pair = connected()
    header = sending_key(pair.gateway).encrypt(b"", length.to_bytes(4, "big"))
    with pytest.raises(MessageSizeError, match=f"body of {length} bytes"):
        pair.client.receive(header, NOW)


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        bytes(5),
        b"\x00\x01" + bytes(4),
        bytes(6) + b"\x01",
        b"\x06" + bytes(5),
        b"\x00\x00\x00\x00\x00\x01\x00",
        b"\x20\x00\x00\x00\x00\x07" + bytes(7),
        b"\x1f\x00\x00\x00\x00\x08" + bytes(8),
    ],
    ids=["empty", "short", "reserved", "padding", "unknown", "body", "epoch of 7 bytes", "chunk of 8 bytes"],
)
def test_a_frame_without_a_command_kills_the_session(plaintext: bytes) -> None:
    pair = connected()
    frame = seal_frame(sending_key(pair.client), plaintext)
    with pytest.raises(CommandError):
        pair.gateway.receive(frame, NOW)
    assert not pair.gateway.established


def test_what_came_intact_before_a_fault_is_kept_with_the_fault() -> None:
    pair = connected()
    good = pair.gateway.seal(GetConsensus2(1)) + pair.gateway.seal(GetConsensus2(2))
    with pytest.raises(DecryptionError) as caught:
        pair.client.receive(good + altered(pair.gateway.seal(NoOp()), 30), NOW)
    assert caught.value.events == (CommandReceived(GetConsensus2(1)), CommandReceived(GetConsensus2(2)))


def test_padding_of_any_length_and_a_full_chunk_are_taken() -> None:
    pair = connected()
    for plaintext in (bytes(6), bytes(3088), CODEC.encode(Consensus2(0, 0, 2, bytes(3108)))):
        [received] = pair.client.receive(seal_frame(sending_key(pair.gateway), plaintext), NOW)
        assert received == CommandReceived(CODEC.decode(plaintext))


def test_a_session_never_keeps_more_than_one_incomplete_message_or_frame() -> None:
    pair = connected()
    stream = b"".join(pair.client.seal(SendPacket(bytes(3082))) for _ in range(50))
    received = 0
    for start in range(0, len(stream), 1_000):
        received += len(pair.gateway.receive(stream[start : start + 1_000], NOW))
        assert len(pair.gateway._received) < CODEC.body_limit
    assert received == 50
    stranger = deterministic_session(False)
    longest = max(len(SAID_BY_CLIENT), 400)
    with pytest.raises(HandshakeError):
        stranger.receive(b"\x03" + b"\x09" * longest, NOW)
    assert not stranger._received


def test_two_sessions_share_no_bytes_even_with_the_same_link_keys() -> None:
    fixed = FAST_KEM.generate(seeded(b"fixed"))

    def first_message(source: Randomness) -> bytes:
        return NoiseSession.initiator(FAST_KEM, fixed, CLIENT_DATA, CODEC, anybody, source).start()

    assert first_message(seeded(b"one"))[1:] != first_message(seeded(b"two"))[1:]
