"""The authorities' shared random: each commits to a value, then reveals it (Katzenpost PKI, 'shared random').

A client only checks that what a document reveals is what was committed to.
"""

import hashlib
import hmac
from typing import Final

REVEAL_LENGTH: Final = 40
COMMIT_LENGTH: Final = 40

_EPOCH_LENGTH: Final = 8
_HASH_LENGTH: Final = 32


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


def _hash(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=_HASH_LENGTH).digest()
