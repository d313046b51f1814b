"""The handshake pattern pqXX over any KEM: who sends which tokens in which message, and what each token does.

    -> e
    <- ekem, s
    -> skem, s
    <- skem

Post-quantum Noise (Angel, Dowling, Hülsing, Schwabe and Weber, 2022) with the reference's differences: `ekem` is
mixed like a Diffie-Hellman result and travels in clear; `skem` travels under the key of the message before and is
mixed into the transcript too.
"""

import functools
from enum import Enum
from typing import Final

from kpclientd.wire.noise import TAG_LENGTH, CipherState, SymmetricState
from sphinx.crypto.kem import Kem, KemPrivateKey
from sphinx.randomness import Randomness

PROTOCOL_VERSION: Final = 3
PROLOGUE: Final = bytes([PROTOCOL_VERSION])
"""Part of the transcript, and sent in clear before the first message."""


class Token(Enum):
    """A step inside a message."""

    E = "e"
    EKEM = "ekem"
    S = "s"
    SKEM = "skem"


PATTERN: Final = (
    (Token.E,),
    (Token.EKEM, Token.S),
    (Token.SKEM, Token.S),
    (Token.SKEM,),
)
"""The messages in order; the initiator sends the first, third, ..."""


def protocol_name(kem: Kem) -> bytes:
    """The name that both sides must agree on, with the KEM's canonical spelling."""
    return f"Noise_pqXX_{kem.name}_ChaChaPoly_BLAKE2b".encode("ascii")


@functools.lru_cache(maxsize=16)
def message_lengths(kem: Kem, payload_lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Compute the length of each message (bytes), without the prologue in front of the first.

    Args:
        kem: the link's KEM.
        payload_lengths: of the plaintext payload in each message.
    """
    lengths = []
    tag = 0  # nothing is sealed before the first key
    for tokens, payload_length in zip(PATTERN, payload_lengths, strict=True):
        length = 0
        for token in tokens:
            match token:
                case Token.E:
                    length += kem.public_key_length
                case Token.EKEM:
                    length += kem.ciphertext_length
                    tag = TAG_LENGTH
                case Token.S:
                    length += kem.public_key_length + tag
                case Token.SKEM:
                    length += kem.ciphertext_length + tag
        lengths.append(length + payload_length + tag)
    return tuple(lengths)


class Handshake:
    """One side of a handshake; call `write` and `read` in the order of the pattern.

    Args:
        kem: the link's KEM.
        static_key: this side's key pair.
        initiator: whether this side dialled.
        randomness: for the ephemeral keys.

    Attributes:
        symmetric: the Noise state.
        peer_static_key: the other side's public key once it came, before that empty.
    """

    __slots__ = (
        "_ephemeral",
        "_initiator",
        "_kem",
        "_messages",
        "_peer_ephemeral",
        "_randomness",
        "_static",
        "peer_static_key",
        "symmetric",
    )

    def __init__(self, kem: Kem, static_key: KemPrivateKey, initiator: bool, randomness: Randomness) -> None:
        self._kem = kem
        self._static = static_key
        self._initiator = initiator
        self._randomness = randomness
        self._messages = iter(PATTERN)
        self._ephemeral: KemPrivateKey | None = None
        self._peer_ephemeral = b""
        self.peer_static_key = b""
        self.symmetric = SymmetricState(protocol_name(kem))
        self.symmetric.mix_hash(PROLOGUE)

    def write(self, payload: bytes) -> bytes:
        """Compose the next message.

        Raises:
            KemError: if the peer's key is none.
        """
        message = bytearray()
        for token in next(self._messages):
            message += self._write_token(token)
        message += self.symmetric.encrypt_and_hash(payload)
        return bytes(message)

    def _write_token(self, token: Token) -> bytes:
        symmetric = self.symmetric
        match token:
            case Token.E:
                self._ephemeral = self._kem.generate(self._randomness)
                symmetric.mix_hash(self._ephemeral.public_key)
                return self._ephemeral.public_key
            case Token.EKEM:
                ciphertext, secret = self._kem.encapsulate(self._peer_ephemeral, self._randomness)
                symmetric.mix_hash(ciphertext)
                symmetric.mix_key(secret)
                return ciphertext
            case Token.S:
                return symmetric.encrypt_and_hash(self._static.public_key)
            case Token.SKEM:
                ciphertext, secret = self._kem.encapsulate(self.peer_static_key, self._randomness)
                sealed = symmetric.encrypt_and_hash(ciphertext)
                symmetric.mix_key_and_hash(secret)
                return sealed

    def read(self, message: bytes) -> bytes:
        """Take the next message, of exactly its length, and return its payload.

        Raises:
            DecryptionError: if a sealed part does not open.
            KemError: if the KEM sees that a ciphertext is bad.
        """
        offset = 0
        for token in next(self._messages):
            offset += self._read_token(token, message, offset)
        return self.symmetric.decrypt_and_hash(message[offset:])

    def _read_token(self, token: Token, message: bytes, offset: int) -> int:
        symmetric = self.symmetric
        match token:
            case Token.E:
                length = self._kem.public_key_length
                self._peer_ephemeral = message[offset : offset + length]
                symmetric.mix_hash(self._peer_ephemeral)
            case Token.EKEM:
                length = self._kem.ciphertext_length
                ciphertext = message[offset : offset + length]
                symmetric.mix_hash(ciphertext)
                assert self._ephemeral is not None, "the pattern has e before ekem"
                symmetric.mix_key(self._ephemeral.decapsulate(ciphertext))
                self._ephemeral = None
            case Token.S:
                length = self._kem.public_key_length + TAG_LENGTH
                self.peer_static_key = symmetric.decrypt_and_hash(message[offset : offset + length])
            case Token.SKEM:
                length = self._kem.ciphertext_length + TAG_LENGTH
                ciphertext = symmetric.decrypt_and_hash(message[offset : offset + length])
                symmetric.mix_key_and_hash(self._static.decapsulate(ciphertext))
        return length

    def split(self) -> tuple[CipherState, CipherState]:
        """After the last message: this side's sending key and its receiving key."""
        first, second = self.symmetric.split()
        return (first, second) if self._initiator else (second, first)

    def wipe(self) -> None:
        """Forget what a broken-off handshake has derived so far."""
        self._ephemeral = None
        self.symmetric.wipe()
