"""The two key streams of Sphinx: AES-256-CTR for headers, ChaCha20 for blinding factors."""

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CTR

HEADER_KEY_LENGTH: Final = 32
HEADER_IV_LENGTH: Final = 16
_CHACHA20_START: Final = bytes(16)
"""Eight bytes of block counter, then eight of nonce: ChaCha20 in its original form, from the first block on."""


def header_stream(key: bytes, iv: bytes, length: int) -> bytes:
    """Return `length` bytes of AES-256-CTR key stream.

    Args:
        key: 32 bytes.
        iv: 16 bytes, the first counter block; all of it counts, big-endian.
        length: bytes wanted.
    """
    return Cipher(AES(key), CTR(iv)).encryptor().update(bytes(length))


def blinding_stream(seed: bytes) -> Callable[[int], bytes]:
    """Return a reader of the ChaCha20 key stream of `seed` (32 bytes); each call reads on where the last ended."""
    stream = Cipher(ChaCha20(seed, _CHACHA20_START), None).encryptor()
    return lambda length: stream.update(bytes(length))


def xor(left: bytes, right: bytes) -> bytes:
    """Return the sum of two byte strings of equal length."""
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))
