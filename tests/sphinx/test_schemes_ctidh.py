"""CTIDH, where its optional package is installed: the reference's packets, keys and secrets. This is slow."""

from collections.abc import Callable
from typing import Any

import pytest

from sphinx import Geometry, Sphinx, compose_plaintext
from sphinx.agreement import KemAgreement, NikeAgreement, PrivateKey
from sphinx.crypto.kem import kem_scheme
from sphinx.crypto.nike import Nike, group, nike_scheme
from sphinx.errors import KeyLengthError, PacketError, PrivateKeyError, WeakPublicKeyError
from sphinx.native import engine
from sphinx.randomness import seeded
from sphinx.schemes import KEMS
from sphinx.unwrap import unwrap
from tests.sphinx.recorded_schemes import (
    ELEMENT_AT,
    RecordedKem,
    RecordedNike,
    rebuilt_packet,
    rebuilt_surb,
    same_as,
    travel,
)
from tests.support.vectors import recorded

pytest.importorskip("highctidh", reason="the optional package highctidh is not installed (the extra ctidh)")

NIKES = recorded("sphinx_schemes_ctidh.json")["nike"]
KEM_CASES = [case for case in recorded("sphinx_schemes_kem.json")["kem"] if KEMS[case["scheme"].lower()].extra]
KEM_SAMPLES = [
    (scheme["name"], sample) for scheme in recorded("kem_schemes_ctidh.json")["schemes"] for sample in scheme["samples"]
]
SMALL = "ctidh512"
OUT_OF_RANGE = "ctidh511"
"""The recorded private key of this KEM is one that the reference's sampler made too large for the group."""

SEED_GIVES_OTHER_KEYS = ("ctidh511", "ctidh512", "CTIDH512-X25519")
"""The reference samples these with the sampler of ctidh1024; that matters to nobody but the owner of the key."""


def key_for(case: dict[str, Any]) -> Callable[[int, int], PrivateKey]:
    return lambda node, _: bytes.fromhex(case["nodes"][node]["private_key"])


def with_recorded_key(case: dict[str, Any], part: str) -> NikeAgreement:
    return NikeAgreement(RecordedNike(nike_scheme(case["scheme"]), bytes.fromhex(case[part]["ephemeral_private_key"])))


@pytest.mark.parametrize(
    "case",
    [case for case in NIKES if case["scheme"] in ("ctidh1024", "CTIDH1024-X448")],
    ids=lambda case: case["scheme"],
)
def test_packets_surbs_and_replies_of_the_reference_are_rebuilt_unwrapped_and_opened(case: dict[str, Any]) -> None:
    geometry, forward, part, reply = (
        Geometry.from_fields(case["geometry"]),
        case["forward"],
        case["surb"],
        case["reply"],
    )
    sphinx = Sphinx(geometry)
    surb = rebuilt_surb(case, with_recorded_key(case, "surb"))
    assert (surb.surb.hex(), surb.keys.hex()) == (part["surb"], part["surb_keys"])
    plaintext = compose_plaintext(geometry, bytes.fromhex(forward["user_payload"]), surb.surb)
    packet = rebuilt_packet(case, with_recorded_key(case, "forward"), plaintext)
    assert packet.hex() == forward["packet"]
    assert travel(sphinx.unwrap, forward["hops"], packet, key_for(case))[0] == plaintext
    packet, _ = sphinx.packet_from_surb(surb.surb, bytes.fromhex(reply["answer"]))
    delivered, _ = travel(sphinx.unwrap, reply["hops"], packet, key_for(case))
    assert same_as(reply, "delivered", delivered)
    assert same_as(reply, "decrypted", sphinx.open_reply(surb.keys, delivered))


@pytest.mark.parametrize(
    "case", [case for case in NIKES if "X25519" in case["scheme"]], ids=lambda case: case["scheme"]
)
def test_packets_of_the_reference_with_the_curve_in_front_are_unwrapped(case: dict[str, Any]) -> None:
    sphinx, forward = Sphinx(Geometry.from_fields(case["geometry"])), case["forward"]
    plaintext, _ = travel(sphinx.unwrap, forward["hops"], bytes.fromhex(forward["packet"]), key_for(case))
    assert same_as(forward, "plaintext", plaintext)


@pytest.mark.parametrize("case", [case for case in NIKES if "note" in case], ids=lambda case: case["scheme"])
def test_the_largest_group_opens_a_packet_for_one_hop_where_nothing_is_blinded(case: dict[str, Any]) -> None:
    geometry = Geometry.from_fields(case["geometry"])
    agreement = NikeAgreement(group(case["scheme"]))
    node = bytes.fromhex(case["nodes"][0]["private_key"])
    opened = unwrap(geometry, agreement, engine(), node, bytes.fromhex(case["forward"]["packet"]))
    assert same_as(case["forward"], "plaintext", opened.payload or b"")


@pytest.mark.parametrize("case", KEM_CASES, ids=lambda case: case["scheme"])
def test_kem_sphinx_packets_of_the_reference_are_unwrapped_and_rebuilt(case: dict[str, Any]) -> None:
    sphinx, kem = Sphinx(Geometry.from_fields(case["geometry"])), kem_scheme(case["scheme"])
    packet = bytes.fromhex(case["forward"]["packet"])
    plaintext, packets = travel(sphinx.unwrap, case["forward"]["hops"], packet, key_for(case))
    ciphertexts = [each[ELEMENT_AT : ELEMENT_AT + kem.ciphertext_length] for each in packets]
    secrets = [bytes.fromhex(secret) for secret in case["forward"]["shared_secrets"]]
    again = KemAgreement(RecordedKem(kem, iter(zip(ciphertexts, secrets, strict=True))))
    assert rebuilt_packet(case, again, plaintext) == packet


@pytest.mark.parametrize(("name", "sample"), [(name, sample) for name, sample in KEM_SAMPLES if name != OUT_OF_RANGE])
def test_the_references_private_keys_open_its_ciphertexts(name: str, sample: dict[str, Any]) -> None:
    key = kem_scheme(name).load(bytes.fromhex(sample["private_key"]))
    assert key.public_key.hex() == sample["public_key"]
    assert key.decapsulate(bytes.fromhex(sample["ciphertext"])).hex() == sample["shared_secret"]


@pytest.mark.parametrize(
    ("name", "sample"), [(name, sample) for name, sample in KEM_SAMPLES if name not in SEED_GIVES_OTHER_KEYS]
)
def test_a_seed_gives_the_references_key_pair(name: str, sample: dict[str, Any]) -> None:
    assert kem_scheme(name).private_key(bytes.fromhex(sample["seed"])).public_key.hex() == sample["public_key"]


@pytest.mark.parametrize("name", [SMALL, "CTIDH512-X25519"])
def test_both_ends_of_a_kem_come_to_the_same_secret(name: str) -> None:
    kem, randomness = kem_scheme(name), seeded(b"both ends")
    key = kem.generate(randomness)
    ciphertext, secret = kem.encapsulate(key.public_key, randomness)
    assert key.decapsulate(ciphertext) == secret
    assert (len(ciphertext), len(secret)) == (kem.ciphertext_length, kem.shared_secret_length)


@pytest.fixture(scope="module")
def nike() -> Nike:
    return group(SMALL)


@pytest.mark.parametrize("public", [bytes(64), b"\2" + bytes(63), b"\xff" * 64], ids=["start", "two", "beyond"])
def test_what_is_no_curve_of_the_group_is_refused(nike: Nike, public: bytes) -> None:
    with pytest.raises(WeakPublicKeyError, match="a public ctidh512 key is no other curve of the group"):
        nike.shared_secret(nike.generate(seeded(b"key").bytes), public)


def test_private_keys_out_of_range_and_keys_of_another_length_are_refused_without_being_shown(nike: Nike) -> None:
    with pytest.raises(PrivateKeyError, match="an unusable private ctidh512 key") as caught:
        nike.public_key(b"\x7f" * nike.private_key_length)
    assert "7f" not in str(caught.value)
    with pytest.raises(KeyLengthError, match="a private ctidh512 key has 73 bytes, expected 74"):
        nike.public_key(bytes(73))
    with pytest.raises(KeyLengthError, match="a public ctidh512 key has 65 bytes, expected 64"):
        nike.shared_secret(bytes(74), bytes(65))
    with pytest.raises(PrivateKeyError, match="an unusable private ctidh512 key"):
        kem_scheme(SMALL).load(b"\x7f" * nike.private_key_length)


def test_a_source_that_fails_while_a_key_is_sampled_makes_no_key(nike: Nike) -> None:
    def broken(length: int) -> bytes:
        raise OSError("no randomness left")

    with pytest.raises(OSError, match="no randomness left"):
        nike.generate(broken)
    with pytest.raises(ValueError, match="memoryview assignment"):
        nike.generate(lambda length: b"short")


def test_a_packet_with_the_starting_curve_for_its_element_is_dropped() -> None:
    sphinx = Sphinx(Geometry.nike("ctidh1024", 1, 0))
    with pytest.raises(PacketError, match="group element is degenerate"):
        sphinx.unwrap(sphinx.nike.generate(seeded(b"node").bytes), bytes(sphinx.geometry.packet_length))
