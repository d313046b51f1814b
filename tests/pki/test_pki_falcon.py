import random
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pki.errors import KeyLengthError, SigningUnavailableError, WeakKeyError
from pki.signatures import falcon, signature_scheme
from pki.signatures.falcon import FALCON_512, FALCON_1024, FalconScheme, Q
from sphinx.randomness import seeded
from tests.support.vectors import recorded, upstream

VECTORS: list[dict[str, Any]] = recorded("pki_falcon.json")["schemes"]
SCHEMES = {"Falcon-padded-512": FALCON_512, "Falcon-padded-1024": FALCON_1024}
HYBRIDS = ("Falcon-padded-512-Ed25519", "Falcon-padded-1024-Ed25519")
BODY = 41

each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])


def parts(vector: dict[str, Any]) -> tuple[FalconScheme, bytes, bytes, bytes]:
    """Scheme, public key, message, signature."""
    public_key, message, signature = (bytes.fromhex(vector[name]) for name in ("public_key", "message", "signature"))
    return SCHEMES[vector["name"]], public_key, message, signature


def changed(octets: bytes, position: int, mask: int) -> bytes:
    copy = bytearray(octets)
    copy[position] ^= mask
    return bytes(copy)


@pytest.mark.parametrize(
    ("name", "public_key", "private_key", "signature"),
    [
        ("Falcon-padded-512", 897, 1281, 666),
        ("Falcon-padded-1024", 1793, 2305, 1280),
        ("Falcon-padded-512-Ed25519", 929, 1345, 730),
        ("Falcon-padded-1024-Ed25519", 1825, 2369, 1344),
    ],
)
def test_sizes_and_names_are_the_reference_s(name: str, public_key: int, private_key: int, signature: int) -> None:
    scheme = signature_scheme(name.swapcase())
    lengths = (scheme.public_key_length, scheme.private_key_length, scheme.signature_length)
    assert (scheme.name, lengths) == (name, (public_key, private_key, signature))


@each_vector
def test_a_recorded_signature_verifies_and_no_other(vector: dict[str, Any]) -> None:
    scheme, public_key, message, signature = parts(vector)
    assert scheme.verify(public_key, message, signature)
    assert not scheme.verify(public_key, message + b"!", signature)
    assert not scheme.verify(changed(public_key, -1, 1), message, signature)
    for position in (0, 1, BODY - 1, BODY, BODY + 1, 300, len(signature) - 1):
        for mask in (0x01, 0x80):
            assert not scheme.verify(public_key, message, changed(signature, position, mask)), position


@each_vector
def test_wrong_lengths_are_no_signature_and_no_crash(vector: dict[str, Any]) -> None:
    scheme, public_key, message, signature = parts(vector)
    for bad in (b"", signature[:-1], signature + b"\0", bytes(len(signature)), b"\xff" * len(signature)):
        assert not scheme.verify(public_key, message, bad)
    for bad in (b"", public_key[:-1], public_key + b"\0", bytes(len(public_key)), b"\xff" * len(public_key)):
        assert not scheme.verify(bad, message, signature)


def encoded(scheme: FalconScheme, coefficients: list[tuple[bool, int]], rest: str = "") -> bytes:
    """A signature that encodes these signs and absolute values, padded with zeros behind `rest`."""
    bits = "".join(f"{negative:b}{value & 127:07b}{'0' * (value >> 7)}1" for negative, value in coefficients) + rest
    length = scheme.signature_length - BODY
    return bytes([0x30 + scheme.log_degree]) + bytes(40) + int(bits.ljust(8 * length, "0"), 2).to_bytes(length)


def test_each_polynomial_has_one_encoding() -> None:
    decode = FALCON_512._decode_signature
    zeros = [(False, 0)] * 511
    assert decode(encoded(FALCON_512, [*zeros, (True, 2047)])) == [0] * 511 + [-2047]
    assert decode(encoded(FALCON_512, [*zeros, (False, 1)])) == [0] * 511 + [1]
    assert decode(encoded(FALCON_512, [*zeros, (True, 0)])) is None
    assert decode(encoded(FALCON_512, [*zeros, (False, 2048)])) is None
    assert decode(encoded(FALCON_512, [*zeros, (False, 1)], rest="01")) is None
    assert decode(encoded(FALCON_512, zeros)) is None


def test_a_signature_must_be_short() -> None:
    """Of any s2 comes an s1; what makes it a signature is the norm of both."""
    scheme, public_key, message, _ = parts(VECTORS[0])
    assert not scheme.verify(public_key, message, encoded(scheme, [(False, 0)] * 512))
    assert not scheme.verify(public_key, message, encoded(scheme, [(False, 127)] * 512))


@pytest.mark.parametrize("degree", [512, 1024])
def test_a_product_is_the_schoolbook_s(degree: int) -> None:
    draws = random.Random(degree)
    a = [draws.randrange(Q) for _ in range(degree)]
    b = [draws.randint(-2047, 2047) for _ in range(degree)]
    expected = [0] * degree
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            place, sign = (i + j, 1) if i + j < degree else (i + j - degree, -1)
            expected[place] += sign * x * y
    assert falcon._multiply(a, b) == [value % Q for value in expected]
    assert falcon._multiply([Q - 1] * degree, [-1] * degree) == falcon._multiply([1] * degree, [1] * degree)


@settings(max_examples=5, deadline=None)
@given(st.integers(0))
def test_a_quotient_times_the_divisor_is_the_dividend(seed: int) -> None:
    draws = random.Random(seed)
    a, b = ([draws.randint(-31, 31) for _ in range(512)] for _ in range(2))
    quotient = falcon._divide(a, b)
    assert quotient is None or falcon._multiply(quotient, b) == [value % Q for value in a]
    assert falcon._divide(a, [0] * 512) is None


def test_an_upstream_hybrid_signature_verifies() -> None:
    vector = {name: bytes.fromhex(value) for name, value in upstream("falcon_padded_512_ed25519.json").items()}
    scheme = signature_scheme("Falcon-padded-512-Ed25519")
    assert scheme.verify(vector["pk"], vector["msg"], vector["sig"])
    for position in (0, 50, 665, 666, 729):
        assert not scheme.verify(vector["pk"], vector["msg"], changed(vector["sig"], position, 4))


@each_vector
def test_keys_that_encode_no_polynomial_are_refused(vector: dict[str, Any]) -> None:
    scheme, public_key, _, _ = parts(vector)
    scheme.check_public_key(public_key)
    for bad in (changed(public_key, 0, 1), public_key[:1] + b"\xff" * (len(public_key) - 1)):
        with pytest.raises(WeakKeyError, match="encodes no polynomial"):
            scheme.check_public_key(bad)


@each_vector
def test_a_private_key_has_its_public_half(vector: dict[str, Any]) -> None:
    pytest.importorskip("pqcrypto.sign")
    scheme, public_key, message, _ = parts(vector)
    key = scheme.signing_key(bytes.fromhex(vector["private_key"]))
    assert key.public_key == public_key
    assert scheme.verify(public_key, message, key.sign(message))
    assert vector["private_key"] not in repr(key)
    assert repr(key.private_key) not in repr(key)
    with pytest.raises(KeyLengthError, match=f"expected {scheme.private_key_length}"):
        scheme.signing_key(key.private_key[:-1])
    for none in (changed(key.private_key, 0, 1), key.private_key[:1] + bytes(len(key.private_key) - 1)):
        with pytest.raises(KeyLengthError, match="encodes none"):
            scheme.signing_key(none)


@pytest.mark.parametrize("name", [*SCHEMES, *HYBRIDS])
def test_a_new_key_signs(name: str) -> None:
    pytest.importorskip("pqcrypto.sign")
    scheme = signature_scheme(name)
    key = scheme.generate(seeded(b"falcon"))
    assert scheme.signing_key(key.private_key).public_key == key.public_key
    signature = key.sign(b"message")
    assert scheme.verify(key.public_key, b"message", signature)
    assert not scheme.verify(key.public_key, b"message", changed(signature, -1, 1))
    assert not scheme.verify(key.public_key, b"massage", signature)


@pytest.mark.parametrize("name", [*SCHEMES, *HYBRIDS])
def test_without_the_library_that_signs_the_remedy_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in list(sys.modules):
        if module.startswith("pqcrypto."):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pqcrypto", None)
    scheme = signature_scheme(name)
    remedy = r"pip install 'kpclientd\[falcon\]'"
    with pytest.raises(SigningUnavailableError, match=remedy):
        scheme.generate(seeded(b"none"))
    with pytest.raises(SigningUnavailableError, match=remedy):
        scheme.signing_key(bytes(scheme.private_key_length))
    _, public_key, message, signature = parts(VECTORS[0])
    assert FALCON_512.verify(public_key, message, signature)
