"""Non-interactive key exchanges whose public keys can be blinded: the groups of NIKE Sphinx."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import RuntimeError as SodiumError

from sphinx.errors import KeyLengthError, UnsupportedSchemeError, WeakPublicKeyError
from sphinx.schemes import NIKE_PUBLIC_KEY_LENGTHS

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
            WeakPublicKeyError: if the secret is all zero.
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
            WeakPublicKeyError: if a secret is all zero.
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

    def _check(self, private: bytes, public: bytes | None = None) -> None:
        if len(private) != self.private_key_length:
            raise KeyLengthError(
                f"a private {self.name} key has {len(private)} bytes, expected {self.private_key_length}"
            )
        if public is not None and len(public) != self.public_key_length:
            raise KeyLengthError(f"a public {self.name} key has {len(public)} bytes, expected {self.public_key_length}")


class X25519(Nike):
    """X25519 (RFC 7748); scalars are clamped when they multiply, not when they are stored."""

    name = "x25519"
    public_key_length = private_key_length = 32

    _COFACTOR_TIMES_ORDER: Final = 8 * (2**252 + 27742317777372353535851937790883648493)
    _TOP_BIT: Final = 254
    _LOW_BITS: Final = 7

    def public_key(self, private: bytes) -> bytes:
        """See `Nike.public_key`."""
        self._check(private)
        return crypto_scalarmult_base(private)

    def shared_secret(self, private: bytes, public: bytes) -> bytes:
        """See `Nike.shared_secret`."""
        self._check(private, public)
        try:
            return crypto_scalarmult(private, public)
        except SodiumError:
            raise _weak(self.name) from None

    def blinded_elements(self, private: bytes, publics: Sequence[bytes], factor_of: FactorOf) -> list[bytes]:
        """Do what `Nike.blinded_elements` does, with two multiplications for each hop instead of up to six.

        The scalars are multiplied instead of the points, modulo the order of the curve with its cofactor. For a
        public key on the curve's twist, which only a node that cheats can have, the secrets differ and its packets
        are lost. Python's integers promise no constant time; these scalars live for one packet only.
        """
        self._check(private)
        scalar = self._clamped(private)
        elements: list[bytes] = []
        for public in publics:
            encoded = scalar.to_bytes(self.private_key_length, "little")
            elements.append(self.public_key(encoded))
            factor = factor_of(self.shared_secret(encoded, public))
            scalar = scalar * self._clamped(factor) % self._COFACTOR_TIMES_ORDER
            if not scalar >> self._TOP_BIT:
                # The negative has the same u-coordinate, and the top bit that clamping would set.
                scalar = self._COFACTOR_TIMES_ORDER - scalar
        return elements

    def _clamped(self, scalar: bytes) -> int:
        number = int.from_bytes(scalar, "little") & ~self._LOW_BITS
        return (number & ((1 << self._TOP_BIT) - 1)) | (1 << self._TOP_BIT)


class X448(Nike):
    """X448 (RFC 7748)."""

    name = "x448"
    public_key_length = private_key_length = 56

    def public_key(self, private: bytes) -> bytes:
        """See `Nike.public_key`."""
        self._check(private)
        return X448PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()

    def shared_secret(self, private: bytes, public: bytes) -> bytes:
        """See `Nike.shared_secret`."""
        self._check(private, public)
        try:
            return X448PrivateKey.from_private_bytes(private).exchange(X448PublicKey.from_public_bytes(public))
        except ValueError:
            raise _weak(self.name) from None


_SCHEMES: Final[Mapping[str, Nike]] = {scheme.name: scheme for scheme in (X25519(), X448())}


def nike_scheme(name: str) -> Nike:
    """Return the NIKE called `name`, in any case.

    Raises:
        UnsupportedSchemeError: if there is none, or it is registered upstream but not implemented here.
    """
    lowered = name.lower()
    scheme = _SCHEMES.get(lowered)
    if scheme is not None:
        return scheme
    if lowered in NIKE_PUBLIC_KEY_LENGTHS:
        raise UnsupportedSchemeError(f"the NIKE {name!r} is not supported yet; {', '.join(_SCHEMES)} are")
    raise UnsupportedSchemeError(f"no NIKE is called {name!r}; supported are {', '.join(_SCHEMES)}")


def _weak(name: str) -> WeakPublicKeyError:
    return WeakPublicKeyError(f"a public {name} key leads to an all-zero shared secret")
