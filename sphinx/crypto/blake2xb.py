"""BLAKE2Xb, the extendable output of BLAKE2b ("BLAKE2X", Aumasson, Neves, Wilcox-O'Hearn and Winnerlein, 2016).

`hashlib` computes the keyed root hash but refuses the tree depth of zero that the output blocks carry in their
parameters, so those go through a compression function of our own: one block each, no loop over a message.
"""

import hashlib
import struct
from collections.abc import Callable
from typing import Final

from sphinx.errors import KeyLengthError

ROOT_LENGTH: Final = 64
MAX_KEY_LENGTH: Final = 64
MAX_OUTPUT_LENGTH: Final = (1 << 32) - 2
_UNKNOWN_LENGTH: Final = (1 << 32) - 1  # the parameter's other meaning

_MASK: Final = (1 << 64) - 1
_ROUNDS: Final = 12
_IV: Final = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)
# RFC 7693, section 2.7; rounds 10 and 11 repeat the first two rows.
_SIGMA: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
# The four columns, then the four diagonals, of the 4x4 working state.
_LANES: Final = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)
# digest length, key length, fanout, depth, leaf length, node offset, xof length, node depth, inner length; salt and
# personalisation stay zero.
_PARAMETERS: Final = struct.Struct("<BBBBIIIBB46x")


def _rotate(word: int, bits: int) -> int:
    return (word >> bits) | (word << (64 - bits)) & _MASK


def _compress(parameters: bytes, message: bytes) -> bytes:
    """BLAKE2b of one message of at most one block, with any parameter block; returns all 64 bytes of the state."""
    chaining = [iv ^ word for iv, word in zip(_IV, struct.unpack("<8Q", parameters), strict=True)]
    words = struct.unpack("<16Q", message.ljust(128, b"\0"))
    state = [*chaining, *_IV]
    state[12] ^= len(message)
    state[14] ^= _MASK  # this block is the last
    for turn in range(_ROUNDS):
        schedule = _SIGMA[turn % len(_SIGMA)]
        for lane, (a, b, c, d) in enumerate(_LANES):
            state[a] = (state[a] + state[b] + words[schedule[2 * lane]]) & _MASK
            state[d] = _rotate(state[d] ^ state[a], 32)
            state[c] = (state[c] + state[d]) & _MASK
            state[b] = _rotate(state[b] ^ state[c], 24)
            state[a] = (state[a] + state[b] + words[schedule[2 * lane + 1]]) & _MASK
            state[d] = _rotate(state[d] ^ state[a], 16)
            state[c] = (state[c] + state[d]) & _MASK
            state[b] = _rotate(state[b] ^ state[c], 63)
    return struct.pack("<8Q", *(chaining[i] ^ state[i] ^ state[i + 8] for i in range(8)))


def blake2xb(message: bytes, *, key: bytes = b"", length: int) -> bytes:
    """Hash `message` under `key` to an output of any length.

    Args:
        message: any bytes.
        key: 0 to 64 bytes.
        length: of the output in bytes, 1 to 2^32 - 2; it is part of the hash, so a shorter output is no prefix.

    Raises:
        KeyLengthError: if the key is longer than 64 bytes.
        ValueError: if the output length is out of range.
    """
    if not 1 <= length <= MAX_OUTPUT_LENGTH:
        raise ValueError(f"a BLAKE2Xb output of {length} bytes was asked for, 1 to {MAX_OUTPUT_LENGTH} are possible")
    if len(key) > MAX_KEY_LENGTH:
        raise KeyLengthError(f"a BLAKE2Xb key has {len(key)} bytes, at most {MAX_KEY_LENGTH} are possible")
    root = _root(message, key, length)
    lengths = [min(ROOT_LENGTH, length - start) for start in range(0, length, ROOT_LENGTH)]
    return b"".join(_block(root, number, block_length, length) for number, block_length in enumerate(lengths))


def blake2xb_reader(message: bytes) -> Callable[[int], bytes]:
    """Return a reader of the endless output, which Go calls `blake2b.NewXOF(OutputLengthUnknown, nil)`.

    Each call reads on where the last ended.
    """
    root = _root(message, b"", _UNKNOWN_LENGTH)
    waiting = bytearray()
    block_number = 0

    def read(length: int) -> bytes:
        nonlocal block_number
        while len(waiting) < length:
            waiting.extend(_block(root, block_number, ROOT_LENGTH, _UNKNOWN_LENGTH))
            block_number += 1
        taken = bytes(waiting[:length])
        del waiting[:length]
        return taken

    return read


def _root(message: bytes, key: bytes, declared_length: int) -> bytes:
    # The output length sits in the upper half of what plain BLAKE2b calls the node offset.
    return hashlib.blake2b(message, digest_size=ROOT_LENGTH, key=key, node_offset=declared_length << 32).digest()


def _block(root: bytes, number: int, length: int, declared_length: int) -> bytes:
    parameters = _PARAMETERS.pack(length, 0, 0, 0, ROOT_LENGTH, number, declared_length, 0, ROOT_LENGTH)
    return _compress(parameters, root)[:length]
