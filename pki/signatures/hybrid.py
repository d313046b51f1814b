"""Two schemes as one: keys and signatures are concatenated, both halves sign the same message, both must verify."""

from dataclasses import dataclass

from pki.signatures.scheme import SignatureScheme, SigningKey, require_length
from sphinx.randomness import Randomness


@dataclass(frozen=True, slots=True)
class HybridSigningKey:
    """A key pair of each half."""

    scheme: "HybridScheme"
    first: SigningKey
    second: SigningKey

    @property
    def public_key(self) -> bytes:
        """The public halves, concatenated."""
        return self.first.public_key + self.second.public_key

    @property
    def private_key(self) -> bytes:
        """The private halves, concatenated."""
        return self.first.private_key + self.second.private_key

    def sign(self, message: bytes) -> bytes:
        """Both signatures over `message`, concatenated."""
        return self.first.sign(message) + self.second.sign(message)


@dataclass(frozen=True, slots=True)
class HybridScheme:
    """A pair of schemes, split by the fixed sizes of the first.

    Args:
        name: the canonical name of the pair.
        first: the scheme whose bytes come first. The order is the family's: ML-DSA and Falcon stand before the
            Edwards curve, SPHINCS+ behind it.
        second: the other one.
    """

    name: str
    first: SignatureScheme
    second: SignatureScheme

    @property
    def public_key_length(self) -> int:
        """Bytes of both public keys."""
        return self.first.public_key_length + self.second.public_key_length

    @property
    def private_key_length(self) -> int:
        """Bytes of both private keys."""
        return self.first.private_key_length + self.second.private_key_length

    @property
    def signature_length(self) -> int:
        """Bytes of both signatures."""
        return self.first.signature_length + self.second.signature_length

    def check_public_key(self, public_key: bytes) -> None:
        """See `SignatureScheme.check_public_key`: either half alone makes the whole weak."""
        require_length(f"{self.name} key", public_key, self.public_key_length)
        split = self.first.public_key_length
        self.first.check_public_key(public_key[:split])
        self.second.check_public_key(public_key[split:])

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether both halves of `signature` are by their halves of `public_key` over `message`."""
        if len(public_key) != self.public_key_length or len(signature) != self.signature_length:
            return False
        key_split, signature_split = self.first.public_key_length, self.first.signature_length
        return self.first.verify(public_key[:key_split], message, signature[:signature_split]) and self.second.verify(
            public_key[key_split:], message, signature[signature_split:]
        )

    def generate(self, randomness: Randomness) -> HybridSigningKey:
        """A fresh key pair of each half; see `SignatureScheme.generate`."""
        return HybridSigningKey(self, self.first.generate(randomness), self.second.generate(randomness))

    def signing_key(self, private_key: bytes) -> HybridSigningKey:
        """The key pairs in `private_key`.

        Raises:
            KeyLengthError: if it has another length, or a half of it is no private key.
            SigningUnavailableError: if the library that signs with keys of either scheme is not installed.
        """
        require_length(f"{self.name} private key", private_key, self.private_key_length)
        split = self.first.private_key_length
        return HybridSigningKey(
            self, self.first.signing_key(private_key[:split]), self.second.signing_key(private_key[split:])
        )
