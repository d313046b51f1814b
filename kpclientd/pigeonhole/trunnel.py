"""What all messages of Pigeonhole are made of: integers, byte strings, lengths in front, and the two paddings.

All integers are big-endian. A parser reads a prefix and ignores what follows, since Sphinx pads payloads with zeros;
a length field is compared with what is left before anything is built. An encoder refuses parts that do not fit.
Source: Katzenpost Pigeonhole, 'messages'; trunnel is the language that the reference describes them in.
"""

import hashlib
from typing import Final

from kpclientd.pigeonhole.errors import MessageError

LONGEST_MESSAGE: Final = 16_777_216
"""Bytes; longer input is refused, as the reference does."""

HASH_LENGTH: Final = 32
LENGTH_PREFIX: Final = 4


def digest(data: bytes) -> bytes:
    """BLAKE2b-256 (32 bytes), the one hash of the protocol's names."""
    return hashlib.blake2b(data, digest_size=HASH_LENGTH).digest()


class Reader:
    """Takes fields from the front of untrusted bytes.

    Args:
        data: the bytes.
        what: names the message in errors.

    Raises:
        MessageError: by the constructor if there are more bytes than any message has, by the methods if there are
            fewer left than they need.
    """

    __slots__ = ("_data", "_offset", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        if len(data) > LONGEST_MESSAGE:
            raise MessageError(f"{what}: {len(data)} bytes; at most {LONGEST_MESSAGE} are read")
        self._data = data
        self._offset = 0
        self._what = what

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        end = self._offset + length
        if end > len(self._data):
            raise MessageError(f"{self._what}: {len(self._data)} bytes; at least {end} are needed")
        taken = bytes(self._data[self._offset : end])
        self._offset = end
        return taken

    def unsigned(self, width: int) -> int:
        """An integer of `width` bytes."""
        return int.from_bytes(self.take(width), "big")

    def prefixed(self, width: int = LENGTH_PREFIX) -> bytes:
        """A byte string behind its length of `width` bytes."""
        return self.take(self.unsigned(width))

    def one_of(self, *values: int) -> int:
        """A byte that must be one of `values`."""
        value = self.unsigned(1)
        if value not in values:
            raise MessageError(f"{self._what}: type {value}; expected one of {values}")
        return value

    @property
    def left(self) -> int:
        """How many bytes were not taken."""
        return len(self._data) - self._offset


def unsigned(value: int, width: int, name: str) -> bytes:
    """An integer of `width` bytes.

    Raises:
        MessageError: if it does not fit; `name` says what.
    """
    try:
        return value.to_bytes(width, "big")
    except OverflowError:
        raise MessageError(f"{name} is {value}; expected an integer of {width} bytes") from None


def fixed(value: bytes, length: int, name: str) -> bytes:
    """A byte string of one length.

    Raises:
        MessageError: if it has another.
    """
    if len(value) != length:
        raise MessageError(f"{name} has {len(value)} bytes; expected {length}")
    return value


def prefixed(value: bytes, name: str, width: int = LENGTH_PREFIX) -> bytes:
    """A byte string behind its length of `width` bytes.

    Raises:
        MessageError: if it is too long.
    """
    if len(value) > LONGEST_MESSAGE:
        raise MessageError(f"{name} has {len(value)} bytes; at most {LONGEST_MESSAGE} are written")
    return unsigned(len(value), width, f"the length of {name}") + value


def pad(message: bytes, length: int) -> bytes:
    """`message` behind its length (u32), filled with zeros to `length` bytes.

    Raises:
        MessageError: if it does not fit.
    """
    if len(message) > length - LENGTH_PREFIX:
        raise MessageError(f"{len(message)} bytes do not fit into {length} with their length")
    return (len(message).to_bytes(LENGTH_PREFIX, "big") + message).ljust(length, b"\0")


def unpad(padded: bytes) -> bytes:
    """What `pad` was given. The filling is not looked at, as the reference does not.

    Raises:
        MessageError: if there is no length in front, or a longer one than there are bytes.
    """
    return Reader(padded, "padded message").prefixed()
