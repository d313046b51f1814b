"""KEM Sphinx: the reference's packets, SURBs and replies, rebuilt and unwrapped byte for byte; and round trips."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphinx import (
    Geometry,
    NodeDelay,
    NodeId,
    PathHop,
    Recipient,
    RecipientId,
    Sphinx,
    SurbId,
    SurbReply,
    compose_plaintext,
)
from sphinx.agreement import KemAgreement, PrivateKey
from sphinx.crypto.kem import KEM_NAMES, KemPrivateKey, kem_scheme
from sphinx.errors import (
    CommandError,
    KemError,
    KeyLengthError,
    PacketError,
    PathError,
    PayloadLengthError,
    PayloadTagError,
    PrivateKeyError,
    SurbError,
    UnsupportedSchemeError,
)
from sphinx.native import engine_name as engine_in_use
from sphinx.randomness import Randomness, seeded
from sphinx.schemes import KEMS
from tests.sphinx.builders import flipped
from tests.sphinx.recorded_schemes import (
    ELEMENT_AT,
    RecordedKem,
    RecordedKey,
    rebuilt_packet,
    rebuilt_surb,
    same_as,
    travel,
)
from tests.support.vectors import recorded

CASES = [case for case in recorded("sphinx_schemes_kem.json")["kem"] if not KEMS[case["scheme"].lower()].extra]
WITHOUT_PRIVATE_KEYS = "Kyber768-X25519"  # private keys of round 3 can not be loaded, and are not kept


def private_key(node: dict[str, Any]) -> bytes:
    """A recorded private key; where it holds the public key's lattice half, that half is kept only once."""
    if "private_key" in node:
        return bytes.fromhex(node["private_key"])
    head = node.get("private_key_head", "")
    return bytes.fromhex(head + node["public_key"][len(head) :] + node["private_key_tail"])


def elements(packets: list[bytes], length: int) -> list[bytes]:
    return [packet[ELEMENT_AT : ELEMENT_AT + length] for packet in packets]


def secrets_of(part: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(secret) for secret in part["shared_secrets"]]


def key_for(case: dict[str, Any], part: dict[str, Any]) -> Callable[[int, int], PrivateKey]:
    kem = kem_scheme(case["scheme"])

    def key(node: int, number: int) -> PrivateKey:
        if case["scheme"] == WITHOUT_PRIVATE_KEYS:
            return RecordedKey(kem, secrets_of(part)[number])
        return private_key(case["nodes"][node])

    return key


def replay(case: dict[str, Any], part: dict[str, Any], packets: list[bytes]) -> KemAgreement:
    kem = kem_scheme(case["scheme"])
    ciphertexts = elements(packets, kem.ciphertext_length)
    return KemAgreement(RecordedKem(kem, iter(zip(ciphertexts, secrets_of(part), strict=True))))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["scheme"])
def test_forward_packets_of_the_reference_are_unwrapped_and_rebuilt(case: dict[str, Any], engine_name: str) -> None:
    geometry, forward = Geometry.from_fields(case["geometry"]), case["forward"]
    assert geometry.digest().hex() == case["geometry_hash"]
    sphinx = Sphinx(geometry, engine=engine_name)
    packet = bytes.fromhex(forward["packet"])
    plaintext, packets = travel(sphinx.unwrap, forward["hops"], packet, key_for(case, forward))
    surb = bytes.fromhex(case["surb"]["surb"])
    assert plaintext == compose_plaintext(geometry, bytes.fromhex(forward["user_payload"]), surb)
    assert same_as(forward, "plaintext", plaintext)
    assert rebuilt_packet(case, replay(case, forward, packets), plaintext) == packet


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["scheme"])
def test_surbs_of_the_reference_are_used_rebuilt_and_their_replies_opened(
    case: dict[str, Any], engine_name: str
) -> None:
    sphinx = Sphinx(Geometry.from_fields(case["geometry"]), engine=engine_name)
    part, reply = case["surb"], case["reply"]
    packet, first_hop = sphinx.packet_from_surb(bytes.fromhex(part["surb"]), bytes.fromhex(reply["answer"]))
    assert first_hop.hex() == part["first_hop"]
    assert same_as(reply, "packet", packet)
    delivered, packets = travel(sphinx.unwrap, reply["hops"], packet, key_for(case, part))
    assert same_as(reply, "delivered", delivered)
    surb = rebuilt_surb(case, replay(case, part, packets))
    assert (surb.surb.hex(), surb.keys.hex()) == (part["surb"], part["surb_keys"])
    assert same_as(reply, "decrypted", sphinx.open_reply(surb.keys, delivered))


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["scheme"] != WITHOUT_PRIVATE_KEYS], ids=lambda case: case["scheme"]
)
def test_private_keys_of_the_reference_are_loaded_with_their_public_halves(case: dict[str, Any]) -> None:
    for node in case["nodes"]:
        assert kem_scheme(case["scheme"]).load(private_key(node)).public_key.hex() == node["public_key"]


class Network:
    """Nodes with fresh keys of one KEM, and paths through them."""

    def __init__(self, scheme: str, hops: int, payload: int, randomness: Randomness) -> None:
        self.sphinx = Sphinx(Geometry.kem(scheme, hops, payload))
        self.randomness = randomness
        self.keys = [kem_scheme(scheme).generate(randomness) for _ in range(hops)]

    def path(self, hops: int, *end: Recipient | SurbReply) -> list[PathHop]:
        last = hops - 1
        return [
            PathHop(
                NodeId(bytes([number]) * 32),
                key.public_key,
                (NodeDelay(number), *end) if number == last else (NodeDelay(number),),
            )
            for number, key in enumerate(self.keys[:hops])
        ]

    def carried(self, packet: bytes, hops: int) -> bytes:
        for key in self.keys[: hops - 1]:
            forwarded = self.sphinx.unwrap(key, packet).packet
            assert forwarded is not None
            assert len(forwarded) == len(packet) == self.sphinx.geometry.packet_length
            packet = forwarded
        payload = self.sphinx.unwrap(self.keys[hops - 1], packet).payload
        assert payload is not None
        return payload


SERVICE = Recipient(RecipientId(b"echo".ljust(32, b"\0")))
REPLY = SurbReply(SurbId(bytes(16)))


@pytest.mark.parametrize("scheme", KEM_NAMES)
@settings(max_examples=4, deadline=None)
@given(st.data(), st.integers(1, 20), st.integers(0, 3000))
def test_messages_and_answers_arrive_over_any_path_of_any_geometry(
    scheme: str, data: st.DataObject, hops: int, payload: int
) -> None:
    network = Network(scheme, hops, payload, seeded(f"{hops} {payload}".encode()))
    sphinx, used = network.sphinx, data.draw(st.integers(1, hops))
    surb = sphinx.new_surb(network.path(used, SERVICE, REPLY), network.randomness)
    plaintext = compose_plaintext(sphinx.geometry, bytes(payload), surb.surb)
    packet = sphinx.new_packet(network.path(used, SERVICE), plaintext, network.randomness)
    assert network.carried(packet, used) == plaintext
    answer, _ = sphinx.packet_from_surb(surb.surb, b"an answer"[:payload])
    opened = sphinx.open_reply(surb.keys, network.carried(answer, used))
    assert opened.rstrip(b"\0") == b"an answer"[:payload]


def small() -> tuple[Network, bytes, bytes]:
    network = Network("x25519", 3, 50, seeded(b"small"))
    plaintext = compose_plaintext(network.sphinx.geometry, b"message", None)
    return network, plaintext, network.sphinx.new_packet(network.path(3, SERVICE), plaintext, network.randomness)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_flipped_bit_of_the_header_is_caught_at_the_next_hop(data: st.DataObject) -> None:
    network, _, packet = small()
    bit = data.draw(st.integers(0, 8 * network.sphinx.geometry.header_length - 1))
    with pytest.raises(PacketError):
        network.sphinx.unwrap(network.keys[0], flipped(packet, bit))


def test_a_flipped_bit_of_the_payload_is_caught_at_the_last_hop() -> None:
    network, _, packet = small()
    with pytest.raises(PayloadTagError):
        network.carried(flipped(packet, 8 * len(packet) - 1), 3)


def test_a_degenerate_ciphertext_is_a_packet_to_drop() -> None:
    network, _, packet = small()
    with pytest.raises(PacketError, match="KEM ciphertext can not be opened"):
        network.sphinx.unwrap(network.keys[0], packet[:ELEMENT_AT] + bytes(32) + packet[ELEMENT_AT + 32 :])


def test_what_is_wrong_with_keys_paths_and_payloads_is_named_with_its_size() -> None:
    network, plaintext, packet = small()
    sphinx, path = network.sphinx, network.path(3, SERVICE)
    short = [PathHop(path[0].node_id, path[0].public_key[1:], path[0].commands), *path[1:]]
    with pytest.raises(KeyLengthError, match="a x25519 public key has 31 bytes, expected 32"):
        sphinx.new_packet(short, plaintext, network.randomness)
    weak = [PathHop(path[0].node_id, bytes(32), path[0].commands), *path[1:]]
    with pytest.raises(KemError, match="x25519"):
        sphinx.new_packet(weak, plaintext, network.randomness)
    with pytest.raises(PathError, match="a path has 4 hops, expected 1 to 3"):
        sphinx.new_packet([*path, path[0]], plaintext, network.randomness)
    with pytest.raises(PathError, match="a path has 0 hops"):
        sphinx.new_surb([], network.randomness)
    with pytest.raises(PayloadLengthError, match=f"{len(plaintext) - 1} bytes, expected {len(plaintext)}"):
        sphinx.new_packet(path, plaintext[1:], network.randomness)
    with pytest.raises(KeyLengthError, match="a private x25519 key has 33 bytes, expected 32"):
        sphinx.unwrap(bytes(33), packet)
    with pytest.raises(SurbError, match="a SURB has 3 bytes"):
        sphinx.packet_from_surb(b"abc", b"")
    with pytest.raises(SurbError, match="SURB keys have 63 bytes"):
        sphinx.open_reply(bytes(63), bytes(sphinx.geometry.payload_tag_length + len(plaintext)))


def test_commands_never_reach_into_the_room_of_the_next_ciphertext() -> None:
    network, plaintext, _ = small()
    path = network.path(3, SERVICE)
    crowded = [PathHop(path[0].node_id, path[0].public_key, (NodeDelay(1),) * 4), *path[1:]]
    with pytest.raises(CommandError, match="the commands of hop 0 have 20 bytes, expected at most 17"):
        network.sphinx.new_packet(crowded, plaintext, network.randomness)


def test_a_loaded_key_of_another_kem_is_refused() -> None:
    network, _, packet = small()
    with pytest.raises(KeyLengthError, match="MLKEM768 ciphertext has 32 bytes, expected 1088"):
        network.sphinx.unwrap(kem_scheme("MLKEM768").generate(network.randomness), packet)


def test_the_two_forms_do_not_take_each_others_keys() -> None:
    key: KemPrivateKey = kem_scheme("x25519").generate(seeded(b"key"))
    nike = Sphinx(Geometry.nike("x25519", 3, 50))
    with pytest.raises(UnsupportedSchemeError, match="x25519"):
        nike.unwrap(key, bytes(nike.geometry.packet_length))
    with pytest.raises(UnsupportedSchemeError, match="the KEM XWING has no NIKE"):
        _ = Sphinx(Geometry.kem("XWING", 3, 50)).nike


def test_a_sphinx_says_how_long_mix_keys_are() -> None:
    assert Sphinx(Geometry.kem("XWING", 5, 50)).public_key_length == 1216
    assert Sphinx(Geometry.nike("x448", 5, 50), engine=engine_in_use()).public_key_length == 56


@pytest.mark.parametrize("scheme", ["MLKEM768", "XWING", "MLKEM768-X25519"])
def test_a_private_key_whose_halves_do_not_belong_together_is_refused(scheme: str) -> None:
    case = next(case for case in CASES if case["scheme"] == scheme)
    key = private_key(case["nodes"][0])
    with pytest.raises(PrivateKeyError, match="public half is not what its seed gives"):
        kem_scheme(scheme).load(flipped(key, 4 * len(key)))


def test_private_keys_of_round_3_are_refused_with_the_reason() -> None:
    with pytest.raises(UnsupportedSchemeError, match="without their seed"):
        kem_scheme("Kyber768-X25519").load(bytes(32 + 2400))
