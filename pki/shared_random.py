"""The authorities' shared random: each commits to a value, then reveals it (Katzenpost PKI, 'shared random').

A client only carries the outcome; the authorities of a local network compute it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from sphinx.randomness import Randomness

REVEAL_LENGTH: Final = 40
COMMIT_LENGTH: Final = 40
VALUE_LENGTH: Final = 32

_EPOCH_LENGTH: Final = 8
_DOMAIN: Final = b"shared-random"


def new_reveal(epoch: int, randomness: Randomness) -> bytes:
    """What an authority will reveal for `epoch` (40 bytes: big-endian epoch, hash of fresh randomness)."""
    return _epoch_bytes(epoch) + _hash(randomness.bytes(VALUE_LENGTH))


def commit_to(reveal: bytes) -> bytes:
    """The commitment to a reveal (40 bytes: the same epoch, the reveal's hash)."""
    return reveal[:_EPOCH_LENGTH] + _hash(reveal)


def epoch_of(value: bytes) -> int | None:
    """The epoch that a commit or a reveal is for, or None where the value's length is wrong."""
    return int.from_bytes(value[:_EPOCH_LENGTH], "big") if len(value) == REVEAL_LENGTH else None


def opens(reveal: bytes, commit: bytes) -> bool:
    """Whether `reveal` is what `commit` committed to."""
    return (
        len(reveal) == REVEAL_LENGTH and len(commit) == COMMIT_LENGTH and hmac.compare_digest(commit_to(reveal), commit)
    )


def shared_random_value(epoch: int, reveals: Mapping[bytes, bytes], previous: bytes | None) -> bytes:
    """The epoch's shared random (32 bytes).

    Args:
        epoch: the epoch of the document that is being made.
        reveals: authority's key hash (32 bytes) -> its reveal (40 bytes).
        previous: the value of the document before (32 bytes), None at genesis.
    """
    digest = hashlib.blake2b(_DOMAIN + _epoch_bytes(epoch), digest_size=VALUE_LENGTH)
    for signer, reveal in sorted(reveals.items(), key=lambda pair: pair[1], reverse=True):
        digest.update(signer + reveal)
    digest.update(bytes(VALUE_LENGTH) if previous is None else previous)
    return digest.digest()


def _epoch_bytes(epoch: int) -> bytes:
    return epoch.to_bytes(_EPOCH_LENGTH, "big")


def _hash(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=VALUE_LENGTH).digest()
