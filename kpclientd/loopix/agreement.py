"""The keys that the sender of a packet shares with its nodes, and the group elements by which they learn them.

Source: the Nym 2019 Loopix client, "primitives" and "wrapping"; the names are its own.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from kpclientd.loopix.errors import NoPath
from kpclientd.loopix.nodes import KEY_LENGTH
from sphinx.crypto.nike import X25519
from sphinx.errors import SphinxError

_X25519: Final = X25519()
_HASH_LENGTH: Final = 16
_BLINDING_COUNTER: Final = CTR(b"initialvector000")
_BLINDING_TEXT: Final = b"0" * 16


def agree(secret: bytes, public_keys: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """Return the element that the first node sees, and the key of each node's layer (16 bytes).

    The elements that later nodes see are left to the nodes.

    Args:
        secret: 32 random bytes, for this packet only.
        public_keys: the nodes', 32 bytes each.

    Raises:
        NoPath: if a key is none; its text is the reference's.
    """
    keys: list[bytes] = []

    def factor_of(shared: bytes) -> bytes:
        secret_hash = _hash(shared)
        keys.append(_hash(secret_hash))
        return _blinding_factor(secret_hash)

    try:
        for _ in _X25519.blinded_scalars(secret, public_keys, factor_of):
            pass  # what is wanted are the keys
    except SphinxError:
        raise _invalid_key(len(keys)) from None
    return _X25519.public_key(secret), keys


def agree_as_node(private_key: bytes, element: bytes) -> tuple[bytes, bytes]:
    """Return the key of a node's layer (16 bytes), and the element that the next node is to see.

    Raises:
        SphinxError: if the element leads to an all-zero secret, or a length is not 32 bytes.
    """
    secret_hash = _hash(_X25519.shared_secret(private_key, element))
    return _hash(secret_hash), _X25519.blind(element, _blinding_factor(secret_hash))


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_HASH_LENGTH]


def _blinding_factor(secret_hash: bytes) -> bytes:
    """A scalar of which only the first half is not zero."""
    stream = Cipher(AES(secret_hash), _BLINDING_COUNTER).encryptor()
    return stream.update(_BLINDING_TEXT).ljust(KEY_LENGTH, b"\0")


def _invalid_key(index: int) -> NoPath:
    """In the reference's words, which its applications may know."""
    return NoPath(
        "error in PackForwardMessage - createHeader failed: error in createHeader - getSharedSecrets failed: "
        f"invalid public key provided for node {index}"
    )
