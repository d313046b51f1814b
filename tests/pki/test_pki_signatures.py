import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.certificate import Certificate, Verifier, key_hash
from pki.errors import KeyLengthError, ThresholdError, UnsupportedSignatureSchemeError
from pki.signatures import SIGNATURE_SCHEMES, signature_scheme
from sphinx.randomness import seeded
from tests.support.vectors import recorded

VECTORS: dict[str, Any] = recorded("pki_signatures.json")
MESSAGE = bytes.fromhex(VECTORS["message"])
SCHEMES: list[dict[str, Any]] = VECTORS["schemes"]

each_scheme = pytest.mark.parametrize("vector", SCHEMES, ids=lambda vector: vector["name"])


@each_scheme
def test_sizes_and_names_are_the_reference_s(vector: dict[str, Any]) -> None:
    scheme = signature_scheme(vector["name"].swapcase())
    assert scheme.name == vector["name"]
    assert scheme.public_key_length == vector["public_key_size"]
    assert scheme.private_key_length == vector["private_key_size"]
    assert scheme.signature_length == vector["signature_size"]


@each_scheme
def test_a_signature_of_the_reference_verifies_and_a_damaged_one_does_not(vector: dict[str, Any]) -> None:
    scheme = signature_scheme(vector["name"])
    public_key, signature = bytes.fromhex(vector["public_key"]), bytes.fromhex(vector["signature"])
    assert scheme.verify(public_key, MESSAGE, signature)
    assert not scheme.verify(public_key, MESSAGE + b"!", signature)
    for position in (0, len(signature) // 2, len(signature) - 1):
        damaged = bytearray(signature)
        damaged[position] ^= 1
        assert not scheme.verify(public_key, MESSAGE, bytes(damaged))


@each_scheme
def test_wrong_lengths_are_no_signature_and_no_crash(vector: dict[str, Any]) -> None:
    scheme = signature_scheme(vector["name"])
    public_key, signature = bytes.fromhex(vector["public_key"]), bytes.fromhex(vector["signature"])
    for bad in (b"", signature[:-1], signature + b"\0"):
        assert not scheme.verify(public_key, MESSAGE, bad)
    for bad in (b"", public_key[:-1], public_key + b"\0", b"\xff" * len(public_key)):
        assert not scheme.verify(bad, MESSAGE, signature)


@each_scheme
def test_private_keys_of_the_reference_sign_for_their_public_keys(vector: dict[str, Any]) -> None:
    scheme = signature_scheme(vector["name"])
    key = scheme.signing_key(bytes.fromhex(vector["private_key"]))
    assert key.public_key.hex() == vector["public_key"]
    assert key.private_key.hex() == vector["private_key"]
    assert key_hash(key.public_key).hex() == vector["key_hash"]
    assert scheme.verify(key.public_key, MESSAGE, key.sign(MESSAGE))
    assert vector["private_key"] not in repr(key)
    assert repr(key.private_key) not in repr(key)
    with pytest.raises(KeyLengthError, match=f"expected {scheme.private_key_length}"):
        scheme.signing_key(key.private_key[:-1])


@each_scheme
def test_generated_keys_follow_the_randomness_given(vector: dict[str, Any]) -> None:
    scheme = signature_scheme(vector["name"])
    key = scheme.generate(seeded(b"one"))
    assert key.public_key == scheme.generate(seeded(b"one")).public_key
    assert key.public_key != scheme.generate(seeded(b"two")).public_key
    assert scheme.verify(key.public_key, MESSAGE, key.sign(MESSAGE))


def test_deterministic_signatures_equal_the_reference_s() -> None:
    for vector in SCHEMES:
        if vector["name"] in ("Ed25519", "Ed448"):
            key = signature_scheme(vector["name"]).signing_key(bytes.fromhex(vector["private_key"]))
            assert key.sign(MESSAGE).hex() == vector["signature"]


def test_an_edwards_private_key_whose_halves_disagree_is_refused() -> None:
    scheme = signature_scheme("Ed25519")
    key = scheme.generate(seeded(b"one"))
    with pytest.raises(KeyLengthError, match="public half"):
        scheme.signing_key(key.private_key[:32] + hashlib.sha256(b"other").digest())


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Falcon-512", "unknown"),
        ("Ed25519-Dilithium2", "round-3 Dilithium"),
        ("RSA", "unknown signature scheme 'RSA'; expected one of Ed25519, "),
        ("", "unknown"),
    ],
)
def test_a_scheme_that_cannot_be_verified_is_refused_by_name(name: str, fault: str) -> None:
    with pytest.raises(UnsupportedSignatureSchemeError, match=fault):
        signature_scheme(name)


@pytest.mark.parametrize(
    "vector", [vector for vector in SCHEMES if "certificate" in vector], ids=lambda vector: vector["name"]
)
def test_a_certificate_of_the_reference_meets_its_threshold_and_no_higher_one(vector: dict[str, Any]) -> None:
    recording = vector["certificate"]
    scheme = signature_scheme(vector["name"])
    verifiers = [Verifier(f"auth{n}", scheme, bytes.fromhex(key)) for n, key in enumerate(recording["verifiers"])]
    assert [verifier.key_hash.hex() for verifier in verifiers] == recording["verifier_hashes"]
    certificate = Certificate.parse(bytes.fromhex(recording["raw"]))
    assert certificate.encode().hex() == recording["raw"]
    assert certificate.certified.hex() == recording["certified"]
    assert certificate.expiration == recording["expiration"]
    assert len(verifiers) == recording["good"] + recording["bad"]
    certificate.verify_threshold(verifiers, recording["threshold"], recording["expiration"] - 1)
    with pytest.raises(ThresholdError, match="threshold failure: 2 of 3"):
        certificate.verify_threshold(verifiers, recording["threshold"] + 1, 0)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=70))
def test_verification_never_raises(public_key: bytes, message: bytes, signature: bytes) -> None:
    for scheme in SIGNATURE_SCHEMES:
        assert not scheme.verify(public_key, message, signature)
