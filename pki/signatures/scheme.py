"""What every signature scheme offers, whatever it is made of."""

from typing import Protocol

from pki.errors import KeyLengthError
from sphinx.randomness import Randomness


class SigningKey(Protocol):
    """A private key and its public half. Authorities have these; a client only verifies."""

    @property
    def scheme(self) -> "SignatureScheme":
        """The scheme that the key belongs to."""
        ...

    @property
    def public_key(self) -> bytes:
        """The public half."""
        ...

    @property
    def private_key(self) -> bytes:
        """The reference's encoding of the private key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """A signature over `message`, of `scheme.signature_length` bytes."""
        ...


class SignatureScheme(Protocol):
    """A signature scheme of the reference's registry, under its canonical name."""

    @property
    def name(self) -> str:
        """The canonical spelling, which stands in certificates and is part of what is signed."""
        ...

    @property
    def public_key_length(self) -> int:
        """Bytes of a public key."""
        ...

    @property
    def private_key_length(self) -> int:
        """Bytes of a private key in the reference's encoding."""
        ...

    @property
    def signature_length(self) -> int:
        """Bytes of a signature."""
        ...

    def check_public_key(self, public_key: bytes) -> None:
        """Refuse what no authority can have for a key.

        Raises:
            KeyLengthError: if it has not `public_key_length` bytes.
            WeakKeyError: if anybody could sign for it, or nobody.
        """
        ...

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is by `public_key` over `message`; bytes of a wrong length are just no signature."""
        ...

    def generate(self, randomness: Randomness) -> SigningKey:
        """A fresh key pair.

        Raises:
            SigningUnavailableError: if the library that makes keys of this scheme is not installed.
        """
        ...

    def signing_key(self, private_key: bytes) -> SigningKey:
        """The key pair in `private_key`.

        Raises:
            KeyLengthError: if it has not `private_key_length` bytes, or holds no private key.
            SigningUnavailableError: if the library that signs with keys of this scheme is not installed.
        """
        ...


def require_length(what: str, key: bytes, expected: int) -> None:
    """Refuse a key of another length than its scheme's; `what` names it, for instance "Ed25519 private key".

    Raises:
        KeyLengthError: if it has one.
    """
    if len(key) != expected:
        raise KeyLengthError(f"a {what} of {len(key)} bytes; expected {expected}")
