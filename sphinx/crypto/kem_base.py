"""What every key encapsulation mechanism is: lengths, key pairs from a seed, encapsulation and its opening.

The schemes below the public methods may assume right lengths and may let `ValueError` out, as the libraries they
stand on do; what callers meet is always an error of this package.
"""

from abc import ABC, abstractmethod

from sphinx.errors import KemError, KeyLengthError, PrivateKeyError, WeakPublicKeyError
from sphinx.randomness import Randomness


def _require_length(what: str, value: bytes, expected: int) -> None:
    if len(value) != expected:
        raise KeyLengthError(f"{what} has {len(value)} bytes, expected {expected}")


class KemPrivateKey(ABC):
    """The private half of a key pair; its text form shows nothing of the key.

    Attributes:
        public_key: the raw public key.
    """

    __slots__ = ("_kem", "public_key")

    public_key: bytes

    def __init__(self, kem: "Kem", public_key: bytes) -> None:
        self._kem = kem
        self.public_key = public_key

    def __repr__(self) -> str:
        return f"<{self._kem.name} private key>"

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """Return the shared secret (`shared_secret_length` bytes) that `ciphertext` carries for this key.

        A damaged lattice ciphertext gives an unrelated secret and no error (FIPS 203, implicit rejection).

        Raises:
            KeyLengthError: if the ciphertext has a wrong length.
            KemError: if the scheme can see that the ciphertext is bad (a low-order curve point).
        """
        _require_length(f"a {self._kem.name} ciphertext", ciphertext, self._kem.ciphertext_length)
        try:
            return self._open(ciphertext)
        except (ValueError, WeakPublicKeyError) as error:
            raise KemError(f"a {self._kem.name} ciphertext cannot be opened: {error}") from None

    @abstractmethod
    def _open(self, ciphertext: bytes) -> bytes: ...


class Kem(ABC):
    """A key encapsulation mechanism.

    Attributes:
        name: the canonical spelling, as protocol names contain it.
        public_key_length, private_key_length, ciphertext_length, shared_secret_length, seed_length: in bytes; that of
            a private key as the reference writes it.
    """

    __slots__ = ()

    name: str
    public_key_length: int
    private_key_length: int
    ciphertext_length: int
    shared_secret_length: int
    seed_length: int

    def __repr__(self) -> str:
        return f"<KEM {self.name}>"

    def private_key(self, seed: bytes) -> KemPrivateKey:
        """Derive the key pair of a seed of `seed_length` bytes.

        Raises:
            KeyLengthError: if the seed has a wrong length.
        """
        _require_length(f"a {self.name} seed", seed, self.seed_length)
        return self._derive(seed)

    def generate(self, randomness: Randomness) -> KemPrivateKey:
        """Make a fresh key pair."""
        return self._derive(randomness.bytes(self.seed_length))

    def load(self, private_key: bytes) -> KemPrivateKey:
        """Take a private key as the reference writes it (`private_key_length` bytes).

        Raises:
            KeyLengthError: if it has a wrong length.
            PrivateKeyError: if its numbers are out of range, or its parts do not belong together.
        """
        _require_length(f"a private {self.name} key", private_key, self.private_key_length)
        try:
            return self._load(private_key)
        except ValueError as error:
            raise PrivateKeyError(f"an unusable private {self.name} key: {error}") from None

    def encapsulate(self, public_key: bytes, randomness: Randomness) -> tuple[bytes, bytes]:
        """Make a shared secret for the owner of `public_key`.

        The lattice part always draws from the operating system: its library offers no other source. So a seeded
        `randomness` repeats key pairs and curve ciphertexts, not lattice ciphertexts.

        Args:
            public_key: `public_key_length` bytes, from anyone.
            randomness: for the ephemeral curve key.

        Returns:
            The ciphertext (`ciphertext_length` bytes) and the shared secret (`shared_secret_length` bytes).

        Raises:
            KeyLengthError: if the public key has a wrong length.
            KemError: if it is no public key of this scheme (a coefficient out of range, a low-order point).
        """
        _require_length(f"a {self.name} public key", public_key, self.public_key_length)
        try:
            return self._seal(public_key, randomness)
        except (ValueError, WeakPublicKeyError) as error:
            raise KemError(f"an unusable {self.name} public key: {error}") from None

    @abstractmethod
    def _derive(self, seed: bytes) -> KemPrivateKey: ...

    @abstractmethod
    def _load(self, private_key: bytes) -> KemPrivateKey: ...

    @abstractmethod
    def _seal(self, public_key: bytes, randomness: Randomness) -> tuple[bytes, bytes]: ...
