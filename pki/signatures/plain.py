"""The schemes that stand alone: Ed25519 and Ed448 (RFC 8032, pure), ML-DSA (FIPS 204, pure, empty context)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import (
    MLDSA44PrivateKey,
    MLDSA44PublicKey,
    MLDSA65PrivateKey,
    MLDSA65PublicKey,
    MLDSA87PrivateKey,
    MLDSA87PublicKey,
)

from pki.errors import KeyLengthError, WeakKeyError
from pki.signatures.edwards import fault_of_ed448, fault_of_ed25519
from pki.signatures.scheme import require_length
from sphinx.randomness import Randomness


class _PublicHalf(Protocol):
    def verify(self, signature: bytes, data: bytes, /) -> None: ...
    def public_bytes_raw(self) -> bytes: ...


class _PrivateHalf(Protocol):
    def sign(self, data: bytes, /) -> bytes: ...
    def public_key(self) -> _PublicHalf: ...


_ML_DSA_SEED: Final = 32
"""Bytes of a public key before its polynomials (FIPS 204, algorithm 22)."""


@dataclass(frozen=True, slots=True)
class PlainSigningKey:
    """A key pair of one of these schemes.

    Args:
        scheme: the scheme.
        public_key: its public half.
        private_key: the reference's encoding: the seed, behind which the Edwards curves repeat the public key.
    """

    scheme: "PlainScheme"
    public_key: bytes
    private_key: bytes = field(repr=False)
    _key: _PrivateHalf = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """A signature over `message`."""
        return self._key.sign(message)


@dataclass(frozen=True, slots=True)
class PlainScheme:
    """A scheme of the `cryptography` library, with the reference's sizes and key encoding."""

    name: str
    public_key_length: int
    signature_length: int
    seed_length: int
    private_key_length: int
    _load_public: Callable[[bytes], _PublicHalf] = field(repr=False)
    _load_seed: Callable[[bytes], _PrivateHalf] = field(repr=False)
    _fault: Callable[[bytes], str] = field(repr=False)

    def check_public_key(self, public_key: bytes) -> None:
        """See `SignatureScheme.check_public_key`."""
        require_length(f"{self.name} key", public_key, self.public_key_length)
        if fault := self._fault(public_key):
            raise WeakKeyError(f"the {self.name} key {fault}")

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is by `public_key` over `message`."""
        if len(public_key) != self.public_key_length or len(signature) != self.signature_length:
            return False
        try:
            self._load_public(public_key).verify(signature, message)
        except (InvalidSignature, ValueError):  # ValueError: not the encoding of a key
            return False
        return True

    def generate(self, randomness: Randomness) -> PlainSigningKey:
        """A fresh key pair."""
        return self._from_seed(randomness.bytes(self.seed_length))

    def signing_key(self, private_key: bytes) -> PlainSigningKey:
        """The key pair in `private_key`.

        Raises:
            KeyLengthError: if it has another length, or repeats another public key than its seed's.
        """
        require_length(f"{self.name} private key", private_key, self.private_key_length)
        key = self._from_seed(private_key[: self.seed_length])
        if key.private_key != private_key:
            raise KeyLengthError(f"a {self.name} private key whose public half is not its seed's")
        return key

    def _from_seed(self, seed: bytes) -> PlainSigningKey:
        private = self._load_seed(seed)
        public_key = private.public_key().public_bytes_raw()
        repeated = public_key if self.private_key_length > self.seed_length else b""
        return PlainSigningKey(self, public_key, seed + repeated, private)


def _fault_of_ml_dsa(public_key: bytes) -> str:
    """With t = 0, w = A z for any short z: a signature is made from that without a private key."""
    return "" if any(public_key[_ML_DSA_SEED:]) else "has no polynomials but zeros: anybody could sign for it"


ED25519: Final = PlainScheme(
    "Ed25519",
    32,
    64,
    32,
    64,
    Ed25519PublicKey.from_public_bytes,
    Ed25519PrivateKey.from_private_bytes,
    fault_of_ed25519,
)
ED448: Final = PlainScheme(
    "Ed448", 57, 114, 57, 114, Ed448PublicKey.from_public_bytes, Ed448PrivateKey.from_private_bytes, fault_of_ed448
)
ML_DSA_44: Final = PlainScheme(
    "ML-DSA-44",
    1312,
    2420,
    32,
    32,
    MLDSA44PublicKey.from_public_bytes,
    MLDSA44PrivateKey.from_seed_bytes,
    _fault_of_ml_dsa,
)
ML_DSA_65: Final = PlainScheme(
    "ML-DSA-65",
    1952,
    3309,
    32,
    32,
    MLDSA65PublicKey.from_public_bytes,
    MLDSA65PrivateKey.from_seed_bytes,
    _fault_of_ml_dsa,
)
ML_DSA_87: Final = PlainScheme(
    "ML-DSA-87",
    2592,
    4627,
    32,
    32,
    MLDSA87PublicKey.from_public_bytes,
    MLDSA87PrivateKey.from_seed_bytes,
    _fault_of_ml_dsa,
)
