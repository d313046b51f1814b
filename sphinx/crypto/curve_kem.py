"""A Diffie-Hellman curve used as a KEM: hashed ElGamal, the adapter of the reference's cryptography library.

The ciphertext is an ephemeral public key; the shared secret is BLAKE2Xb, keyed by the exchange's result, over the
receiver's key and the ephemeral one.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from sphinx.crypto.blake2xb import blake2xb, blake2xb_stream
from sphinx.crypto.kem_base import Kem, KemPrivateKey
from sphinx.randomness import Randomness

_PRF_KEY_LENGTH: Final = 32
_SEED_LENGTH: Final = 32

PublicKeyOf = Callable[[bytes], bytes]
"""Private key to public key."""

Exchange = Callable[[bytes, bytes], bytes]
"""Private key and the peer's public key to the shared point; ValueError for a low-order point."""


def _x25519_public_key(private_key: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def _x25519(private_key: bytes, public_key: bytes) -> bytes:
    peer = X25519PublicKey.from_public_bytes(public_key)
    return X25519PrivateKey.from_private_bytes(private_key).exchange(peer)


def _x448_public_key(private_key: bytes) -> bytes:
    return X448PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def _x448(private_key: bytes, public_key: bytes) -> bytes:
    peer = X448PublicKey.from_public_bytes(public_key)
    return X448PrivateKey.from_private_bytes(private_key).exchange(peer)


class CurveKem(Kem):
    """The adapter over one curve, on which every key, ciphertext and secret has the same length.

    Args:
        name: the curve's name in the reference.
        length: of its keys in bytes.
        public_key_of: its scalar multiplication with the base point.
        exchange: its scalar multiplication with a peer's point.
    """

    __slots__ = (
        "_exchange",
        "_public_key_of",
        "ciphertext_length",
        "name",
        "private_key_length",
        "public_key_length",
        "seed_length",
        "shared_secret_length",
    )

    def __init__(self, name: str, length: int, public_key_of: PublicKeyOf, exchange: Exchange) -> None:
        self.name = name
        self.public_key_length = self.ciphertext_length = self.shared_secret_length = length
        self.private_key_length = length
        self.seed_length = _SEED_LENGTH
        self._public_key_of = public_key_of
        self._exchange = exchange

    def _derive(self, seed: bytes) -> "CurvePrivateKey":
        digest = hashlib.blake2b(seed, digest_size=_SEED_LENGTH).digest()
        return self.from_scalar(blake2xb_stream(digest, length=self.public_key_length))

    def _load(self, private_key: bytes) -> "CurvePrivateKey":
        return self.from_scalar(private_key)

    def from_scalar(self, scalar: bytes) -> "CurvePrivateKey":
        """Take a private key as the curve has it, of `public_key_length` bytes."""
        return CurvePrivateKey(self, scalar, self._public_key_of(scalar))

    def _seal(self, public_key: bytes, randomness: Randomness) -> tuple[bytes, bytes]:
        ephemeral = randomness.bytes(self.public_key_length)
        ciphertext = self._public_key_of(ephemeral)
        return ciphertext, self.secret(ephemeral, public_key, public_key + ciphertext)

    def secret(self, private_key: bytes, public_key: bytes, transcript: bytes) -> bytes:
        """Hash the exchange of two keys together with `transcript`, the receiver's key and the ephemeral one."""
        key = self._exchange(private_key, public_key)
        if len(key) != _PRF_KEY_LENGTH:
            key = hashlib.blake2b(key, digest_size=_PRF_KEY_LENGTH).digest()
        return blake2xb(transcript, key=key, length=self.shared_secret_length)


class CurvePrivateKey(KemPrivateKey):
    """A curve's scalar."""

    __slots__ = ("_scalar", "_scheme")

    def __init__(self, scheme: CurveKem, scalar: bytes, public_key: bytes) -> None:
        self._scheme = scheme
        self._scalar = scalar
        super().__init__(scheme, public_key)

    def _open(self, ciphertext: bytes) -> bytes:
        return self._scheme.secret(self._scalar, ciphertext, self.public_key + ciphertext)


X25519: Final = CurveKem("x25519", 32, _x25519_public_key, _x25519)
X448: Final = CurveKem("x448", 56, _x448_public_key, _x448)
