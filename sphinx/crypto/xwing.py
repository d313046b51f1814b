"""X-Wing, the hybrid of ML-KEM-768 and X25519 (draft-connolly-cfrg-xwing-kem, revision 05 and later)."""

import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from sphinx.crypto import mlkem
from sphinx.crypto.kem_base import Kem, KemPrivateKey
from sphinx.crypto.nike import X25519
from sphinx.randomness import Randomness

_CURVE_LENGTH: Final = X25519.public_key_length
_LABEL: Final = bytes.fromhex("5c2e2f2f5e5c")  # `\.//^\`, in section 5.3 of the draft


def _combine(lattice_secret: bytes, curve_secret: bytes, curve_ciphertext: bytes, curve_key: bytes) -> bytes:
    # Revisions before 05 hashed the label first; the network's form has it last.
    return hashlib.sha3_256(lattice_secret + curve_secret + curve_ciphertext + curve_key + _LABEL).digest()


class XWing(Kem):
    """X-Wing: keys and ciphertexts are the lattice's followed by the curve's.

    Args:
        curve: X25519.
    """

    __slots__ = ("curve",)

    name = "XWING"
    public_key_length = mlkem.PUBLIC_KEY_LENGTH + _CURVE_LENGTH
    ciphertext_length = mlkem.CIPHERTEXT_LENGTH + _CURVE_LENGTH
    shared_secret_length = 32
    seed_length = 32
    private_key_length = public_key_length + seed_length

    def __init__(self, curve: X25519) -> None:
        self.curve = curve

    def _derive(self, seed: bytes) -> "XWingPrivateKey":
        return XWingPrivateKey(self, seed)

    def _load(self, private_key: bytes) -> "XWingPrivateKey":
        return mlkem.split_off_seed(private_key, self.public_key_length, self._derive)

    def _seal(self, public_key: bytes, randomness: Randomness) -> tuple[bytes, bytes]:
        lattice_key, curve_key = public_key[: mlkem.PUBLIC_KEY_LENGTH], public_key[mlkem.PUBLIC_KEY_LENGTH :]
        lattice_secret, lattice_ciphertext = MLKEM768PublicKey.from_public_bytes(lattice_key).encapsulate()
        ephemeral = randomness.bytes(_CURVE_LENGTH)
        curve_ciphertext = self.curve.public_key(ephemeral)
        curve_secret = self.curve.shared_secret(ephemeral, curve_key)
        secret = _combine(lattice_secret, curve_secret, curve_ciphertext, curve_key)
        return lattice_ciphertext + curve_ciphertext, secret


class XWingPrivateKey(KemPrivateKey):
    """The two private keys that a 32-byte seed expands to."""

    __slots__ = ("_curve", "_curve_key", "_curve_scalar", "_lattice")

    def __init__(self, scheme: XWing, seed: bytes) -> None:
        expanded = hashlib.shake_256(seed).digest(mlkem.SEED_LENGTH + _CURVE_LENGTH)
        self._lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[: mlkem.SEED_LENGTH])
        self._curve = scheme.curve
        self._curve_scalar = expanded[mlkem.SEED_LENGTH :]
        self._curve_key = self._curve.public_key(self._curve_scalar)
        super().__init__(scheme, self._lattice.public_key().public_bytes_raw() + self._curve_key)

    def _open(self, ciphertext: bytes) -> bytes:
        curve_ciphertext = ciphertext[mlkem.CIPHERTEXT_LENGTH :]
        lattice_secret = self._lattice.decapsulate(ciphertext[: mlkem.CIPHERTEXT_LENGTH])
        curve_secret = self._curve.shared_secret(self._curve_scalar, curve_ciphertext)
        return _combine(lattice_secret, curve_secret, curve_ciphertext, self._curve_key)
