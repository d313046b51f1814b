"""AEZ with associated data, redundancy and keys of any length, around the core that Sphinx uses.

Upstream's vectors exercise the general cipher; Sphinx needs none of it, so that it lives beside the tests.
"""

import hashlib
import hmac

from sphinx.crypto.aez import KEY_LENGTH, Aez

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
