import hashlib
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx.crypto import aez
from sphinx.crypto.bitslice import BLOCK_BITS, lanes
from sphinx.errors import KeyLengthError
from sphinx.native import engine
from tests.sphinx import general_aez
from tests.support.vectors import recorded, upstream

KEY = bytes(range(48))
NONCE = bytes(range(0x40, 0x50))
MATERIAL = KEY + NONCE
PAYLOAD_LENGTH = 2606

UPSTREAM = recorded("aez.json")
ENCRYPTIONS = ["encrypt", "encrypt_no_ad", "encrypt_16_byte_key", "encrypt_33_byte_ad"]

ANCHORS = {
    1: "30",
    15: "6e16fa005ce4b10d284833cb4fdf1e",
    16: "e95d92126c2f45bd08bff9a7f0c3f8bc",
    31: "40304de057eee2ce7f1582337f8a12d0d2d502bd41c634ee3ef2e47879f582",
    32: "3fab5f96e62ff043b95b73ed0952bd0a1d605305c313facd9dd30d82d16f8980",
    33: "807adacee4f205dcaab1b04a97d6f6b75b768909a88f7cafba5cf3cf6f3a62af10",
    48: "e575f330bdc1b026d52353a7f6de54dc0679f151767de5288ef3b484cddcf5fc40134c0e6772a5dc768e9718aecca3ea",
    64: "b801da058b9b0e38c15983b4c9b249fd78581abbeecc44779d7577e14121df5e"
    "daa6f18bd20281bb8b13f338591687d6b69926e82cae7585d98cc6c892a31735",
}


def counting(length: int) -> bytes:
    return bytes(index % 256 for index in range(length))


@pytest.mark.parametrize("length", ANCHORS)
def test_the_anchors_of_the_specification_hold_on_every_engine(length: int, engine_name: str) -> None:
    ciphertext = bytes.fromhex(ANCHORS[length])
    assert engine(engine_name).encipher(MATERIAL, counting(length)) == ciphertext
    assert engine(engine_name).decipher(MATERIAL, ciphertext) == counting(length)


def test_a_whole_payload_has_the_digest_of_the_specification(engine_name: str) -> None:
    ciphertext = engine(engine_name).encipher(MATERIAL, counting(PAYLOAD_LENGTH))
    assert ciphertext[:16].hex() == "6d2df6a66431b6db8e858bf8b56fdbbf"
    assert ciphertext[-16:].hex() == "0b3e3ced791ee0e2d32bc0287f0cf97f"
    assert hashlib.sha256(ciphertext).hexdigest().startswith("3801c669696ade8cbedb3c29984915ae")
    assert engine(engine_name).decipher(MATERIAL, ciphertext) == counting(PAYLOAD_LENGTH)


def test_one_aes_round_has_the_value_of_the_specification() -> None:
    room = lanes(1)
    state = room.rounds(int.from_bytes(bytes(range(16))) << (BLOCK_BITS * (room.count - 1)), [room.key(0)])
    assert f"{state >> (BLOCK_BITS * (room.count - 1)):032x}" == "6a6a5c452c6d3351b0d95d61279c215c"


def test_the_permutations_have_the_values_of_the_specification() -> None:
    cipher = aez.Aez(KEY)
    four = cipher.permute((0, 0, 0), (1, 9, 0))
    assert [f"{value:032x}" for value in four] == [
        "6253cd5ff098ecc5314cf73083aeef6f",
        "5d68542e60045eea8708d99c18689f32",
    ]
    assert f"{cipher.permute((-1, 1, 0))[0]:032x}" == "c2fb7585c6e9096d72cdf1916bdd7363"
    assert f"{cipher.delta(NONCE):032x}" == "40da877061b74b09d6bf770286ffaf3b"


def test_permutations_side_by_side_do_not_disturb_each_other() -> None:
    cipher = aez.Aez(KEY)
    tweaked = [(j, i, j * 1000 + i) for j in range(3) for i in range(12)]
    assert cipher.permute(*tweaked) == tuple(cipher.permute(one)[0] for one in tweaked)


def test_keys_are_extracted_as_upstream_does() -> None:
    for case in UPSTREAM["extract"]:
        assert general_aez.extract(bytes.fromhex(case["a"])).hex() == case["b"]


def test_upstream_hashes_are_reproduced() -> None:
    for case in UPSTREAM["hash"]:
        cipher = aez.Aez(general_aez.extract(bytes.fromhex(case["k"])))
        data = [bytes.fromhex(string) for string in case["data"]]
        assert f"{general_aez.hashed(cipher, data, case['tau']):032x}" == case["v"]


def test_upstream_prf_values_are_reproduced() -> None:
    for case in UPSTREAM["prf"]:
        cipher = aez.Aez(general_aez.extract(bytes.fromhex(case["k"])))
        assert general_aez.prf(cipher, int(case["delta"], 16), case["tau"]).hex() == case["r"]


def assert_encrypts(case: dict[str, Any]) -> None:
    key, nonce = bytes.fromhex(case["k"]), bytes.fromhex(case["nonce"])
    data = [bytes.fromhex(string) for string in case["data"]]
    message, ciphertext = bytes.fromhex(case["m"]), bytes.fromhex(case["c"])
    assert general_aez.encrypt(key, nonce, data, case["tau"], message) == ciphertext
    assert general_aez.decrypt(key, nonce, data, case["tau"], ciphertext) == message


@pytest.mark.parametrize("name", ENCRYPTIONS)
def test_upstream_encryptions_are_reproduced_both_ways(name: str) -> None:
    for case in UPSTREAM[name]:
        assert_encrypts(case)


def core_of(case: dict[str, Any]) -> tuple[bytes, bytes]:
    """The key, and the nonce with which Sphinx's form of AEZ makes the case's ciphertext of message and redundancy."""
    key, nonce = general_aez.extract(bytes.fromhex(case["k"])), bytes.fromhex(case["nonce"])
    data = [bytes.fromhex(string) for string in case["data"]]
    delta = general_aez.hashed(aez.Aez(key), [nonce, *data], 8 * case["tau"])
    return key, general_aez.nonce_of(key, delta)


def assert_holds(case: dict[str, Any], engine_name: str) -> None:
    if not case["m"]:
        return  # nothing is enciphered then
    material = b"".join(core_of(case))
    message, ciphertext = bytes.fromhex(case["m"]) + bytes(case["tau"]), bytes.fromhex(case["c"])
    assert engine(engine_name).encipher(material, message) == ciphertext
    assert engine(engine_name).decipher(material, ciphertext) == message


@pytest.mark.parametrize("name", ENCRYPTIONS)
def test_upstream_encryptions_hold_on_every_engine(name: str, engine_name: str) -> None:
    for case in UPSTREAM[name]:
        assert_holds(case, engine_name)


def test_upstream_encryptions_of_all_lengths_hold_on_every_engine(engine_name: str) -> None:
    """The whole of a file that is too long to be copied here."""
    for case in upstream("aez/encrypt.json"):
        assert_encrypts(case)
        assert_holds(case, engine_name)


def test_upstream_encryptions_in_the_form_of_sphinx_hold_on_every_engine(engine_name: str) -> None:
    """Those without associated data and redundancy, with the nonce that they have."""
    cases = [case for name in ENCRYPTIONS for case in UPSTREAM[name] if not case["data"] and not case["tau"]]
    assert len(cases) == 4
    for case in cases:
        nonce = bytes.fromhex(case["nonce"])
        material = general_aez.extract(bytes.fromhex(case["k"])) + nonce
        assert engine(engine_name).encipher(material, bytes.fromhex(case["m"])).hex() == case["c"]
        assert engine(engine_name).decipher(material, bytes.fromhex(case["c"])).hex() == case["m"]
        assert core_of(case)[1] == nonce


def test_the_engines_agree_at_every_length(engine_name: str) -> None:
    draws = random.Random(engine_name)
    for length in [*range(601), PAYLOAD_LENGTH, 2630, 3082]:
        material, message = draws.randbytes(64), draws.randbytes(length)
        enciphered = aez.encipher(material[:48], material[48:], message)
        assert engine(engine_name).encipher(material, message) == enciphered, f"length {length}"
        assert engine(engine_name).decipher(material, enciphered) == message, f"length {length}"


@given(st.binary(min_size=64, max_size=64), st.binary(max_size=200))
def test_any_message_comes_back(material: bytes, message: bytes) -> None:
    ciphertext = aez.encipher(material[:48], material[48:], message)
    assert len(ciphertext) == len(message)
    assert aez.decipher(material[:48], material[48:], ciphertext) == message


def test_one_flipped_bit_changes_every_block(engine_name: str) -> None:
    cipher = engine(engine_name)
    plain = bytes(PAYLOAD_LENGTH)
    changed = bytearray(plain)
    changed[-1] ^= 1
    first, second = cipher.encipher(MATERIAL, plain), cipher.encipher(MATERIAL, bytes(changed))
    for at in range(0, PAYLOAD_LENGTH - 16, 16):
        assert first[at : at + 16] != second[at : at + 16]


def test_keys_and_nonces_of_another_length_are_refused() -> None:
    with pytest.raises(KeyLengthError, match="47 bytes, expected 48"):
        aez.encipher(KEY[1:], NONCE, b"message")
    with pytest.raises(KeyLengthError, match="17 bytes, expected 16"):
        aez.decipher(KEY, NONCE + b"\0", b"message")
