"""Frames: a sealed length, then a sealed body, and a new key after each.

Katzenpost wire protocol, "framing": both parts are messages of their own under the direction's key, numbered on;
the key is replaced after each frame, the number is not set back.
"""

from typing import Final

from kpclientd.wire.errors import MessageSizeError
from kpclientd.wire.noise import TAG_LENGTH, CipherState

_LENGTH_FIELD: Final = 4
HEADER_LENGTH: Final = _LENGTH_FIELD + TAG_LENGTH
REFERENCE_BODY_LIMIT: Final = 500_000_000
"""The longest body that the reference sends or takes (bytes)."""

_NO_DATA: Final = b""


def seal_frame(cipher: CipherState, plaintext: bytes) -> bytes:
    """Seal one command and advance the key.

    Raises:
        MessageSizeError: if it is longer than the protocol allows; the key has not advanced then.
        SessionStateError: if the key was wiped or is used up.
    """
    body_length = len(plaintext) + TAG_LENGTH
    if body_length > REFERENCE_BODY_LIMIT:
        raise MessageSizeError(f"a command of {len(plaintext)} bytes does not fit {REFERENCE_BODY_LIMIT} sealed")
    header = cipher.encrypt(_NO_DATA, body_length.to_bytes(_LENGTH_FIELD, "big"))
    frame = header + cipher.encrypt(_NO_DATA, plaintext)
    cipher.rekey()
    return frame


def open_header(cipher: CipherState, header: bytes | bytearray, limit: int) -> int:
    """Open a header of 20 bytes and return how long the sealed body after it is.

    Args:
        cipher: the receiving key.
        header: as received.
        limit: the longest sealed body to wait for (bytes).

    Raises:
        DecryptionError: if the header was altered.
        MessageSizeError: if it announces no room for a tag, or more than `limit`.
    """
    length = int.from_bytes(cipher.decrypt(_NO_DATA, header), "big")
    if not TAG_LENGTH <= length <= limit:
        raise MessageSizeError(f"a frame announces a body of {length} bytes, expected {TAG_LENGTH} to {limit}")
    return length


def open_body(cipher: CipherState, body: bytes | bytearray) -> bytes:
    """Open the sealed body that follows a header, and advance the key.

    Raises:
        DecryptionError: if the body was altered.
    """
    plaintext = cipher.decrypt(_NO_DATA, body)
    cipher.rekey()
    return plaintext
