"""Packets of any kind: they arrive, they look alike, and no bit of them may change."""

from functools import lru_cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sphinx import (
    Geometry,
    NodeDelay,
    NodeId,
    PathHop,
    Recipient,
    RecipientId,
    RoutingCommand,
    Sphinx,
    SurbId,
    SurbReply,
)
from sphinx.errors import PacketError, PayloadTagError, SurbError
from sphinx.randomness import seeded
from tests.sphinx.builders import flipped

HOPS = 5
PAYLOAD = 100
GEOMETRY = Geometry.nike("x25519", HOPS, PAYLOAD)
SPHINX = Sphinx(GEOMETRY)
PRIVATE_KEYS = [bytes([number + 1]) * 32 for number in range(HOPS)]
ECHO = Recipient(RecipientId(b"echo".ljust(32, b"\0")))
QUEUE = Recipient(RecipientId(b"0123456789abcdef" * 2))
SURB_ID = SurbId(bytes(range(16)))
BITS = st.integers(0, 8 * GEOMETRY.packet_length - 1)

relaxed = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def path(hops: int, last: tuple[RoutingCommand, ...]) -> list[PathHop]:
    return [
        PathHop(
            NodeId(bytes([number]) * 32),
            SPHINX.nike.public_key(PRIVATE_KEYS[number]),
            last if number == hops - 1 else (NodeDelay(number),),
        )
        for number in range(hops)
    ]


def arrive(packet: bytes, hops: int) -> bytes:
    """Carry a packet over its path and return the payload."""
    for number in range(hops):
        unwrapped = SPHINX.unwrap(PRIVATE_KEYS[number], packet)
        if unwrapped.packet is None:
            assert number == hops - 1
            assert unwrapped.payload is not None
            return unwrapped.payload
        packet = unwrapped.packet
    raise AssertionError("the packet goes on behind its last hop")


@lru_cache
def sample(hops: int = HOPS) -> bytes:
    return SPHINX.new_packet(path(hops, (ECHO,)), bytes(GEOMETRY.forward_payload_length), seeded(b"sample"))


@relaxed
@given(st.integers(1, HOPS), st.binary(max_size=50), st.binary(min_size=8, max_size=8))
def test_any_payload_arrives_over_any_path(hops: int, start: bytes, seed: bytes) -> None:
    payload = start.ljust(GEOMETRY.forward_payload_length, b"\xff")
    packet = SPHINX.new_packet(path(hops, (NodeDelay(9), ECHO)), payload, seeded(seed))
    assert len(packet) == GEOMETRY.packet_length
    assert arrive(packet, hops) == payload


@relaxed
@given(st.integers(1, HOPS), st.binary(max_size=PAYLOAD), st.binary(min_size=8, max_size=8))
def test_any_answer_comes_back_through_a_surb(hops: int, answer: bytes, seed: bytes) -> None:
    surb = SPHINX.new_surb(path(hops, (QUEUE, SurbReply(SURB_ID))), seeded(seed))
    packet, first_hop = SPHINX.packet_from_surb(surb.surb, answer)
    assert len(packet) == GEOMETRY.packet_length
    assert first_hop == NodeId(bytes(32))
    delivered = arrive(packet, hops)
    assert delivered[:32] != bytes(32)
    assert SPHINX.open_reply(surb.keys, delivered) == answer.ljust(GEOMETRY.forward_payload_length, b"\0")


@relaxed
@given(BITS)
def test_a_bit_flipped_on_the_way_never_arrives(bit: int) -> None:
    with pytest.raises(PacketError):
        arrive(flipped(sample(), bit), HOPS)


@relaxed
@given(st.integers(0, 8 * GEOMETRY.header_length - 1))
def test_a_bit_flipped_in_the_header_is_noticed_at_once(bit: int) -> None:
    with pytest.raises(PacketError):
        SPHINX.unwrap(PRIVATE_KEYS[0], flipped(sample(), bit))


@relaxed
@given(st.integers(8 * GEOMETRY.header_length, 8 * GEOMETRY.packet_length - 1))
def test_a_bit_flipped_in_the_payload_is_noticed_by_the_last_hop_only(bit: int) -> None:
    packet = flipped(sample(), bit)
    for private_key in PRIVATE_KEYS[:-1]:
        packet = SPHINX.unwrap(private_key, packet).packet or b""
    with pytest.raises(PayloadTagError):
        SPHINX.unwrap(PRIVATE_KEYS[-1], packet)


@relaxed
@given(st.binary(max_size=GEOMETRY.packet_length + 40))
def test_random_bytes_are_refused(packet: bytes) -> None:
    with pytest.raises(PacketError):
        SPHINX.unwrap(PRIVATE_KEYS[0], packet)


@pytest.mark.parametrize("length", range(0, GEOMETRY.packet_length, 97))
def test_a_truncated_packet_is_refused(length: int) -> None:
    with pytest.raises(PacketError):
        arrive(sample(1)[:length], 1)


def test_the_key_of_another_node_does_not_open_a_packet() -> None:
    with pytest.raises(PacketError, match="MAC") as caught:
        SPHINX.unwrap(PRIVATE_KEYS[1], sample())
    right = SPHINX.unwrap(PRIVATE_KEYS[0], sample())
    assert caught.value.replay_tag == right.replay_tag


def test_a_reply_opens_with_its_own_keys_only() -> None:
    last = (QUEUE, SurbReply(SURB_ID))
    mine, other = (SPHINX.new_surb(path(HOPS - 1, last), seeded(seed)) for seed in (b"mine", b"other"))
    packet, _ = SPHINX.packet_from_surb(mine.surb, b"answer")
    delivered = arrive(packet, HOPS - 1)
    with pytest.raises(PayloadTagError):
        SPHINX.open_reply(other.keys, delivered)
    with pytest.raises(PayloadTagError):
        SPHINX.open_reply(mine.keys, flipped(delivered, 8 * 40))
    with pytest.raises(SurbError):
        SPHINX.open_reply(mine.keys[:-1], delivered)


def test_replay_tags_differ_from_hop_to_hop_and_repeat_for_a_replay() -> None:
    tags, packet = [], sample()
    for private_key in PRIVATE_KEYS:
        unwrapped = SPHINX.unwrap(private_key, packet)
        assert SPHINX.unwrap(private_key, packet).replay_tag == unwrapped.replay_tag
        tags.append(unwrapped.replay_tag)
        packet = unwrapped.packet or b""
    assert len(set(tags)) == HOPS


def test_a_packet_shows_nothing_that_it_had_before() -> None:
    before = sample()
    after = SPHINX.unwrap(PRIVATE_KEYS[0], before).packet
    assert after is not None
    chunks = {before[at : at + 8] for at in range(2, len(before) - 8)}
    assert not any(after[at : at + 8] in chunks for at in range(2, len(after) - 8))


def test_neither_surbs_nor_packets_show_their_secrets() -> None:
    surb = SPHINX.new_surb(path(2, (QUEUE, SurbReply(SURB_ID))), seeded(b"secret"))
    assert repr(surb) == "NewSurb()"
    unwrapped = SPHINX.unwrap(PRIVATE_KEYS[0], sample(1))
    assert unwrapped.payload is not None
    assert repr(unwrapped.payload) not in repr(unwrapped)
