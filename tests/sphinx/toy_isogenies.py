"""A stand-in for the package highctidh: the same names and rules over a group that is quick and worth nothing."""

from collections.abc import Callable
from typing import Any

PRIME = 2**127 - 1
START = 3
LARGEST_EXPONENT = 0x3F


class CSIDHError(Exception):
    """The public key is no curve of the group."""


class DecodingError(Exception):
    """The private key is out of range."""


class Curve:
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def __bytes__(self) -> bytes:
        return self.value.to_bytes(128, "little")

    @classmethod
    def frombytes(cls, encoded: bytes, validate: bool = True) -> "Curve":
        assert not validate
        return cls(int.from_bytes(encoded, "little"))


class Exponents:
    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded

    def __bytes__(self) -> bytes:
        return self.encoded

    def derive_public_key(self) -> Curve:
        return Curve(pow(START, int.from_bytes(self.encoded, "little"), PRIME))


class ctidh:  # noqa: N801  # the package's own name
    pk_size, sk_size = 128, 130
    public_key = Curve

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def generate_secret_key(self, rng_bytes: Callable[[memoryview, Any], None]) -> Exponents:
        key = bytearray(self.sk_size)
        rng_bytes(memoryview(key)[:64], None)
        rng_bytes(memoryview(key)[64:], None)
        return Exponents(bytes(byte & LARGEST_EXPONENT for byte in key))

    def private_key_from_bytes(self, encoded: bytes) -> Exponents:
        if max(encoded) > LARGEST_EXPONENT:
            raise DecodingError("Private key exceeds a batch bound")
        return Exponents(encoded)

    def csidh(self, result: Curve, curve: Curve, exponents: Exponents) -> bool:
        if curve.value >= PRIME:
            raise CSIDHError
        result.value = pow(curve.value, int.from_bytes(bytes(exponents), "little"), PRIME)
        return True
