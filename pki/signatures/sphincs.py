"""SPHINCS+ as the reference registers it: SHAKE-256f-robust of round 3.1, in the compiled engine where there is one."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from pki.errors import KeyLengthError, WeakKeyError
from pki.signatures import sphincs_trees
from pki.signatures.scheme import require_length
from pki.signatures.sphincs_trees import NODE, SIGNATURE_LENGTH, message_digest
from sphinx.crypto.mac import constant_time_equal
from sphinx.native import engine
from sphinx.randomness import Randomness

_SEEDS: Final = 3
"""Of a private key: for secret nodes, for random strings, and the public one."""


@dataclass(frozen=True, slots=True)
class SphincsSigningKey:
    """A SPHINCS+ key pair.

    Args:
        scheme: the scheme.
        private_key: two secret seeds and the public key, whose first half is a seed too (128 bytes).

    Raises:
        KeyLengthError: if the private key has another length.
    """

    scheme: "SphincsScheme"
    private_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        require_length(f"{self.scheme.name} private key", self.private_key, self.scheme.private_key_length)

    @property
    def public_key(self) -> bytes:
        """The public seed and the root (64 bytes)."""
        return self.private_key[2 * NODE :]

    def sign(self, message: bytes) -> bytes:
        """A signature over `message`, the same one each time. Takes a second without the compiled engine."""
        secret_seed, string_seed, public_seed = (self.private_key[at : at + NODE] for at in range(0, 3 * NODE, NODE))
        # The optional randomness is the public seed, as the submission has it where no other is wanted (v.3.1, 6.4).
        shake = hashlib.shake_256(string_seed + public_seed)
        shake.update(message)
        start = shake.digest(NODE)
        digest = message_digest(start, self.public_key, message)
        library = engine().library
        sign = sphincs_trees.sign if library is None else library.sphincs_sign
        return start + sign(secret_seed, public_seed, digest)


@dataclass(frozen=True, slots=True)
class SphincsScheme:
    """SPHINCS+-SHAKE-256f-robust, round 3.1. It is not FIPS 205, whose signatures are other bytes."""

    name: str = "Sphincs+"
    public_key_length: int = 2 * NODE
    private_key_length: int = 4 * NODE
    signature_length: int = SIGNATURE_LENGTH

    def check_public_key(self, public_key: bytes) -> None:
        """See `SignatureScheme.check_public_key`; all bytes but zeros may be seed and root."""
        require_length(f"{self.name} key", public_key, self.public_key_length)
        if not any(public_key):
            raise WeakKeyError(f"the {self.name} key is all zero: nobody could sign for it")

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is by `public_key` over `message`. Takes 50 ms without the compiled engine."""
        if len(public_key) != self.public_key_length or len(signature) != self.signature_length:
            return False
        public_seed, root = public_key[:NODE], public_key[NODE:]
        digest = message_digest(signature[:NODE], public_key, message)
        library = engine().library
        reach = sphincs_trees.root_of_signature if library is None else library.sphincs_root
        return constant_time_equal(reach(public_seed, digest, signature), root)

    def generate(self, randomness: Randomness) -> SphincsSigningKey:
        """A fresh key pair."""
        return self._from_seeds(randomness.bytes(_SEEDS * NODE))

    def signing_key(self, private_key: bytes) -> SphincsSigningKey:
        """The key pair in `private_key`.

        Raises:
            KeyLengthError: if it has another length, or its root is not its seeds'.
        """
        key = SphincsSigningKey(self, private_key)
        if not constant_time_equal(self._from_seeds(private_key[: _SEEDS * NODE]).private_key, private_key):
            raise KeyLengthError(f"a {self.name} private key whose public half is not its seeds'")
        return key

    def _from_seeds(self, seeds: bytes) -> SphincsSigningKey:
        library = engine().library
        generate = sphincs_trees.generate if library is None else library.sphincs_generate
        return SphincsSigningKey(self, seeds + generate(seeds[:NODE], seeds[2 * NODE :]))


SPHINCS: Final = SphincsScheme()
