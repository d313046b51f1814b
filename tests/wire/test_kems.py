"""Every KEM against the reference's key pairs, ciphertexts and secrets."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx.crypto import mlkem
from sphinx.crypto.kem import KEM_NAMES, Kem, kem_scheme
from sphinx.crypto.kem_combiner import split_prf
from sphinx.errors import KemError, KeyLengthError, UnsupportedSchemeError
from sphinx.randomness import Randomness, seeded
from tests.support.vectors import recorded, upstream

VECTORS = recorded("kem_schemes.json")
FOREIGN = VECTORS["encapsulated_to_foreign_keys"]["samples"]
SAMPLES = [(scheme, sample) for scheme in VECTORS["schemes"] for sample in scheme["samples"]]
# A key pair of round 3 comes from its seed in another way than one of FIPS 203. Either serves to encapsulate to.
OTHER_KEY_DERIVATION = "Kyber768-X25519"
HAS_CURVE = [name for name in KEM_NAMES if name != "MLKEM768"]
RANDOMNESS = seeded(b"kems")


def damaged(ciphertext: bytes) -> bytes:
    return bytes([ciphertext[0] ^ 1]) + ciphertext[1:]


def with_zero_point(kem: Kem, value: bytes) -> bytes:
    """Replace the curve's part of a key or ciphertext by the point of order one."""
    curve = 56 if "448" in kem.name else 32
    return value[:-curve] + bytes(curve) if kem.name == "XWING" else bytes(curve) + value[curve:]


@pytest.mark.parametrize(("scheme", "sample"), SAMPLES)
def test_the_lengths_are_the_references(scheme: dict[str, Any], sample: dict[str, Any]) -> None:
    kem = kem_scheme(scheme["name"])
    assert kem.name == scheme["name"]
    assert kem.public_key_length == scheme["public_key_size"] == len(sample["public_key"]) // 2
    assert kem.ciphertext_length == scheme["ciphertext_size"] == len(sample["ciphertext"]) // 2
    assert kem.shared_secret_length == scheme["shared_secret_size"] == len(sample["shared_secret"]) // 2
    assert kem.seed_length == scheme["seed_size"]


@pytest.mark.parametrize(
    ("scheme", "sample"), [(scheme, sample) for scheme, sample in SAMPLES if scheme["name"] != OTHER_KEY_DERIVATION]
)
def test_a_seed_gives_the_references_key_pair_which_opens_its_ciphertexts(
    scheme: dict[str, Any], sample: dict[str, Any]
) -> None:
    key = kem_scheme(scheme["name"]).private_key(bytes.fromhex(sample["seed"]))
    ciphertext = bytes.fromhex(sample["ciphertext"])
    assert key.public_key.hex() == sample["public_key"]
    assert key.decapsulate(ciphertext).hex() == sample["shared_secret"]


@pytest.mark.parametrize("sample", FOREIGN, ids=lambda sample: sample["scheme"])
def test_what_the_reference_encapsulated_to_our_key_pairs_opens(sample: dict[str, Any]) -> None:
    key = kem_scheme(sample["scheme"]).private_key(bytes.fromhex(sample["seed"]))
    assert key.public_key.hex() == sample["public_key"]
    assert key.decapsulate(bytes.fromhex(sample["ciphertext"])).hex() == sample["shared_secret"]


@pytest.mark.parametrize(
    ("scheme", "sample"), [(scheme, sample) for scheme, sample in SAMPLES if "component_values" in sample]
)
def test_the_combiner_turns_the_references_parts_into_its_whole(scheme: dict[str, Any], sample: dict[str, Any]) -> None:
    secrets, ciphertexts, offset = [], [], 0
    for part in sample["component_values"]:
        secrets.append(bytes.fromhex(part["shared_secret"]))
        end = offset + 2 * part["ciphertext_size"]
        ciphertexts.append(bytes.fromhex(sample["ciphertext"][offset:end]))
        offset = end
    assert split_prf(secrets, ciphertexts).hex() == sample["shared_secret"]


@pytest.mark.parametrize("name", KEM_NAMES)
def test_both_ends_come_to_the_same_secret_and_a_damaged_ciphertext_to_another(name: str) -> None:
    kem = kem_scheme(name.swapcase())
    key = kem.generate(RANDOMNESS)
    ciphertext, secret = kem.encapsulate(key.public_key, RANDOMNESS)
    assert (len(ciphertext), len(secret)) == (kem.ciphertext_length, kem.shared_secret_length)
    assert key.decapsulate(ciphertext) == secret
    assert key.decapsulate(damaged(ciphertext)) != secret


@pytest.mark.parametrize("name", KEM_NAMES)
def test_lengths_are_checked_before_anything_else(name: str) -> None:
    kem = kem_scheme(name)
    key = kem.generate(RANDOMNESS)
    for wrong in (b"", bytes(kem.public_key_length - 1), bytes(kem.public_key_length + 1)):
        with pytest.raises(KeyLengthError, match=f"{len(wrong)} bytes, expected {kem.public_key_length}"):
            kem.encapsulate(wrong, RANDOMNESS)
    for wrong in (b"", bytes(kem.ciphertext_length - 1), bytes(kem.ciphertext_length + 1)):
        with pytest.raises(KeyLengthError, match=f"{len(wrong)} bytes, expected {kem.ciphertext_length}"):
            key.decapsulate(wrong)
    with pytest.raises(KeyLengthError):
        kem.private_key(bytes(kem.seed_length + 1))


@pytest.mark.parametrize("name", HAS_CURVE)
def test_the_point_of_order_one_is_refused_as_key_and_as_ciphertext(name: str) -> None:
    kem = kem_scheme(name)
    key = kem.generate(RANDOMNESS)
    ciphertext, _ = kem.encapsulate(key.public_key, RANDOMNESS)
    with pytest.raises(KemError):
        kem.encapsulate(with_zero_point(kem, key.public_key), RANDOMNESS)
    with pytest.raises(KemError):
        key.decapsulate(with_zero_point(kem, ciphertext))


@pytest.mark.parametrize("name", [name for name in KEM_NAMES if "768" in name or name == "XWING"])
def test_a_lattice_key_with_a_coefficient_out_of_range_is_refused(name: str) -> None:
    kem = kem_scheme(name)
    key = bytearray(kem.generate(RANDOMNESS).public_key)
    middle = len(key) // 2
    key[middle : middle + 3] = b"\xff\xff\xff"
    with pytest.raises(KemError):
        kem.encapsulate(bytes(key), RANDOMNESS)


@pytest.mark.parametrize("name", KEM_NAMES)
def test_a_seeded_source_repeats_the_key_pair_and_no_text_shows_it(name: str) -> None:
    kem = kem_scheme(name)
    key, again = kem.generate(seeded(b"same")), kem.generate(seeded(b"same"))
    assert key.public_key == again.public_key
    assert repr(key) == f"<{name} private key>"


@pytest.mark.parametrize("name", ["", "Xyber768", "Kyber768", "MLKEM1024", "XWING "])
def test_an_unknown_name_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(UnsupportedSchemeError, match=f"no KEM is called '{name}'; supported are MLKEM768, XWING"):
        kem_scheme(name)


def test_the_adapter_gives_upstreams_known_secret_at_both_ends() -> None:
    static = kem_scheme("x25519").load(
        bytes.fromhex("fe915a404808f6d6d4d56cdabce4d8d1a0630e6b2fb7c94b1bacbbd789365150")
    )
    ephemeral = bytes.fromhex("70880be84be662a35b990a2b67bf7e99b420ee40af6f6eebf8b2756e5db4b469")
    secret = "2bdd5cee2ca42d8d40d0e843565ca1951a3ed05f81ae6524c4ddf7ccf2813078"
    assert static.public_key.hex() == "036561855c3e4b8d1e9144cf3f33fdda9a7e510c70a9faa4923b74d5ad834e44"
    ciphertext, sent = kem_scheme("x25519").encapsulate(
        static.public_key, Randomness(lambda length: ephemeral[:length])
    )
    assert ciphertext.hex() == "f9fd0ad85f93fc259549e2890ad39433f1de28cb6df66112e2a18b5967ab623d"
    assert sent.hex() == static.decapsulate(ciphertext).hex() == secret


def test_the_combiner_and_the_round_3_step_give_their_known_values() -> None:
    combined = split_prf([b"a" * 32, b"b" * 32], [b"c" * 32, b"d" * 1088])
    assert combined.hex() == "e5deee1a9b1db319629129bd1f83d12710a46bcc663926f8aaff5bdf57468b9c"
    round_3 = mlkem.Kyber768().finish(bytes(32), bytes(1088))
    assert round_3.hex() == "73e0ead61275f34c3288a69c94ead9b24b78eec9cc87c9fe0734bb88029de611"


def test_the_first_x_wing_vector_of_the_draft_holds_without_upstreams_file() -> None:
    seed = "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26"
    key = kem_scheme("XWING").private_key(bytes.fromhex(seed))
    digest = hashlib.sha256(key.public_key).hexdigest()
    assert digest == "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb"


def test_every_x_wing_vector_of_the_draft_holds() -> None:
    for vector in upstream("xwing.json"):
        key = kem_scheme("XWING").private_key(bytes.fromhex(vector["seed"]))
        assert key.public_key.hex() == vector["pk"]
        assert key.decapsulate(bytes.fromhex(vector["ct"])).hex() == vector["ss"]


@given(st.binary(min_size=1120, max_size=1120))
def test_any_bytes_of_the_right_length_open_to_a_secret_or_are_refused(ciphertext: bytes) -> None:
    key = kem_scheme("XWING").private_key(bytes(32))
    try:
        assert len(key.decapsulate(ciphertext)) == 32
    except KemError:
        assert ciphertext[1088:] == bytes(32)
