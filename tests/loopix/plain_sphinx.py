"""Loopix wrapping as its specification writes it, step by step and with protobuf by hand.

What the fast one must equal.
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from kpclientd.loopix.nodes import ClientConfig, MixConfig


def varint(number: int) -> bytes:
    if number < 0x80:
        return bytes([number])
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7)


def octets(number: int, content: bytes | str, *, always: bool = False) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(raw)) + raw if raw or always else b""


def kdf(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:16]


def ctr(key: bytes, data: bytes, counter: bytes = b"0" * 16) -> bytes:
    return Cipher(AES(key), CTR(counter)).encryptor().update(data)


def blinding(key: bytes) -> bytes:
    return ctr(key, b"0" * 16, b"initialvector000") + bytes(16)


def commands(delay: float, flag: int) -> bytes:
    return (b"\x09" + struct.pack("<d", delay) if delay else b"") + octets(2, bytes([flag]))


def wrap(
    path: Sequence[MixConfig], delays: Sequence[float], recipient: ClientConfig, message: bytes, secret: bytes
) -> bytes:
    factors = [secret]
    alphas, keys = [], []
    for node in path:
        alpha, shared = crypto_scalarmult_base(factors[0]), node.public_key
        for factor in factors[1:]:
            alpha = crypto_scalarmult(factor, alpha)
        for factor in factors:
            shared = crypto_scalarmult(factor, shared)
        alphas.append(alpha)
        keys.append(kdf(kdf(shared)))
        factors.append(blinding(kdf(shared)))
    hop = octets(1, recipient.id) + octets(2, f"{recipient.host}:{recipient.port}")
    routing = octets(1, hop, always=True) + octets(2, commands(delays[len(path) - 1], 0xF0))
    for index in reversed(range(len(path))):
        beta = ctr(keys[index], routing)
        mac = hmac.digest(keys[index], beta, "sha256")
        message = ctr(keys[index], message)
        if index:
            node = path[index]
            hop = octets(1, node.id) + octets(2, f"{node.host}:{node.port}") + octets(3, node.public_key)
            routing = octets(1, hop) + octets(2, commands(delays[index - 1], 0xF1)) + octets(3, beta) + octets(4, mac)
    header = octets(1, alphas[0]) + octets(2, beta) + octets(3, mac)
    return octets(1, header) + octets(2, message)
