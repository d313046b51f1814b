"""Falcon-padded-512 and -1024 in the encodings of PQClean, which the reference has.

Verified here: a signature is a short polynomial s2, and with c, which the message hashes to, s1 = c - s2 h must be
short too, in Z_q[x]/(x^n + 1) (Fouque and others, "Falcon: Fast-Fourier lattice-based compact signatures over NTRU",
v1.2, 2020, algorithms 3, 16, 18). Signing needs Gaussian samplers in constant time, so a library does it.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from pki.errors import KeyLengthError, SigningUnavailableError, WeakKeyError
from pki.signatures.scheme import require_length
from sphinx.randomness import Randomness

Q: Final = 12289
_GENERATOR: Final = 11
"""Of the multiplicative group modulo q."""

_COEFFICIENT_BITS: Final = 14
_SIGNATURE_HEAD: Final = 0x30
_PRIVATE_HEAD: Final = 0x50
_NONCE_END: Final = 1 + 40

_LOW_BITS: Final = 7
_LARGEST: Final = 2047
"""Absolute value of a coefficient of s2."""

_WORDS_BELOW: Final = 61445
"""Of the words that a message hashes to, those below are used: the largest multiple of q in 16 bits."""

_SLOT: Final = 5
"""Bytes for each coefficient of a product of polynomials without reduction: below 1024 q^2, or 2^38."""


@dataclass(frozen=True, slots=True)
class FalconSigningKey:
    """A Falcon key pair; signing draws on the operating system's randomness."""

    scheme: "FalconScheme"
    public_key: bytes
    private_key: bytes = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """A signature over `message`.

        Raises:
            SigningUnavailableError: if the library that signs is not installed.
        """
        signature: bytes = _library(self.scheme).sign(self.private_key, message)
        return signature


@dataclass(frozen=True, slots=True)
class FalconScheme:
    """Falcon with padded signatures.

    Args:
        name: the canonical name.
        log_degree: 9 or 10; polynomials have two to the power of that many coefficients.
        signature_length: bytes of a signature with its padding.
        bound: what the squares of all coefficients of s1 and s2 add up to at most.
        private_bits: of each coefficient of the private polynomials f and g.
    """

    name: str
    log_degree: int
    signature_length: int
    bound: int
    private_bits: int

    @property
    def degree(self) -> int:
        """The number of coefficients."""
        return 1 << self.log_degree

    @property
    def public_key_length(self) -> int:
        """Bytes of a public key."""
        return 1 + self.degree * _COEFFICIENT_BITS // 8

    @property
    def private_key_length(self) -> int:
        """Bytes of f, g and F, behind one that says how many there are."""
        return 1 + 2 * self.degree * self.private_bits // 8 + self.degree

    def check_public_key(self, public_key: bytes) -> None:
        """See `SignatureScheme.check_public_key`."""
        require_length(f"{self.name} key", public_key, self.public_key_length)
        if self._decode_public(public_key) is None:
            raise WeakKeyError(f"the {self.name} key encodes no polynomial: nobody could sign for it")

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is by `public_key` over `message`."""
        if len(public_key) != self.public_key_length or len(signature) != self.signature_length:
            return False
        h, s2 = self._decode_public(public_key), self._decode_signature(signature)
        if h is None or s2 is None:
            return False
        c = _hash_to_point(signature[1:_NONCE_END], message, self.degree)
        norm = sum(value * value for value in s2)
        for value, product in zip(c, _multiply(h, s2), strict=True):
            centred = (value - product + Q // 2) % Q - Q // 2
            norm += centred * centred
        return norm <= self.bound

    def generate(self, randomness: Randomness) -> FalconSigningKey:
        """A fresh key pair. The library draws on the operating system's randomness, not on `randomness`.

        Raises:
            SigningUnavailableError: if that library is not installed.
        """
        public_key, private_key = _library(self).generate_keypair()
        return FalconSigningKey(self, bytes(public_key), bytes(private_key))

    def signing_key(self, private_key: bytes) -> FalconSigningKey:
        """The key pair in `private_key`.

        Raises:
            KeyLengthError: if it has another length, or holds no private key.
            SigningUnavailableError: if the library that signs is not installed.
        """
        require_length(f"{self.name} private key", private_key, self.private_key_length)
        _library(self)
        length = self.degree * self.private_bits // 8
        f = _unpack_signed(private_key[1 : 1 + length], self.private_bits)
        g = _unpack_signed(private_key[1 + length : 1 + 2 * length], self.private_bits)
        h = _divide(g, f)
        if private_key[0] != _PRIVATE_HEAD + self.log_degree or h is None:
            raise KeyLengthError(f"a {self.name} private key that encodes none")
        return FalconSigningKey(self, bytes([self.log_degree]) + _pack(h), private_key)

    def _decode_public(self, public_key: bytes) -> list[int] | None:
        h = _unpack(public_key[1:], _COEFFICIENT_BITS)
        return h if public_key[0] == self.log_degree and max(h) < Q else None

    def _decode_signature(self, signature: bytes) -> list[int] | None:
        """The coefficients of s2, or None: there is one encoding of each (algorithm 18)."""
        if signature[0] != _SIGNATURE_HEAD + self.log_degree:
            return None
        bits = _bits(signature[_NONCE_END:])
        s2 = []
        at = 0
        for _ in range(self.degree):
            high_at = at + 1 + _LOW_BITS
            end = bits.find("1", high_at)
            if end < 0:
                return None
            value = int(bits[at + 1 : high_at], 2) + ((end - high_at) << _LOW_BITS)
            negative = bits[at] == "1"
            if value > _LARGEST or (negative and value == 0):
                return None
            s2.append(-value if negative else value)
            at = end + 1
        return None if "1" in bits[at:] else s2


def _bits(octets: bytes) -> str:
    return f"{int.from_bytes(octets):0{8 * len(octets)}b}"


def _unpack(octets: bytes, width: int) -> list[int]:
    bits = _bits(octets)
    return [int(bits[at : at + width], 2) for at in range(0, len(bits), width)]


def _unpack_signed(octets: bytes, width: int) -> list[int]:
    half = 1 << (width - 1)
    return [(value ^ half) - half for value in _unpack(octets, width)]


def _pack(coefficients: Sequence[int]) -> bytes:
    bits = "".join([f"{value:0{_COEFFICIENT_BITS}b}" for value in coefficients])
    return int(bits, 2).to_bytes(len(bits) // 8)


def _hash_to_point(nonce: bytes, message: bytes, degree: int) -> list[int]:
    """The polynomial that a message hashes to (algorithm 3)."""
    shake = hashlib.shake_256(nonce)
    shake.update(message)
    count = degree
    while True:
        count += degree // 4
        words = struct.unpack(f">{count}H", shake.digest(2 * count))
        values = [word % Q for word in words if word < _WORDS_BELOW]
        if len(values) >= degree:
            return values[:degree]


def _multiply(a: Sequence[int], b: Sequence[int]) -> list[int]:
    """The product modulo q and x^n + 1, by one product of long numbers (Kronecker substitution)."""
    degree = len(a)
    left, right = (
        int.from_bytes(b"".join([(value % Q).to_bytes(_SLOT, "little") for value in poly]), "little") for poly in (a, b)
    )
    product = (left * right).to_bytes(2 * degree * _SLOT, "little")
    slots = [int.from_bytes(product[at : at + _SLOT], "little") for at in range(0, len(product), _SLOT)]
    return [(low - high) % Q for low, high in zip(slots[:degree], slots[degree:], strict=True)]


def _divide(a: Sequence[int], b: Sequence[int]) -> list[int] | None:
    """The quotient modulo q and x^n + 1; None if there is none."""
    divisors = _evaluate(b, len(b))
    if 0 in divisors:
        return None
    values = [value * pow(divisor, -1, Q) % Q for value, divisor in zip(_evaluate(a, len(a)), divisors, strict=True)]
    return _interpolate(values, len(a))


def _evaluate(poly: Sequence[int], exponent: int, degree: int = 0) -> list[int]:
    """The values at the roots of x^len(poly) - w^exponent, where w^degree = -1; at first, the roots of x^n + 1."""
    degree = degree or len(poly)
    if len(poly) == 1:
        return [poly[0] % Q]
    half, exponent = len(poly) // 2, exponent // 2
    root = _root(degree, exponent)
    lower = [low + root * high for low, high in zip(poly[:half], poly[half:], strict=True)]
    upper = [low - root * high for low, high in zip(poly[:half], poly[half:], strict=True)]
    return _evaluate(_reduced(lower), exponent, degree) + _evaluate(_reduced(upper), exponent + degree, degree)


def _interpolate(values: Sequence[int], exponent: int, degree: int = 0) -> list[int]:
    """The polynomial that has these values: `_evaluate` backwards."""
    degree = degree or len(values)
    if len(values) == 1:
        return list(values)
    half, exponent = len(values) // 2, exponent // 2
    lower = _interpolate(values[:half], exponent, degree)
    upper = _interpolate(values[half:], exponent + degree, degree)
    halved, divisor = pow(2, -1, Q), pow(2 * _root(degree, exponent), -1, Q)
    low = [(one + other) * halved for one, other in zip(lower, upper, strict=True)]
    high = [(one - other) * divisor for one, other in zip(lower, upper, strict=True)]
    return _reduced(low + high)


def _root(degree: int, exponent: int) -> int:
    return pow(_GENERATOR, (Q - 1) // (2 * degree) * exponent, Q)


def _reduced(poly: Sequence[int]) -> list[int]:
    return [value % Q for value in poly]


def _library(scheme: FalconScheme) -> Any:
    """The module that makes keys and signatures."""
    try:
        return import_module(f"pqcrypto.sign.{scheme.name.lower().replace('-', '_')}")
    except ImportError:
        raise SigningUnavailableError(
            f"signing with {scheme.name} needs the package pqcrypto below version 1.0: "
            "pip install 'kpclientd[falcon]' (verifying needs nothing)"
        ) from None


FALCON_512: Final = FalconScheme("Falcon-padded-512", 9, 666, 34_034_726, 6)
FALCON_1024: Final = FalconScheme("Falcon-padded-1024", 10, 1280, 70_265_242, 5)
