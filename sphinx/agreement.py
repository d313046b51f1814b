"""How the sender and each hop come to a secret by one element of the header: the two forms of Sphinx.

NIKE Sphinx has one group element, which every hop blinds for the next. KEM Sphinx has one ciphertext for each hop, and
every hop finds the next one's behind its own commands.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

from sphinx.crypto.kdf import HopKeys, hop_keys
from sphinx.crypto.kem import Kem, KemPrivateKey
from sphinx.crypto.nike import Nike
from sphinx.crypto.stream import blinding_stream
from sphinx.errors import KemError, PacketError, UnsupportedSchemeError, WeakPublicKeyError
from sphinx.randomness import Randomness

PrivateKey: TypeAlias = bytes | KemPrivateKey
"""A node's mix key: raw bytes of either form, or for KEM Sphinx a key that is loaded already, which is faster."""


class Agreement(ABC):
    """One scheme, as headers use it.

    Attributes:
        public_key_length: bytes of a node's mix key.
        element_length: bytes of the element at the front of a header.
    """

    __slots__ = ()

    public_key_length: int
    element_length: int

    @abstractmethod
    def new_key_pair(self, randomness: Randomness) -> tuple[PrivateKey, bytes]:
        """Make a node's mix key: the private key, and the public key to publish (public_key_length bytes)."""

    @abstractmethod
    def with_hops(self, publics: Sequence[bytes], randomness: Randomness) -> tuple[list[bytes], list[HopKeys]]:
        """Agree on keys with each hop of a path.

        Args:
            publics: the hops' public keys, in order.
            randomness: for the sender's ephemeral keys.

        Returns:
            The element that each hop will see, and the keys that it will derive.

        Raises:
            KeyLengthError: if a public key has a wrong length.
            WeakPublicKeyError: if a public key is degenerate.
            KemError: if a public key is none of its KEM's.
        """

    @abstractmethod
    def at_hop(self, private_key: PrivateKey, element: bytes) -> HopKeys:
        """Derive the keys that the sender of `element` shares with the owner of `private_key`.

        Raises:
            KeyLengthError: if the private key has a wrong length.
            PacketError: if the element is degenerate.
        """

    @abstractmethod
    def next_element(self, element: bytes, keys: HopKeys, carried: bytes) -> bytes:
        """Return the element that the next hop shall see.

        Args:
            element: what this hop saw.
            keys: what it derived from that.
            carried: what stood behind its commands: nothing, or the next hop's ciphertext.
        """


class NikeAgreement(Agreement):
    """NIKE Sphinx: the element is a public key that each hop blinds."""

    __slots__ = ("element_length", "nike", "public_key_length")

    def __init__(self, nike: Nike) -> None:
        self.nike = nike
        self.public_key_length = self.element_length = nike.public_key_length

    def new_key_pair(self, randomness: Randomness) -> tuple[PrivateKey, bytes]:
        """See `Agreement`."""
        private = self.nike.generate(randomness.bytes)
        return private, self.nike.public_key(private)

    def with_hops(self, publics: Sequence[bytes], randomness: Randomness) -> tuple[list[bytes], list[HopKeys]]:
        """See `Agreement.with_hops`; one ephemeral key serves all hops."""
        keys: list[HopKeys] = []

        def blinding_factor(secret: bytes) -> bytes:
            keys.append(hop_keys(secret))
            return self._factor(keys[-1])

        elements = self.nike.blinded_elements(self.nike.generate(randomness.bytes), publics, blinding_factor)
        return elements, keys

    def at_hop(self, private_key: PrivateKey, element: bytes) -> HopKeys:
        """See `Agreement.at_hop`."""
        if isinstance(private_key, KemPrivateKey):
            raise UnsupportedSchemeError(f"NIKE Sphinx takes the bytes of a {self.nike.name} key, not {private_key!r}")
        try:
            return hop_keys(self.nike.shared_secret(private_key, element))
        except WeakPublicKeyError as error:
            raise PacketError(f"a packet's group element is degenerate: {error}") from None

    def next_element(self, element: bytes, keys: HopKeys, carried: bytes) -> bytes:
        """See `Agreement.next_element`."""
        return self.nike.blind(element, self._factor(keys))

    def _factor(self, keys: HopKeys) -> bytes:
        return self.nike.generate(blinding_stream(keys.blinding_seed))


class KemAgreement(Agreement):
    """KEM Sphinx: the element is a ciphertext for one hop, and carries the secret alone."""

    __slots__ = ("element_length", "kem", "public_key_length")

    def __init__(self, kem: Kem) -> None:
        self.kem = kem
        self.public_key_length = kem.public_key_length
        self.element_length = kem.ciphertext_length

    def new_key_pair(self, randomness: Randomness) -> tuple[PrivateKey, bytes]:
        """See `Agreement`."""
        private = self.kem.generate(randomness)
        return private, private.public_key

    def with_hops(self, publics: Sequence[bytes], randomness: Randomness) -> tuple[list[bytes], list[HopKeys]]:
        """See `Agreement.with_hops`; the hops' secrets have nothing to do with each other."""
        sealed = [self.kem.encapsulate(public, randomness) for public in publics]
        return [ciphertext for ciphertext, _ in sealed], [hop_keys(secret) for _, secret in sealed]

    def at_hop(self, private_key: PrivateKey, element: bytes) -> HopKeys:
        """See `Agreement.at_hop`."""
        key = private_key if isinstance(private_key, KemPrivateKey) else self.kem.load(private_key)
        try:
            return hop_keys(key.decapsulate(element))
        except KemError as error:
            raise PacketError(f"a packet's KEM ciphertext can not be opened: {error}") from None

    def next_element(self, element: bytes, keys: HopKeys, carried: bytes) -> bytes:
        """See `Agreement.next_element`."""
        return carried
