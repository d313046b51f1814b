"""Encryption to several recipients at once, and of their replies (Katzenpost Pigeonhole, 'NIKE and MKEM').

An ephemeral key agrees with each recipient's key on a 32-byte key. A random message key encrypts the payload, and each
agreed key encrypts the message key; a reply is encrypted with the agreed key itself.

All that is slow, the agreeing, needs no payload. So it stands apart: `Mkem.ready` may run long before there is one, and
the sealing then takes microseconds. The agreed keys that it leaves open the replies, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from kpclientd.pigeonhole.errors import MessageError, SealError, UnusableKey, UnusablePrivateKey
from kpclientd.pigeonhole.trunnel import digest
from pki.cbor import Allowance, decode, encode
from pki.errors import EncodingError
from sphinx.crypto.nike import Nike
from sphinx.errors import PrivateKeyError, SphinxError
from sphinx.randomness import Randomness

KEY_LENGTH: Final = 32
NONCE_LENGTH: Final = 12
TAG_LENGTH: Final = 16
OVERHEAD: Final = NONCE_LENGTH + TAG_LENGTH

LONGEST_CIPHERTEXT: Final = 1 << 20
"""Bytes of a ciphertext that stands alone; a voucher's answer is one, and fits a box."""

_CIPHERTEXT_ITEMS: Final = 1024


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Two halves of a NIKE key.

    Attributes:
        public: 160 bytes.
        private: 162 bytes.
    """

    public: bytes
    private: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReadyExchange:
    """An ephemeral key that has agreed with some recipients; seal only one payload with it.

    Attributes:
        pair: the ephemeral key.
        recipients: their public keys.
        keys: for each of them, the key agreed with it (32 bytes).
    """

    pair: KeyPair
    recipients: tuple[bytes, ...] = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)

    def only(self, recipients: Sequence[bytes]) -> Self:
        """The same for some of its recipients, in that order: so it can be made for all of whom some are chosen later.

        Raises:
            UnusableKey: if it has not agreed with one of them.
        """
        agreed = dict(zip(self.recipients, self.keys, strict=True))
        if not agreed.keys() >= set(recipients):
            raise UnusableKey("an exchange was made ready for other recipients")
        return type(self)(self.pair, tuple(recipients), tuple(agreed[recipient] for recipient in recipients))


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """A payload encrypted to one or several recipients.

    Attributes:
        sender_key: the ephemeral public key (160 bytes).
        deks: for each recipient, the message key encrypted to it (60 bytes each).
        envelope: the payload, encrypted with the message key.
    """

    sender_key: bytes
    deks: tuple[bytes, ...] = field(repr=False)
    envelope: bytes = field(repr=False)

    def encode(self) -> bytes:
        """Canonical CBOR: the form of a ciphertext that stands alone."""
        return encode({"Envelope": self.envelope, "DEKCiphertexts": self.deks, "EphemeralPublicKey": self.sender_key})

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read that form.

        Raises:
            MessageError: if it is no CBOR map with these fields.
        """
        try:
            record = decode(data, "MKEM ciphertext", longest=LONGEST_CIPHERTEXT, allowance=Allowance(_CIPHERTEXT_ITEMS))
            return cls(
                record.octets("EphemeralPublicKey"), record.octet_strings("DEKCiphertexts"), record.octets("Envelope")
            )
        except EncodingError as error:
            raise MessageError(str(error)) from None


def seal(key: bytes, plaintext: bytes, randomness: Randomness) -> bytes:
    """Encrypt with a key of 32 bytes: a nonce (12 bytes), then ciphertext and tag. A reply is this, with an agreed key.

    Source: ChaCha20-Poly1305, RFC 8439, without additional data.
    """
    nonce = randomness.bytes(NONCE_LENGTH)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, plaintext, None)


def open_sealed(key: bytes, sealed: bytes) -> bytes:
    """Undo `seal`.

    Raises:
        SealError: if it was sealed with another key, or damaged, or is too short.
    """
    if len(sealed) < OVERHEAD:
        raise SealError(f"{len(sealed)} bytes are too short to be sealed: nonce and tag alone have {OVERHEAD}")
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:], None)
    except InvalidTag:
        raise SealError("sealed bytes do not open with this key") from None


def encapsulate(exchange: ReadyExchange, payload: bytes, randomness: Randomness) -> Ciphertext:
    """Encrypt `payload` to the recipients of `exchange`, in microseconds."""
    message_key = randomness.bytes(KEY_LENGTH)
    envelope = seal(message_key, payload, randomness)
    deks = tuple(seal(key, message_key, randomness) for key in exchange.keys)
    return Ciphertext(exchange.pair.public, deks, envelope)


def open_with(key: bytes, deks: Sequence[bytes], envelope: bytes) -> bytes:
    """Decrypt as the recipient that agreed on `key` (32 bytes) with the sender: the first DEK that opens is its own.

    Raises:
        SealError: if no DEK opens with the key, or the envelope not with the DEK's.
    """
    for dek in deks:
        try:
            message_key = open_sealed(key, dek)
        except SealError:
            continue
        if len(message_key) != KEY_LENGTH:
            raise SealError(f"a message key has {len(message_key)} bytes; expected {KEY_LENGTH}")
        return open_sealed(message_key, envelope)
    raise SealError("no message key is encrypted to this recipient")


class Mkem:
    """The slow part, which needs the key exchange. Run it in worker threads: each agreement takes about half a second.

    Args:
        nike: `libraries.nike()`.
    """

    __slots__ = ("_nike",)

    def __init__(self, nike: Nike) -> None:
        self._nike = nike

    def new_key_pair(self, randomness: Randomness) -> KeyPair:
        """A new key. Slow: about half a second."""
        private = self._nike.generate(randomness.bytes)
        return KeyPair(self._nike.public_key(private), private)

    def check_private_key(self, private: bytes) -> None:
        """Refuse a private key of another length than the scheme's; whether it is one, `agree` tells.

        Raises:
            UnusablePrivateKey: if it has another length.
        """
        try:
            self._nike.check(private)
        except SphinxError as error:
            raise UnusablePrivateKey(str(error)) from None

    def agree(self, private: bytes, public: bytes) -> bytes:
        """The key (32 bytes) that the owners of both keys agree on. Slow: about half a second.

        Raises:
            UnusablePrivateKey: if the private key is none of the scheme's.
            UnusableKey: if the public key is none.
        """
        self.check_private_key(private)
        try:
            return digest(self._nike.shared_secret(private, public))
        except PrivateKeyError as error:
            raise UnusablePrivateKey(str(error)) from None
        except SphinxError as error:
            raise UnusableKey(str(error)) from None

    def ready(self, recipients: Sequence[bytes], randomness: Randomness) -> ReadyExchange:
        """A new ephemeral key that has agreed with each of `recipients` (public keys).

        Slow: half a second for each, and one for itself.

        Raises:
            UnusableKey: if one of them is none of the scheme's.
        """
        return self.ready_with(self.new_key_pair(randomness), recipients)

    def ready_with(self, pair: KeyPair, recipients: Sequence[bytes]) -> ReadyExchange:
        """The same with a key that was made before. Slow: half a second for each recipient.

        Raises:
            UnusableKey: if one of the keys is none of the scheme's.
        """
        keys = tuple(self.agree(pair.private, recipient) for recipient in recipients)
        return ReadyExchange(pair, tuple(recipients), keys)

    def decapsulate(self, private: bytes, ciphertext: Ciphertext) -> bytes:
        """Decrypt as the recipient that owns `private`. Slow: about half a second.

        Raises:
            UnusableKey: if a key is none of the scheme's.
            SealError: if it was not encrypted to this recipient, or is damaged.
        """
        return open_with(self.agree(private, ciphertext.sender_key), ciphertext.deks, ciphertext.envelope)

    def decrypt_reply(self, private: bytes, replica_key: bytes, sealed: bytes) -> bytes:
        """Open a reply with the ephemeral private key, where the agreed key was not kept. Slow: about half a second.

        Raises:
            UnusableKey: if a key is none of the scheme's.
            SealError: if another sealed it, or it is damaged.
        """
        return open_sealed(self.agree(private, replica_key), sealed)
