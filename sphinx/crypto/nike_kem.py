"""A NIKE used as a KEM: hashed ElGamal, the adapter of the reference's cryptography library.

The ciphertext is an ephemeral public key; the shared secret is BLAKE2Xb, keyed by the exchange's result, over the
receiver's key and the ephemeral one.
"""

import hashlib
from typing import Final

from sphinx.crypto.blake2xb import blake2xb, blake2xb_reader
from sphinx.crypto.kem_base import Kem, KemPrivateKey
from sphinx.crypto.nike_base import Nike
from sphinx.randomness import Randomness

_PRF_KEY_LENGTH: Final = 32
_SEED_LENGTH: Final = 32


class NikeKem(Kem):
    """The adapter over one NIKE: every public key, ciphertext and secret has the same length."""

    __slots__ = (
        "ciphertext_length",
        "name",
        "nike",
        "private_key_length",
        "public_key_length",
        "seed_length",
        "shared_secret_length",
    )

    def __init__(self, nike: Nike) -> None:
        self.nike = nike
        self.name = nike.name
        self.public_key_length = self.ciphertext_length = self.shared_secret_length = nike.public_key_length
        self.private_key_length = nike.private_key_length
        self.seed_length = _SEED_LENGTH

    def _derive(self, seed: bytes) -> "NikeKemPrivateKey":
        digest = hashlib.blake2b(seed, digest_size=_SEED_LENGTH).digest()
        return self._load(self.nike.generate(blake2xb_reader(digest)))

    def _load(self, private_key: bytes) -> "NikeKemPrivateKey":
        return NikeKemPrivateKey(self, private_key)

    def _seal(self, public_key: bytes, randomness: Randomness) -> tuple[bytes, bytes]:
        ephemeral = self.nike.generate(randomness.bytes)
        ciphertext = self.nike.public_key(ephemeral)
        return ciphertext, self.secret(ephemeral, public_key, public_key + ciphertext)

    def secret(self, private_key: bytes, public_key: bytes, transcript: bytes) -> bytes:
        """Hash the exchange of two keys together with `transcript`, the receiver's key and the ephemeral one."""
        key = self.nike.shared_secret(private_key, public_key)
        if len(key) != _PRF_KEY_LENGTH:
            key = hashlib.blake2b(key, digest_size=_PRF_KEY_LENGTH).digest()
        return blake2xb(transcript, key=key, length=self.shared_secret_length)


class NikeKemPrivateKey(KemPrivateKey):
    """A private key of the NIKE."""

    __slots__ = ("_private_key", "_scheme")

    def __init__(self, scheme: NikeKem, private_key: bytes) -> None:
        self._scheme = scheme
        self._private_key = private_key
        super().__init__(scheme, scheme.nike.public_key(private_key))

    def _open(self, ciphertext: bytes) -> bytes:
        return self._scheme.secret(self._private_key, ciphertext, self.public_key + ciphertext)
