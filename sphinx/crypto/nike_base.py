"""What every non-interactive key exchange of NIKE Sphinx is: a group whose public keys can be blinded."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from sphinx.errors import KeyLengthError, WeakPublicKeyError

FactorOf = Callable[[bytes], bytes]
"""Turns the secret shared with a hop into the hop's blinding factor."""


class Nike(ABC):
    """One scheme: keys are raw bytes, and a shared secret is itself a public key of the group.

    Attributes:
        name: as geometries and key files call it.
        public_key_length: bytes of a public key and of a shared secret.
        private_key_length: bytes of a private key and of a blinding factor.
    """

    name: str
    public_key_length: int
    private_key_length: int

    def generate(self, read: Callable[[int], bytes]) -> bytes:
        """Return a private key made of what `read` returns, unclamped."""
        return read(self.private_key_length)

    @abstractmethod
    def public_key(self, private: bytes) -> bytes:
        """Return the public key of a private key.

        Raises:
            KeyLengthError: if the key has not the scheme's length.
        """

    @abstractmethod
    def shared_secret(self, private: bytes, public: bytes) -> bytes:
        """Return the secret that the owner of `private` shares with the owner of `public`.

        Raises:
            KeyLengthError: if a key has not the scheme's length.
            WeakPublicKeyError: if the secret is all zero, or the public key none of the group.
        """

    def blind(self, public: bytes, factor: bytes) -> bytes:
        """Return `public` multiplied by a blinding factor; errors as for `shared_secret`."""
        return self.shared_secret(factor, public)

    def blinded_elements(self, private: bytes, publics: Sequence[bytes], factor_of: FactorOf) -> list[bytes]:
        """Agree on a secret with each hop of a path, and return the group element that each will see.

        Step by step, as the reference does it ("Header creation" in the Katzenpost Sphinx specification): each
        element is the one before, blinded; each secret the plain one, blinded by all factors before it.

        Args:
            private: the sender's ephemeral key.
            publics: the hops' public keys.
            factor_of: takes each hop's secret, in order, and returns the hop's blinding factor.

        Raises:
            KeyLengthError: if a key has not the scheme's length.
            WeakPublicKeyError: if a public key is degenerate.
        """
        element = self.public_key(private)
        elements: list[bytes] = []
        factors: list[bytes] = []
        for public in publics:
            if factors:
                element = self.blind(element, factors[-1])
            secret = self.shared_secret(private, public)
            for factor in factors:
                secret = self.blind(secret, factor)
            elements.append(element)
            factors.append(factor_of(secret))
        return elements

    def check(self, private: bytes, public: bytes | None = None) -> None:
        """Refuse keys of another length than the scheme's.

        Raises:
            KeyLengthError: naming the key's kind, its length and the expected one.
        """
        if len(private) != self.private_key_length:
            raise KeyLengthError(
                f"a private {self.name} key has {len(private)} bytes, expected {self.private_key_length}"
            )
        if public is not None and len(public) != self.public_key_length:
            raise KeyLengthError(f"a public {self.name} key has {len(public)} bytes, expected {self.public_key_length}")


def weak(name: str) -> WeakPublicKeyError:
    """The error for a public key with which any secret is the same."""
    return WeakPublicKeyError(f"a public {name} key leads to an all-zero shared secret")
