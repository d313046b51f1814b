import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pki.certificate import Verifier
from pki.errors import KeyLengthError, WeakKeyError
from pki.signatures import SIGNATURE_SCHEMES, SignatureScheme, signature_scheme
from sphinx.randomness import seeded

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
TOP_BIT = 1 << 255
ED25519 = signature_scheme("Ed25519")
IDENTITY = (1).to_bytes(32, "little")

Point = tuple[int, int]


def add(a: Point, b: Point) -> Point:
    """RFC 8032, 5.1.4, in affine coordinates."""
    product = D * a[0] * b[0] * a[1] * b[1]
    x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + product, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, P) % P


def points_of_low_order() -> list[Point]:
    """All multiples of a point of order eight: of what the group's large prime order leaves of some point."""
    quarter = (pow(2, (P - 1) // 4, P), 0)  # the root of -1 is the x of a point of order four
    for y in range(1, P):
        denominator = (D * y * y + 1) % P
        square = (y * y - 1) * pow(denominator, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        if x * x % P != square:
            x = x * quarter[0] % P
        if x * x % P != square:
            continue
        point = multiple(2**252 + 27742317777372353535851937790883648493, (x, y))
        if multiple(4, point) != (0, 1):
            return [multiple(k, point) for k in range(8)]
    raise AssertionError("there is such a point")


def multiple(scalar: int, point: Point) -> Point:
    result = (0, 1)
    for bit in bin(scalar)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def encodings(point: Point) -> list[bytes]:
    """All that decode to a point or, with the other sign of x, to its negative; also those above the prime."""
    ys = [y for y in (point[1], point[1] + P) if y < TOP_BIT]
    return [(y + top).to_bytes(32, "little") for y in ys for top in (0, TOP_BIT)]


def test_every_point_of_low_order_is_refused() -> None:
    points = points_of_low_order()
    assert len(set(points)) == 8
    for point in points:
        for encoded in encodings(point):
            with pytest.raises(WeakKeyError, match="low order: anybody could sign"):
                ED25519.check_public_key(encoded)


def test_anybody_signs_for_a_point_of_low_order() -> None:
    """Why they are refused: the product of whatever challenge with the key is known."""
    Ed25519PublicKey.from_public_bytes(IDENTITY).verify(IDENTITY + bytes(32), b"whatever")
    with pytest.raises(WeakKeyError, match="authority 'auth1': the Ed25519 key is a point of low order"):
        Verifier("auth1", ED25519, IDENTITY)


def test_zeros_are_called_zeros() -> None:
    with pytest.raises(WeakKeyError, match="Ed25519 key is all zero, which is a point of low order"):
        ED25519.check_public_key(bytes(32))


@pytest.mark.parametrize("scheme", SIGNATURE_SCHEMES, ids=lambda scheme: scheme.name)
def test_no_scheme_takes_zeros_or_another_length_for_a_key(scheme: SignatureScheme) -> None:
    with pytest.raises(WeakKeyError):
        scheme.check_public_key(bytes(scheme.public_key_length))
    for length in (0, scheme.public_key_length - 1, scheme.public_key_length + 1):
        with pytest.raises(KeyLengthError, match=f"{length} bytes; expected {scheme.public_key_length}"):
            scheme.check_public_key(b"\1" * length)


def test_what_is_on_neither_curve_is_refused() -> None:
    refused = 0
    for y in range(2, 40):
        encoded = y.to_bytes(32, "little")
        try:
            ED25519.check_public_key(encoded)
        except WeakKeyError as error:
            assert "no point of the curve" in str(error)
            refused += 1
    assert 5 < refused < 33


@pytest.mark.parametrize("name", ["Ed25519", "Ed448", "ML-DSA-44-Ed25519", "Ed25519 Sphincs+"])
def test_keys_that_are_some_are_taken(name: str) -> None:
    scheme = signature_scheme(name)
    for number in range(5):
        scheme.check_public_key(scheme.generate(seeded(b"%d" % number)).public_key)


@pytest.mark.parametrize("y", [0, 1, 2**448 - 2**224 - 2, 2**448 - 2**224 - 1, 2**448 - 2**224])
def test_every_point_of_low_order_on_the_other_curve_is_refused(y: int) -> None:
    for sign in (b"\0", b"\x80"):
        with pytest.raises(WeakKeyError, match="low order"):
            signature_scheme("Ed448").check_public_key(y.to_bytes(56, "little") + sign)


@pytest.mark.parametrize("name", ["Ed25519 Sphincs+", "Ed25519-Sphincs+", "ML-DSA-65-Ed25519"])
def test_a_weak_half_makes_a_weak_key(name: str) -> None:
    scheme = signature_scheme(name)
    public_key = scheme.generate(seeded(b"hybrid")).public_key
    weak = IDENTITY + public_key[32:] if name.startswith("Ed25519") else public_key[:-32] + IDENTITY
    with pytest.raises(WeakKeyError, match="the Ed25519 key is a point of low order"):
        Verifier("auth1", scheme, weak)
    other = public_key[:32] + bytes(len(public_key) - 32)
    with pytest.raises(WeakKeyError):
        Verifier("auth1", scheme, other)
