"""The state file's format: a head, then sealed records, one behind the other. Bytes in, rows out, no I/O.

    head    magic (16) | salt (32) | BLAKE3 of both (32)
    record  length of the body (4) | sequence number (8) | BLAKE3 of these and the body (32) | body
    body    nonce (24) | XChaCha20-Poly1305 of a CBOR map: key -> value, or null for a row that is no more

Theory of operation. A record is what one commit changes: it counts as a whole or not at all. Later values of a key
replace earlier ones. Each file has a salt of its own, and its cipher key is derived from that and the master key, so
that a record of one file is none in another; its sequence number is authenticated with it, so that none can be left
out, repeated or moved unnoticed.

The checksum says whether a record is whole before anything is decrypted: a power cut leaves a torn last one. What has
its checksum but does not decrypt was written under another key, or altered on purpose. A record without a body, a
*mark*, says that all before it is durable. It is written behind each commit before anybody is told of that, so what is
torn at the end of a file is either a mark, or a commit of which nobody knows; what is damaged before a mark was damaged
by the disk. One damaged record costs what is in it: where the next one begins is known, and it stands by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2
from blake3 import blake3
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from kpclientd.state.errors import HeadDamagedError, StateError
from sphinx.randomness import Randomness

MAGIC: Final = b"kpclientd state\x01"
SALT_LENGTH: Final = 32
CHECKSUM_LENGTH: Final = 32
HEAD_LENGTH: Final = len(MAGIC) + SALT_LENGTH + CHECKSUM_LENGTH
NONCE_LENGTH: Final = 24
TAG_LENGTH: Final = 16
_LENGTH_LENGTH: Final = 4
_NUMBERS_LENGTH: Final = _LENGTH_LENGTH + 8
RECORD_HEAD_LENGTH: Final = _NUMBERS_LENGTH + CHECKSUM_LENGTH
_KEY_CONTEXT: Final = "kpclientd 2026-11-30 state file, cipher key of one file"

_MOST_LOST: Final = 1 << 20
"""Records that one stretch of damage may have held; a sequence number beyond that is taken for none."""

Rows = Mapping[bytes, Any]
"""Values by key; None for a row that is no more."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no whole record.

    Attributes:
        offset: where they begin.
        length: how many they are.
        is_torn: whether they are the file's end, and nothing in it shows that they were ever durable.
    """

    offset: int
    length: int
    is_torn: bool


@dataclass(slots=True)
class Recovered:
    """What was found in a file: its rows, how many records held them, and what was damaged."""

    rows: dict[bytes, Any] = field(default_factory=dict, repr=False)
    records: int = 0
    damages: list[Damage] = field(default_factory=list)


class LogWriter:
    """Makes the bytes of one file, in order.

    Args:
        key: the master key (32 bytes).
        randomness: for the salt and for nonces.
    """

    def __init__(self, key: bytes, randomness: Randomness) -> None:
        self._randomness = randomness
        self._salt = randomness.bytes(SALT_LENGTH)
        self._key = _file_key(key, self._salt)
        self._sequence = 0

    def head(self) -> bytes:
        """The first bytes of the file."""
        begin = MAGIC + self._salt
        return begin + blake3(begin).digest()

    def record(self, rows: Rows) -> bytes:
        """The next record, of what changed."""
        self._sequence += 1
        nonce = self._randomness.bytes(NONCE_LENGTH)
        sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(
            cbor2.dumps(rows), self._sequence.to_bytes(8, "big"), nonce, self._key
        )
        return _framed(self._sequence, nonce + sealed)

    def mark(self) -> bytes:
        """A mark: all records up to here are durable."""
        return _framed(self._sequence, b"")


def recover(data: bytes, key: bytes) -> Recovered:
    """Read a file as far as it is whole.

    Args:
        data: the file.
        key: the master key (32 bytes).

    Raises:
        HeadDamagedError: its head is not whole, and without that nothing in it can be read.
        StateError: it is no such file, of another version, or was written under another key.
    """
    file_key = _file_key(key, _read_head(data))
    found = Recovered()
    damaged: list[tuple[int, int]] = []
    sealed_otherwise = last = 0
    place = known_durable = HEAD_LENGTH
    while place < len(data):
        framed = _framed_at(data, place)
        if framed is None:
            following = _next_whole(data, place, last)
            damaged.append((place, following))
            place = following
            continue
        expected = last if framed.is_mark else last + 1
        if framed.sequence > expected and not (damaged and damaged[-1][1] == place):
            damaged.append((place, place))  # something that stood here was taken out
        # No record is written before the one ahead of it is durable.
        known_durable = framed.end if framed.is_mark else place
        rows = {} if framed.is_mark else _opened(framed, file_key) if framed.sequence >= expected else None
        if rows is None:
            sealed_otherwise += 1
            damaged.append((place, framed.end))
        else:
            found.rows.update(rows)
            found.records += not framed.is_mark
        last, place = max(last, framed.sequence), framed.end
    if sealed_otherwise and not found.records:
        raise StateError("it was written under another key")
    found.damages = [
        Damage(begin, end - begin, is_torn=known_durable <= begin < end == len(data)) for begin, end in damaged
    ]
    found.rows = {name: value for name, value in found.rows.items() if value is not None}
    return found


def last_record(data: bytes) -> int:
    """Where the last whole record or mark of an undamaged file begins, from its framing alone.

    Raises:
        StateError: it is no such file.
    """
    _read_head(data)
    place = last = HEAD_LENGTH
    while (framed := _framed_at(data, place)) is not None:
        last, place = place, framed.end
    return last


@dataclass(frozen=True, slots=True)
class _Framed:
    offset: int
    sequence: int
    body: bytes = field(repr=False)

    @property
    def end(self) -> int:
        return self.offset + RECORD_HEAD_LENGTH + len(self.body)

    @property
    def is_mark(self) -> bool:
        return not self.body


def _framed_at(data: bytes, place: int) -> _Framed | None:
    """The whole record or mark that begins there."""
    begin = place + RECORD_HEAD_LENGTH
    end = begin + int.from_bytes(data[place : place + _LENGTH_LENGTH], "big")
    if len(data) < begin or len(data) < end:
        return None
    numbers, body = data[place : place + _NUMBERS_LENGTH], data[begin:end]
    if blake3(numbers).update(body).digest() != data[place + _NUMBERS_LENGTH : begin]:
        return None
    return _Framed(place, int.from_bytes(numbers[_LENGTH_LENGTH:], "big"), body)


def _next_whole(data: bytes, damaged: int, last: int) -> int:
    """Where the next whole record or mark begins behind a damaged one; the end of the file if none does.

    Where its length leads, as a rule; if its length is what was damaged, all places are tried at which a sequence
    number could stand.
    """
    led = damaged + RECORD_HEAD_LENGTH + int.from_bytes(data[damaged : damaged + _LENGTH_LENGTH], "big")
    if led < len(data) and _framed_at(data, led) is not None:
        return led
    for place in range(damaged + 1, len(data) - RECORD_HEAD_LENGTH + 1):
        sequence = int.from_bytes(data[place + _LENGTH_LENGTH : place + _NUMBERS_LENGTH], "big")
        if last <= sequence <= last + _MOST_LOST and _framed_at(data, place) is not None:
            return place
    return len(data)


def _framed(sequence: int, body: bytes) -> bytes:
    numbers = len(body).to_bytes(_LENGTH_LENGTH, "big") + sequence.to_bytes(8, "big")
    return numbers + blake3(numbers).update(body).digest() + body


def _read_head(data: bytes) -> bytes:
    """The salt."""
    if not data:
        raise HeadDamagedError("it is empty")
    name, magic, begin = MAGIC[:-1], data[: len(MAGIC)], data[: len(MAGIC) + SALT_LENGTH]
    if magic[: len(name)] != name[: len(data)]:
        raise StateError("it is no state file of this daemon")
    if len(magic) == len(MAGIC) and magic != MAGIC:
        raise StateError(f"it is of version {magic[-1]}, and this daemon knows version {MAGIC[-1]}")
    if len(data) < HEAD_LENGTH or blake3(begin).digest() != data[len(begin) : HEAD_LENGTH]:
        raise HeadDamagedError("its first bytes are damaged, and without them nothing in it can be read")
    return begin[len(MAGIC) :]


def _opened(framed: _Framed, file_key: bytes) -> dict[bytes, Any] | None:
    """The rows of a record; None if it was not sealed under this key, at this place."""
    nonce, sealed = framed.body[:NONCE_LENGTH], framed.body[NONCE_LENGTH:]
    if len(framed.body) < NONCE_LENGTH + TAG_LENGTH:
        return None
    try:
        rows = cbor2.loads(
            crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, framed.sequence.to_bytes(8, "big"), nonce, file_key)
        )
    except (CryptoError, cbor2.CBORDecodeError, ValueError, OverflowError):
        return None
    if not isinstance(rows, dict) or not all(isinstance(name, bytes) for name in rows):
        return None
    return rows


def _file_key(key: bytes, salt: bytes) -> bytes:
    return blake3(key + salt, derive_key_context=_KEY_CONTEXT).digest()
