"""The symmetric half of Noise (revision 34, section 5): ChaChaPoly and BLAKE2b over a growing transcript."""

import hashlib
import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from kpclientd.wire.errors import DecryptionError, SessionStateError

HASH_LENGTH: Final = 64
KEY_LENGTH: Final = 32
TAG_LENGTH: Final = 16
NONCE_LIMIT: Final = (1 << 64) - 1
"""The last nonce is reserved for rekeying (section 4.2)."""

_BLOCK_LENGTH: Final = 128
_INNER_PAD: Final = int.from_bytes(b"\x36" * _BLOCK_LENGTH)
_OUTER_PAD: Final = int.from_bytes(b"\x5c" * _BLOCK_LENGTH)

_BLOCK_NUMBERS: Final = (b"\1", b"\2", b"\3")

_NONCE: Final = struct.Struct("<4xQ")  # little-endian, unlike everything else on this link
_REKEY_NONCE: Final = _NONCE.pack(NONCE_LIMIT)
_REKEY_PLAINTEXT: Final = bytes(KEY_LENGTH)


class CipherState:
    """A key and the number of its next message.

    The key lives only inside the cipher's context, which is made once per key: making one costs as much as
    sealing a short message.

    Args:
        key: 32 bytes.
        nonce: number of the next message.

    Attributes:
        nonce: number of the next message.
    """

    __slots__ = ("_cipher", "nonce")

    def __init__(self, key: bytes | bytearray, nonce: int = 0) -> None:
        self._cipher: ChaCha20Poly1305 | None = ChaCha20Poly1305(key)
        self.nonce = nonce

    def encrypt(self, associated_data: bytes, plaintext: bytes) -> bytes:
        """Seal one message; the result is 16 bytes longer.

        Raises:
            SessionStateError: if the key was wiped or has no nonce left.
        """
        nonce = self.nonce
        if self._cipher is None or nonce >= NONCE_LIMIT:
            raise self._unusable()
        self.nonce = nonce + 1
        return self._cipher.encrypt(_NONCE.pack(nonce), plaintext, associated_data)

    def decrypt(self, associated_data: bytes, sealed: bytes | bytearray) -> bytes:
        """Open one message.

        Raises:
            DecryptionError: if it was not sealed with this key, number and associated data.
            SessionStateError: if the key was wiped or has no nonce left.
        """
        nonce = self.nonce
        if self._cipher is None or nonce >= NONCE_LIMIT:
            raise self._unusable()
        try:
            plaintext = self._cipher.decrypt(_NONCE.pack(nonce), sealed, associated_data)
        except InvalidTag:
            fault = f"message {nonce} under this key, {len(sealed)} bytes, does not authenticate"
            raise DecryptionError(fault) from None
        self.nonce = nonce + 1
        return plaintext

    def rekey(self) -> None:
        """Replace the key by its successor (section 4.2). The nonce goes on counting, as in the reference."""
        if self._cipher is None or self.nonce >= NONCE_LIMIT:
            raise self._unusable()
        successor = bytearray(KEY_LENGTH + TAG_LENGTH)
        self._cipher.encrypt_into(_REKEY_NONCE, _REKEY_PLAINTEXT, None, successor)
        self._cipher = ChaCha20Poly1305(memoryview(successor)[:KEY_LENGTH])
        successor[:] = bytes(len(successor))

    def wipe(self) -> None:
        """Forget the key. What Python cannot overwrite, the library frees with the context."""
        self._cipher = None

    def _unusable(self) -> SessionStateError:
        if self._cipher is None:
            return SessionStateError("this direction's key is gone: the session was closed")
        return SessionStateError(f"nonce {self.nonce} may not be used")


def _pads(key: bytes) -> tuple[bytes, bytes]:
    """The blocks with which HMAC (RFC 2104) begins its inner and its outer hash, for a key of at most a block.

    The standard library's HMAC asks OpenSSL for its BLAKE2b anew each time, which takes longer than all the hashing.
    """
    number = int.from_bytes(key, "little")
    inner, outer = number ^ _INNER_PAD, number ^ _OUTER_PAD
    return inner.to_bytes(_BLOCK_LENGTH, "little"), outer.to_bytes(_BLOCK_LENGTH, "little")


def _hkdf(chaining_key: bytes, input_key: bytes, outputs: int) -> list[bytes]:
    """HKDF of section 4.3: `outputs` (2 or 3) results of 64 bytes."""
    blake2b = hashlib.blake2b
    inner, outer = _pads(chaining_key)
    inner, outer = _pads(blake2b(outer + blake2b(inner + input_key).digest()).digest())
    results: list[bytes] = []
    block = b""
    for number in _BLOCK_NUMBERS[:outputs]:
        block = blake2b(outer + blake2b(inner + block + number).digest()).digest()
        results.append(block)
    return results


class SymmetricState:
    """Transcript hash, chaining key and the key in use (section 5.2); no key is in use at the start.

    Args:
        protocol_name: its ASCII form.

    Attributes:
        transcript: hash of all that was said (64 bytes).
        cipher: the key in use, None before the first one.
    """

    __slots__ = ("_chaining_key", "cipher", "transcript")

    def __init__(self, protocol_name: bytes) -> None:
        if len(protocol_name) <= HASH_LENGTH:
            self.transcript = protocol_name.ljust(HASH_LENGTH, b"\0")
        else:
            self.transcript = hashlib.blake2b(protocol_name).digest()
        self._chaining_key = self.transcript
        self.cipher: CipherState | None = None

    def mix_hash(self, data: bytes) -> None:
        """Append `data` to the transcript."""
        self.transcript = hashlib.blake2b(self.transcript + data).digest()

    def mix_key(self, secret: bytes) -> None:
        """Derive the next key from `secret`."""
        self._chaining_key, key = _hkdf(self._chaining_key, secret, 2)
        self.cipher = CipherState(key[:KEY_LENGTH])

    def mix_key_and_hash(self, secret: bytes) -> None:
        """Derive the next key from `secret`, and bind the transcript to it as well."""
        self._chaining_key, digest, key = _hkdf(self._chaining_key, secret, 3)
        self.mix_hash(digest)
        self.cipher = CipherState(key[:KEY_LENGTH])

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Seal `plaintext` if there is a key yet, and append what is sent to the transcript."""
        sent = plaintext if self.cipher is None else self.cipher.encrypt(self.transcript, plaintext)
        self.mix_hash(sent)
        return sent

    def decrypt_and_hash(self, received: bytes) -> bytes:
        """The inverse of `encrypt_and_hash`.

        Raises:
            DecryptionError: if there is a key and `received` was not sealed with it over the same transcript.
        """
        plaintext = received if self.cipher is None else self.cipher.decrypt(self.transcript, received)
        self.mix_hash(received)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """Return the keys of the two directions, the initiator's sending one first, and forget everything else."""
        first, second = _hkdf(self._chaining_key, b"", 2)
        self.wipe()
        return CipherState(first[:KEY_LENGTH]), CipherState(second[:KEY_LENGTH])

    def wipe(self) -> None:
        """Forget all keys."""
        self._chaining_key = b""
        self.cipher = None
