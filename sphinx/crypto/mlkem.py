"""ML-KEM-768 (FIPS 203), and Kyber-768 of round 3 as the same lattice with another last step."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey

from sphinx.crypto.kem_base import Kem, KemPrivateKey
from sphinx.errors import UnsupportedSchemeError
from sphinx.randomness import Randomness

Key = TypeVar("Key", bound=KemPrivateKey)

PUBLIC_KEY_LENGTH: Final = 1184
CIPHERTEXT_LENGTH: Final = 1088
SHARED_SECRET_LENGTH: Final = 32
SEED_LENGTH: Final = 64  # d || z
_ROUND_3_PRIVATE_KEY_LENGTH: Final = 2400


class MlKem768(Kem):
    """FIPS 203 at security category 3; a private key is the seed `d || z`."""

    __slots__ = ()

    name = "MLKEM768"
    public_key_length = PUBLIC_KEY_LENGTH
    private_key_length = PUBLIC_KEY_LENGTH + SEED_LENGTH
    ciphertext_length = CIPHERTEXT_LENGTH
    shared_secret_length = SHARED_SECRET_LENGTH
    seed_length = SEED_LENGTH

    def _derive(self, seed: bytes) -> "MlKemPrivateKey":
        return MlKemPrivateKey(self, seed)

    def _load(self, private_key: bytes) -> "MlKemPrivateKey":
        return split_off_seed(private_key, PUBLIC_KEY_LENGTH, self._derive)

    def _seal(self, public_key: bytes, randomness: Randomness) -> tuple[bytes, bytes]:
        secret, ciphertext = MLKEM768PublicKey.from_public_bytes(public_key).encapsulate()
        return ciphertext, self.finish(secret, ciphertext)

    def finish(self, secret: bytes, ciphertext: bytes) -> bytes:
        """Turn the lattice's secret into the scheme's; FIPS 203 takes it as it is."""
        return secret


class Kyber768(MlKem768):
    """Kyber-768 as submitted to round 3 of the NIST competition.

    Keys and ciphertexts are ML-KEM's; only the secret is hashed once more together with the ciphertext. An
    ML-KEM opener does not notice that a round 3 sender hashed its message first, so both interoperate. Only the
    secret of a damaged ciphertext differs, which nobody honest ever sees.
    """

    __slots__ = ()

    name = "Kyber768"
    private_key_length = _ROUND_3_PRIVATE_KEY_LENGTH

    def finish(self, secret: bytes, ciphertext: bytes) -> bytes:
        """Return KDF(K || H(c)) of the round 3 specification, algorithm 8."""
        return hashlib.shake_256(secret + hashlib.sha3_256(ciphertext).digest()).digest(SHARED_SECRET_LENGTH)

    def _load(self, private_key: bytes) -> "MlKemPrivateKey":
        raise UnsupportedSchemeError(
            "private Kyber768 keys as the reference writes them, without their seed, are not supported here, "
            "because the lattice's library takes seeds only; nodes alone need them"
        )


def split_off_seed(private_key: bytes, public_key_length: int, derive: Callable[[bytes], Key]) -> Key:
    """Load a private key that the reference writes as public key and seed.

    Raises:
        ValueError: if the two do not belong together.
    """
    key = derive(private_key[public_key_length:])
    if not hmac.compare_digest(key.public_key, private_key[:public_key_length]):
        raise ValueError("its public half is not what its seed gives")
    return key


class MlKemPrivateKey(KemPrivateKey):
    """A lattice private key, for `MlKem768` and `Kyber768`."""

    __slots__ = ("_key", "_scheme")

    def __init__(self, scheme: MlKem768, seed: bytes) -> None:
        self._scheme = scheme
        self._key = MLKEM768PrivateKey.from_seed_bytes(seed)
        super().__init__(scheme, self._key.public_key().public_bytes_raw())

    def _open(self, ciphertext: bytes) -> bytes:
        return self._scheme.finish(self._key.decapsulate(ciphertext), ciphertext)
