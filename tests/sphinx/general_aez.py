"""AEZ with associated data, redundancy and keys of any length, around the core that Sphinx uses.

Upstream's vectors exercise the general cipher; Sphinx needs none of it, so that it lives beside the tests. All that it
hashes becomes one block, which some nonce alone gives, too: with that nonce, any engine can be given the case.
"""

import functools
import hashlib
import hmac

from sphinx.crypto.aez import KEY_LENGTH, Aez
from sphinx.crypto.bitslice import BLOCK_BITS, lanes

BLOCK = 16


def extract(key: bytes) -> bytes:
    return key if len(key) == KEY_LENGTH else hashlib.blake2b(key, digest_size=KEY_LENGTH).digest()


def hashed(cipher: Aez, data: list[bytes], redundancy_bits: int) -> int:
    """AEZ-hash of the redundancy's length, the nonce and the associated data."""
    (total,) = cipher.permute((3, 1, redundancy_bits))
    for j, string in enumerate(data, start=4):
        whole = len(string) // BLOCK
        for i in range(1, whole + 1):
            block = int.from_bytes(string[BLOCK * (i - 1) : BLOCK * i])
            total ^= cipher.permute((j, i, block))[0]
        rest = string[BLOCK * whole :]
        if rest or not string:
            total ^= cipher.permute((j, 0, int.from_bytes((rest + b"\x80").ljust(BLOCK, b"\0"))))[0]
    return total


def prf(cipher: Aez, delta: int, length: int) -> bytes:
    blocks = (cipher.permute((-1, 3, delta ^ counter))[0].to_bytes(BLOCK) for counter in range(-(-length // BLOCK)))
    return b"".join(blocks)[:length]


def encrypt(key: bytes, nonce: bytes, data: list[bytes], tau: int, message: bytes) -> bytes:
    cipher = Aez(extract(key))
    delta = hashed(cipher, [nonce, *data], 8 * tau)
    if not message:
        return prf(cipher, delta, tau)
    return cipher.encipher(delta, message + bytes(tau))


def decrypt(key: bytes, nonce: bytes, data: list[bytes], tau: int, ciphertext: bytes) -> bytes | None:
    cipher = Aez(extract(key))
    delta = hashed(cipher, [nonce, *data], 8 * tau)
    if len(ciphertext) == tau:
        return b"" if hmac.compare_digest(prf(cipher, delta, tau), ciphertext) else None
    plain = cipher.decipher(delta, ciphertext)
    message, redundancy = plain[: len(plain) - tau], plain[len(plain) - tau :]
    return None if any(redundancy) else message


def nonce_of(key: bytes, delta: int) -> bytes:
    """The nonce whose hash is `delta` where nothing else is hashed, under a key of 48 bytes: `Aez.delta`, undone."""
    cipher = Aez(key)
    redundancy, offset = cipher.permute((3, 1, 0), (4, 1, 0))  # E(4, 1) of zero is four rounds of what it adds
    return (_rounds_undone(key, delta ^ redundancy) ^ _rounds_undone(key, offset)).to_bytes(BLOCK)


def _rounds_undone(key: bytes, block: int) -> int:
    i, j, l = (int.from_bytes(key[at : at + BLOCK]) for at in range(0, KEY_LENGTH, BLOCK))  # noqa: E741
    for round_key in (0, l, i, j):
        block = _round_undone(block ^ round_key)
    return block


def _round(block: int) -> int:
    room = lanes(1)
    above = BLOCK_BITS * (room.count - 1)
    return room.rounds(block << above, [room.key(0)]) >> above


def _round_undone(block: int) -> int:
    """ShiftRows and MixColumns, done eight times, change nothing: done seven times, they are undone."""
    for _ in range(7):
        block = _round(_substituted_back(block))
    return _substituted_back(block)


def _substituted_back(block: int) -> int:
    return int.from_bytes(block.to_bytes(BLOCK).translate(_s_box_back()))


@functools.cache
def _s_box_back() -> bytes:
    """The S-box's inverse: a block of equal bytes passes ShiftRows and MixColumns unchanged."""
    forth = [_round(int.from_bytes(bytes([byte]) * BLOCK)) & 0xFF for byte in range(256)]
    return bytes(forth.index(byte) for byte in range(256))
