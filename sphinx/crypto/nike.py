"""The NIKEs by name: the groups that NIKE Sphinx blinds its headers' element in."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import RuntimeError as SodiumError

from sphinx.crypto.ctidh import Ctidh
from sphinx.crypto.nike_base import FactorOf, Nike, weak
from sphinx.crypto.nike_hybrid import HybridNike
from sphinx.schemes import supported

__all__ = ["X448", "X25519", "FactorOf", "Nike", "group", "nike_scheme"]


class X25519(Nike):
    """X25519 (RFC 7748); scalars are clamped when they multiply, not when they are stored."""

    name = "x25519"
    public_key_length = private_key_length = 32

    _COFACTOR_TIMES_ORDER: Final = 8 * (2**252 + 27742317777372353535851937790883648493)
    _TOP_BIT: Final = 254
    _LOW_BITS: Final = 7

    def public_key(self, private: bytes) -> bytes:
        """See `Nike.public_key`."""
        self.check(private)
        return crypto_scalarmult_base(private)

    def shared_secret(self, private: bytes, public: bytes) -> bytes:
        """See `Nike.shared_secret`."""
        self.check(private, public)
        try:
            return crypto_scalarmult(private, public)
        except SodiumError:
            raise weak(self.name) from None

    def blinded_elements(self, private: bytes, publics: Sequence[bytes], factor_of: FactorOf) -> list[bytes]:
        """Do what `Nike.blinded_elements` does, with two multiplications for each hop instead of up to six."""
        return [self.public_key(scalar) for scalar in self.blinded_scalars(private, publics, factor_of)]

    def blinded_scalars(self, private: bytes, publics: Sequence[bytes], factor_of: FactorOf) -> Iterator[bytes]:
        """The private keys of the elements that the hops see, each blinded by the factors of the hops before.

        The scalars are multiplied instead of the points, modulo the order of the curve with its cofactor. For a
        public key on the curve's twist, which only a node that cheats can have, the secrets differ and its packets
        are lost. Python's integers promise no constant time; these scalars live for one packet only.

        Args:
            private: the packet's private key.
            publics: the hops' public keys.
            factor_of: gives the blinding factor for the secret shared with a hop; called for each hop in order.

        Raises:
            WeakPublicKeyError: if a public key leads to an all-zero secret.
            KeyLengthError: if a key has another length than 32 bytes.
        """
        self.check(private)
        scalar = self._clamped(private)
        for public in publics:
            encoded = scalar.to_bytes(self.private_key_length, "little")
            yield encoded
            factor = factor_of(self.shared_secret(encoded, public))
            scalar = scalar * self._clamped(factor) % self._COFACTOR_TIMES_ORDER
            if not scalar >> self._TOP_BIT:
                # The negative has the same u-coordinate, and the top bit that clamping would set.
                scalar = self._COFACTOR_TIMES_ORDER - scalar

    def _clamped(self, scalar: bytes) -> int:
        number = int.from_bytes(scalar, "little") & ~self._LOW_BITS
        return (number & ((1 << self._TOP_BIT) - 1)) | (1 << self._TOP_BIT)


class X448(Nike):
    """X448 (RFC 7748)."""

    name = "x448"
    public_key_length = private_key_length = 56

    def public_key(self, private: bytes) -> bytes:
        """See `Nike.public_key`."""
        self.check(private)
        return X448PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()

    def shared_secret(self, private: bytes, public: bytes) -> bytes:
        """See `Nike.shared_secret`."""
        self.check(private, public)
        try:
            return X448PrivateKey.from_private_bytes(private).exchange(X448PublicKey.from_public_bytes(public))
        except ValueError:
            raise weak(self.name) from None


_GROUPS: Final[Mapping[str, Callable[[], Nike]]] = {
    "x25519": X25519,
    "x448": X448,
    "ctidh511": lambda: Ctidh(511),
    "ctidh512": lambda: Ctidh(512),
    "ctidh1024": lambda: Ctidh(1024),
    "ctidh2048": lambda: Ctidh(2048),
}


def nike_scheme(name: str) -> Nike:
    """Return the NIKE called `name`, in any case.

    Raises:
        UnsupportedSchemeError: if there is none, if it is registered but not supported here, and why, or if the
            optional dependency that it needs is missing, and which.
    """
    scheme = supported("NIKE", name)
    groups = [group(component) for component in scheme.component_names]
    return groups[0] if len(groups) == 1 else HybridNike(scheme.name, *groups)


@functools.cache
def group(name: str) -> Nike:
    """Return the group of that exact name, also where NIKE Sphinx can not use it but KEM Sphinx can.

    Raises:
        UnsupportedSchemeError: if the optional dependency that it needs is missing.
    """
    return _GROUPS[name]()
