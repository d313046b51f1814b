"""At every hop, in every form of Sphinx: no bit may change, no length may differ, nothing may stay the same."""

from collections.abc import Sequence
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sphinx import (
    Geometry,
    NextNodeHop,
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
from sphinx.agreement import PrivateKey
from sphinx.errors import PacketError, PayloadTagError
from sphinx.randomness import seeded
from tests.sphinx.builders import flipped
from tests.sphinx.differential import nodes_of

HOPS = 4
BLOCK = 16
GEOMETRIES = (
    Geometry.nike("x25519", HOPS, 60),
    Geometry.nike("x25519", 20, 0, with_surb=False),
    Geometry.nike("x448", HOPS, 33),
    Geometry.kem("x25519", HOPS, 60),
    Geometry.kem("MLKEM768", 3, 16, with_surb=False),
    Geometry.kem("XWING", 2, 16),
)
LAST: tuple[RoutingCommand, ...] = (Recipient(RecipientId(b"echo".ljust(32, b"\0"))),)
REPLY: tuple[RoutingCommand, ...] = (*LAST, SurbReply(SurbId(bytes(range(16)))))

relaxed = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
every_geometry = pytest.mark.parametrize(
    "geometry",
    GEOMETRIES,
    ids=lambda geometry: f"{geometry.nike_name or 'kem-' + geometry.kem_name}-{geometry.nr_hops}",
)


def keys_of(geometry: Geometry, hops: int) -> Sequence[PrivateKey]:
    return [private for private, _ in nodes_of(geometry.nike_name, geometry.kem_name)[:hops]]


def path(geometry: Geometry, hops: int, last: tuple[RoutingCommand, ...] = LAST) -> list[PathHop]:
    nodes = nodes_of(geometry.nike_name, geometry.kem_name)[:hops]
    return [
        PathHop(NodeId(bytes([number]) * 32), public, last if number == hops - 1 else (NodeDelay(number + 1),))
        for number, (_, public) in enumerate(nodes)
    ]


@lru_cache
def payload(geometry: Geometry) -> bytes:
    return seeded(b"payload").bytes(geometry.forward_payload_length)


@lru_cache
def stages(geometry: Geometry, hops: int) -> list[bytes]:
    """A packet as each hop receives it."""
    sphinx = Sphinx(geometry)
    packets = [sphinx.new_packet(path(geometry, hops), payload(geometry), seeded(b"stages"))]
    for key in keys_of(geometry, hops - 1):
        packet = sphinx.unwrap(key, packets[-1]).packet
        assert packet is not None
        packets.append(packet)
    return packets


@every_geometry
def test_any_bit_flipped_in_the_header_is_caught_where_it_arrives(geometry: Geometry) -> None:
    sphinx, hops = Sphinx(geometry), min(geometry.nr_hops, HOPS)

    @relaxed
    @given(st.integers(0, hops - 1), st.integers(0, 8 * geometry.header_length - 1))
    def caught(hop: int, bit: int) -> None:
        key, packet = keys_of(geometry, hops)[hop], stages(geometry, hops)[hop]
        with pytest.raises(PacketError):
            sphinx.unwrap(key, flipped(packet, bit))

    caught()


def test_every_single_byte_of_a_header_is_covered_at_every_hop() -> None:
    geometry = GEOMETRIES[0]
    sphinx = Sphinx(geometry)
    for key, packet in zip(keys_of(geometry, HOPS), stages(geometry, HOPS), strict=True):
        for byte in range(geometry.header_length):
            with pytest.raises(PacketError):
                sphinx.unwrap(key, flipped(packet, 8 * byte + byte % 8))


def test_the_bit_that_x25519_ignores_is_covered_by_the_mac() -> None:
    geometry = GEOMETRIES[0]
    top_bit = 8 * (2 + 32) - 1
    with pytest.raises(PacketError, match="MAC"):
        Sphinx(geometry).unwrap(keys_of(geometry, 1)[0], flipped(stages(geometry, HOPS)[0], top_bit))


@every_geometry
def test_a_payload_bit_flipped_anywhere_on_the_way_leaves_nothing_of_the_payload(geometry: Geometry) -> None:
    sphinx, hops = Sphinx(geometry), min(geometry.nr_hops, HOPS)
    first = 8 * geometry.header_length

    @relaxed
    @given(st.integers(0, hops - 1), st.integers(first, 8 * geometry.packet_length - 1))
    def destroyed(start: int, bit: int) -> None:
        packet = flipped(stages(geometry, hops)[start], bit)
        for hop, key in enumerate(keys_of(geometry, hops)[start:-1], start=start + 1):
            packet = sphinx.unwrap(key, packet).packet or b""
            intact = stages(geometry, hops)[hop]
            assert packet[: geometry.header_length] == intact[: geometry.header_length]
            assert_no_common_block(packet[geometry.header_length :], intact[geometry.header_length :])
        with pytest.raises(PayloadTagError):
            sphinx.unwrap(keys_of(geometry, hops)[-1], packet)

    destroyed()


def assert_no_common_block(left: bytes, right: bytes) -> None:
    assert len(left) == len(right)
    assert not any(left[at : at + BLOCK] == right[at : at + BLOCK] for at in range(0, len(left) - BLOCK + 1, BLOCK))


@every_geometry
def test_a_reply_with_one_bit_flipped_leaves_nothing_of_the_answer(geometry: Geometry) -> None:
    sphinx = Sphinx(geometry)
    surb = sphinx.new_surb(path(geometry, 1, REPLY), seeded(b"flipped reply"))
    packet, _ = sphinx.packet_from_surb(surb.surb, payload(geometry))
    delivered = sphinx.unwrap(keys_of(geometry, 1)[0], packet).payload
    assert delivered is not None
    assert sphinx.open_reply(surb.keys, delivered) == payload(geometry)

    @relaxed
    @given(st.integers(0, 8 * len(delivered) - 1))
    def destroyed(bit: int) -> None:
        with pytest.raises(PayloadTagError):
            sphinx.open_reply(surb.keys, flipped(delivered, bit))

    destroyed()


@every_geometry
def test_packets_and_replies_of_all_paths_have_one_length_at_every_hop(geometry: Geometry) -> None:
    sphinx = Sphinx(geometry)
    for hops in range(1, min(geometry.nr_hops, HOPS) + 1):
        surb = sphinx.new_surb(path(geometry, hops, REPLY), seeded(b"lengths"))
        assert len(surb.surb) == geometry.surb_length
        assert len(surb.keys) == geometry.sprp_key_material_length * (hops + 1)
        reply, _ = sphinx.packet_from_surb(surb.surb, b"")
        for packet in (stages(geometry, hops)[0], reply):
            for key in keys_of(geometry, hops - 1):
                assert len(packet) == geometry.packet_length
                packet = sphinx.unwrap(key, packet).packet or b""
            assert len(packet) == geometry.packet_length


@every_geometry
def test_what_was_wrapped_unwraps_with_the_commands_of_each_hop(geometry: Geometry) -> None:
    sphinx = Sphinx(geometry)
    for hops in sorted({1, min(geometry.nr_hops, HOPS), geometry.nr_hops}):
        packets = stages(geometry, hops)
        hops_of_path = path(geometry, hops)
        for number, (key, packet) in enumerate(zip(keys_of(geometry, hops), packets, strict=True)):
            unwrapped = sphinx.unwrap(key, packet)
            expected = hops_of_path[number].commands
            if number < hops - 1:
                mac = packets[number + 1][geometry.header_length - 32 : geometry.header_length]
                expected += (NextNodeHop(hops_of_path[number + 1].node_id, mac),)
                assert unwrapped.payload is None
            assert unwrapped.commands == expected
        assert unwrapped.packet is None
        assert unwrapped.payload == payload(geometry)


@every_geometry
def test_no_block_of_a_packet_survives_a_hop(geometry: Geometry) -> None:
    hops = min(geometry.nr_hops, HOPS)
    if hops < 2:
        pytest.skip("one hop sends nothing on")
    for before, after in zip(stages(geometry, hops), stages(geometry, hops)[1:], strict=False):
        blocks = {before[at : at + BLOCK] for at in range(2, len(before) - BLOCK)}
        assert not any(after[at : at + BLOCK] in blocks for at in range(2, len(after) - BLOCK))


@every_geometry
def test_no_key_but_the_hops_own_opens_a_packet(geometry: Geometry) -> None:
    sphinx, hops = Sphinx(geometry), min(geometry.nr_hops, HOPS)
    for hop, packet in enumerate(stages(geometry, hops)):
        for other, key in enumerate(keys_of(geometry, hops)):
            if other != hop:
                with pytest.raises(PacketError) as caught:
                    sphinx.unwrap(key, packet)
                assert not isinstance(caught.value, PayloadTagError)


def test_a_path_that_visits_a_node_twice_still_ends() -> None:
    geometry = GEOMETRIES[0]
    sphinx = Sphinx(geometry)
    (key, public), *_ = nodes_of("x25519", "")
    node = NodeId(bytes(32))
    packet = sphinx.new_packet(
        [PathHop(node, public, ()), PathHop(node, public, ()), PathHop(node, public, LAST)],
        payload(geometry),
        seeded(b"twice"),
    )
    tags = set()
    for _ in range(2):
        unwrapped = sphinx.unwrap(key, packet)
        tags.add(unwrapped.replay_tag)
        packet = unwrapped.packet or b""
    unwrapped = sphinx.unwrap(key, packet)
    assert unwrapped.payload == payload(geometry)
    assert len(tags | {unwrapped.replay_tag}) == 3
