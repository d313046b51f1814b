"""The compiled engine's own primitives, beside others' and at their edges."""

import hashlib
import hmac
import random

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from pki.signatures.sphincs_trees import DIGEST_LENGTH, SIGNATURE_LENGTH
from sphinx.crypto.stream import header_stream
from sphinx.errors import KeyLengthError
from sphinx.native.base_table import COFACTOR, COLUMNS, DIGIT_BITS
from sphinx.native.library import Library
from tests.sphinx.compiled import libraries, needs_engine

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
BASE_POINT = (9).to_bytes(32, "little")
TOP_BIT = 1 << 255

SCALARS = [
    bytes(32),
    b"\xff" * 32,
    b"\x07" + bytes(31),
    bytes(31) + b"\x80",
    b"\xaa" * 32,
    ORDER.to_bytes(32, "little"),
    (8 * ORDER).to_bytes(32, "little"),
    (8 * ORDER - 8).to_bytes(32, "little"),
    (2**254 - 8).to_bytes(32, "little"),
]
# RFC 7748, 7, and D. J. Bernstein's list of points of low order; with what lies above the prime, where it fits.
LOW_ORDER = [
    0,
    1,
    P - 1,
    P,
    P + 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]
STRANGE_POINTS = [2, 3, 9, P - 2, P + 2, P + 9, 2**255 - 1, 2**254, (1 << 64) - 1, (1 << 255) - (1 << 64)]

pytestmark = needs_engine


def x25519(scalar: bytes, point: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(scalar).exchange(X25519PublicKey.from_public_bytes(point))


def x25519_base(scalar: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(scalar).public_key().public_bytes_raw()


@pytest.mark.parametrize(
    ("scalar", "point", "product"),
    [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ],
)
def test_the_vectors_of_rfc_7748_hold(library: Library, scalar: str, point: str, product: str) -> None:
    assert library.multiply(bytes.fromhex(scalar), bytes.fromhex(point)).hex() == product


def test_a_thousand_iterations_end_where_rfc_7748_says(library: Library) -> None:
    scalar = point = BASE_POINT
    for iteration in range(1000):
        scalar, point = library.multiply(scalar, point), scalar
        if iteration == 0:
            assert scalar.hex() == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    assert scalar.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def test_public_key_and_secret_of_rfc_7748_are_made(library: Library) -> None:
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    alice_public = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    assert library.multiply_base(bob).hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert library.multiply(bob, alice_public).hex() == shared


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_any_product_is_that_of_another_library(scalar: bytes, point: bytes) -> None:
    """Half of all points lie on the curve's twist, for which nothing else holds."""
    try:
        expected = x25519(scalar, point)
    except ValueError:
        expected = bytes(32)
    for library in libraries():
        assert library.multiply(scalar, point) == expected
        assert library.multiply_base(scalar) == x25519_base(scalar)


@pytest.mark.parametrize("scalar", SCALARS, ids=bytes.hex)
def test_strange_scalars_and_points_are_multiplied_right(library: Library, scalar: bytes) -> None:
    assert library.multiply_base(scalar) == x25519_base(scalar)
    for u in STRANGE_POINTS:
        for top_bit in (0, TOP_BIT):
            point = (u | top_bit).to_bytes(32, "little")
            assert library.multiply(scalar, point) == x25519(scalar, point), u


@pytest.mark.parametrize("u", LOW_ORDER)
def test_points_of_low_order_give_zeros(library: Library, u: int) -> None:
    for scalar in SCALARS:
        for top_bit in (0, TOP_BIT):
            assert library.multiply(scalar, (u | top_bit).to_bytes(32, "little")) == bytes(32)


def test_every_digit_of_a_scalar_reaches_its_column_of_the_table(library: Library) -> None:
    for digit in range(2**DIGIT_BITS):
        for place in range(2 * COLUMNS):
            scalar = ((digit * COFACTOR << (DIGIT_BITS * place)) % 2**256).to_bytes(32, "little")
            assert library.multiply_base(scalar) == x25519_base(scalar)


@given(st.binary(max_size=64), st.binary(max_size=300))
def test_any_mac_is_that_of_the_standard_library(key: bytes, data: bytes) -> None:
    for library in libraries():
        assert library.authenticate(key, data) == hmac.digest(key, data, "sha256")


def test_macs_are_right_at_every_length(library: Library) -> None:
    key = hashlib.sha256(b"key").digest()
    for length in range(260):
        data = random.Random(length).randbytes(length)
        assert library.authenticate(key, data) == hmac.digest(key, data, "sha256")


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16), st.integers(0, 400))
def test_any_key_stream_is_that_of_another_library(key: bytes, counter: bytes, length: int) -> None:
    for library in libraries():
        assert library.key_stream(key, counter, length) == header_stream(key, counter, length)


@pytest.mark.parametrize(
    "counter", ["ff" * 16, "00" * 8 + "ff" * 8, "00" * 7 + "01" + "ff" * 7 + "fb", "ff" * 15 + "f0"]
)
def test_the_whole_counter_counts(library: Library, counter: str) -> None:
    key, start = bytes(range(32)), bytes.fromhex(counter)
    assert library.key_stream(key, start, 500) == header_stream(key, start, 500)


@pytest.mark.parametrize("length", [0, 31, 33, 4000])
def test_lengths_that_c_would_read_or_write_beyond_are_refused(library: Library, length: int) -> None:
    good, bad = bytes(32), bytes(length)
    signature, digest = bytes(SIGNATURE_LENGTH), bytes(DIGEST_LENGTH)
    for call in (
        lambda: library.multiply(bad, good),
        lambda: library.multiply(good, bad),
        lambda: library.multiply_base(bad),
        lambda: library.table(bad),
        lambda: library.key_stream(bad, bytes(16), 1),
        lambda: library.key_stream(good, bad, 1),
        lambda: library.authenticate(bytes(65 + length), b""),
        lambda: library.sphincs_root(bad, digest, signature),
        lambda: library.sphincs_root(good, bad, signature),
        lambda: library.sphincs_root(good, digest, bad),
        lambda: library.sphincs_generate(bad, good),
        lambda: library.sphincs_generate(good, bad),
        lambda: library.sphincs_sign(bad, good, digest),
        lambda: library.sphincs_sign(good, bad, digest),
        lambda: library.sphincs_sign(good, good, bad),
    ):
        with pytest.raises(KeyLengthError):
            call()
