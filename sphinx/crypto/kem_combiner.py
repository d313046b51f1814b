"""Several KEMs as one that stands while any of them stands: the split-PRF combiner of the reference's library.

Keys, seeds and ciphertexts are the components', concatenated in the scheme's order. This is the keyed form that
hpqc has had since v0.0.81; nodes older than that derive other secrets and cannot be talked to.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from sphinx.crypto.kem_base import Kem, KemPrivateKey
from sphinx.randomness import Randomness

SECRET_LENGTH: Final = 32
_LABEL: Final = b"splitprf-v1"


def split_prf(secrets: Sequence[bytes], ciphertexts: Sequence[bytes]) -> bytes:
    """Combine one secret per component into 32 bytes, bound to all their ciphertexts.

    Args:
        secrets: each at its component's natural length.
        ciphertexts: in the same order.
    """
    message = b"".join(
        [
            _LABEL,
            len(ciphertexts).to_bytes(4, "big"),
            *(len(ciphertext).to_bytes(4, "big") + ciphertext for ciphertext in ciphertexts),
        ]
    )
    combined = 0
    for secret in secrets:
        key = hashlib.blake2b(secret, digest_size=SECRET_LENGTH).digest()
        part = hashlib.blake2b(message, key=key, digest_size=SECRET_LENGTH).digest()
        combined ^= int.from_bytes(part, "big")
    return combined.to_bytes(SECRET_LENGTH, "big")


class CombinedKem(Kem):
    """The combination of `components`, in this order, under the reference's `name` for it."""

    __slots__ = (
        "ciphertext_length",
        "components",
        "name",
        "private_key_length",
        "public_key_length",
        "seed_length",
        "shared_secret_length",
    )

    def __init__(self, name: str, *components: Kem) -> None:
        self.name = name
        self.components = components
        self.public_key_length = sum(kem.public_key_length for kem in components)
        self.private_key_length = sum(kem.private_key_length for kem in components)
        self.ciphertext_length = sum(kem.ciphertext_length for kem in components)
        self.seed_length = sum(kem.seed_length for kem in components)
        self.shared_secret_length = SECRET_LENGTH

    def _derive(self, seed: bytes) -> "CombinedPrivateKey":
        seeds = _cut(seed, [kem.seed_length for kem in self.components])
        keys = [kem.private_key(part) for kem, part in zip(self.components, seeds, strict=True)]
        return CombinedPrivateKey(self, keys)

    def _load(self, private_key: bytes) -> "CombinedPrivateKey":
        parts = _cut(private_key, [kem.private_key_length for kem in self.components])
        return CombinedPrivateKey(self, [kem.load(part) for kem, part in zip(self.components, parts, strict=True)])

    def _seal(self, public_key: bytes, randomness: Randomness) -> tuple[bytes, bytes]:
        keys = _cut(public_key, [kem.public_key_length for kem in self.components])
        sealed = [kem.encapsulate(key, randomness) for kem, key in zip(self.components, keys, strict=True)]
        ciphertexts = [ciphertext for ciphertext, _ in sealed]
        return b"".join(ciphertexts), split_prf([secret for _, secret in sealed], ciphertexts)


class CombinedPrivateKey(KemPrivateKey):
    """One private key per component."""

    __slots__ = ("_keys", "_lengths")

    def __init__(self, scheme: CombinedKem, keys: Sequence[KemPrivateKey]) -> None:
        self._keys = tuple(keys)
        self._lengths = [kem.ciphertext_length for kem in scheme.components]
        super().__init__(scheme, b"".join(key.public_key for key in keys))

    def _open(self, ciphertext: bytes) -> bytes:
        ciphertexts = _cut(ciphertext, self._lengths)
        secrets = [key.decapsulate(part) for key, part in zip(self._keys, ciphertexts, strict=True)]
        return split_prf(secrets, ciphertexts)


def _cut(whole: bytes, lengths: Sequence[int]) -> list[bytes]:
    parts = []
    for length in lengths:
        parts.append(whole[:length])
        whole = whole[length:]
    return parts
