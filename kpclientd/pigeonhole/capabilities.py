"""BACAP: who may read or write a stream of boxes. This is the one place that touches the package `hpqc.bacap`.

A write capability signs and encrypts the boxes of a stream, a read capability finds and decrypts them; a box index is
the place of one box in it, and can be moved forward only. Everything hostile or malformed comes out as one of this
package's errors, whatever the libraries below make of it.

Source: Katzenpost Pigeonhole, 'BACAP'.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_sign_PUBLICKEYBYTES
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from kpclientd.pigeonhole.errors import (
    BoxError,
    CapabilityError,
    InvalidArgument,
    StreamExhausted,
)
from kpclientd.pigeonhole.libraries import bacap
from kpclientd.pigeonhole.replica_messages import SIGNATURE_LENGTH, ReplicaWrite
from sphinx.randomness import Randomness

CONTEXT: Final = b"pigeonhole context"
"""What binds the boxes' keys to this protocol."""

INDEX_LENGTH: Final = 104
READ_CAP_LENGTH: Final = 136
WRITE_CAP_LENGTH: Final = 168
SEED_LENGTH: Final = 32

LAST_COUNTER: Final = (1 << 64) - 1


@contextmanager
def _as(kind: Callable[[str], Exception], what: str) -> Iterator[None]:
    """Whatever the libraries raise becomes `kind`: they raise more kinds than they say, on bytes that anybody chose."""
    try:
        yield
    except Exception as error:
        raise kind(f"{what}: {type(error).__name__}") from None


def is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is one of `message` under `key` (Ed25519), such as a box's payload under the box id.

    Anything is allowed in all three; this needs no package that may be missing.
    """
    if len(signature) != SIGNATURE_LENGTH:
        return False
    try:
        VerifyKey(key).verify(message, signature)
    except CryptoError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class BoxIndex:
    """The place of one box in a stream."""

    _index: Any = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the 104 bytes of an index.

        Raises:
            CapabilityError: if they are more or fewer.
            PigeonholeUnavailable: if a package is missing.
        """
        _check_length(data, INDEX_LENGTH, "a box index")
        library = bacap()
        with _as(CapabilityError, "a box index"):
            return cls(library.MessageBoxIndex.from_bytes(data))

    def encode(self) -> bytes:
        """The 104 bytes."""
        return bytes(self._index.to_bytes())

    @property
    def counter(self) -> int:
        """Which box of the stream it is; the first has a random number."""
        return int(self._index.idx_64)

    def next(self) -> Self:
        """The index of the box after this.

        Raises:
            StreamExhausted: if it is the last.
        """
        return self.advanced_to(self.counter + 1)

    def advanced_to(self, counter: int) -> Self:
        """The index of box `counter`; takes 11 µs for each box between.

        Raises:
            StreamExhausted: if that is behind this, or behind the last.
        """
        if not self.counter <= counter <= LAST_COUNTER:
            raise StreamExhausted(f"no way from box {self.counter} of a stream to box {counter}")
        with _as(CapabilityError, "a box index"):
            return type(self)(self._index.advance_index_to(counter))


@dataclass(frozen=True, slots=True)
class ReadCap:
    """The right to read a stream from one box on."""

    _cap: Any = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the 136 bytes of a read capability.

        Raises:
            CapabilityError: if they are more or fewer, or hold a key that nobody can own.
            PigeonholeUnavailable: if a package is missing.
        """
        _check_length(data, READ_CAP_LENGTH, "a read capability")
        library = bacap()
        with _as(CapabilityError, "a read capability"):
            # Of small order or outside the group of prime order, it would stop the library at its first use.
            if not crypto_core_ed25519_is_valid_point(data[:crypto_sign_PUBLICKEYBYTES]):
                raise ValueError
            return cls(library.ReadCap.from_bytes(data))

    def encode(self) -> bytes:
        """The 136 bytes."""
        return bytes(self._cap.to_bytes())

    @property
    def index(self) -> BoxIndex:
        """The first box that it reads."""
        return BoxIndex(self._cap.message_box_index)

    def box_id(self, index: BoxIndex, context: bytes = CONTEXT) -> bytes:
        """The name of a box (32 bytes), which is a public key.

        Raises:
            CapabilityError: if none comes of it.
        """
        with _as(CapabilityError, "a read capability"):
            return bytes(index._index.box_id_for_context(self._cap, context))

    def open(self, index: BoxIndex, box_id: bytes, payload: bytes, signature: bytes, context: bytes = CONTEXT) -> bytes:
        """The plaintext of the box at `index`; empty for a tombstone, whose payload is empty.

        Raises:
            BoxError: if it is another box, wrongly signed, or does not decrypt.
        """
        with _as(BoxError, "a replica's box is not what it should be"):
            return bytes(index._index.open_for_context(self._cap, context, box_id, payload, signature))

    def mutated(self, salt: bytes) -> Self:
        """The same stream's continuation that nobody finds without `salt`."""
        with _as(CapabilityError, "a read capability"):
            return type(self)(self._cap.mutate_kdf_state(salt))

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the stream's owner made `signature` (64 bytes; plain Ed25519 under the root key)."""
        return is_signed(bytes(self._cap.root_public_key), message, signature)


@dataclass(frozen=True, slots=True)
class WriteCap:
    """The right to write a stream from one box on."""

    _cap: Any = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the 168 bytes of a write capability.

        Raises:
            CapabilityError: if they are more or fewer, or its two keys do not belong together.
            PigeonholeUnavailable: if a package is missing.
        """
        _check_length(data, WRITE_CAP_LENGTH, "a write capability")
        library = bacap()
        with _as(CapabilityError, "a write capability"):
            return cls(library.WriteCap.from_bytes(data))

    @classmethod
    def new(cls, read: Callable[[int], bytes]) -> Self:
        """A new stream from what `read` returns: 32, 32 and 16 bytes.

        Raises:
            PigeonholeUnavailable: if a package is missing.
        """
        return cls(bacap().WriteCap.generate(read))

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The stream that a seed of 32 bytes gives, the same each time.

        Raises:
            InvalidArgument: if it has another length.
            PigeonholeUnavailable: if a package is missing.
        """
        if len(seed) != SEED_LENGTH:
            raise InvalidArgument(f"a seed has {len(seed)} bytes; expected {SEED_LENGTH}")
        stream = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor()
        return cls.new(lambda length: stream.update(bytes(length)))

    @classmethod
    def random(cls, randomness: Randomness) -> Self:
        """A new stream that nobody can guess."""
        return cls.new(randomness.bytes)

    def encode(self) -> bytes:
        """The 168 bytes."""
        return bytes(self._cap.to_bytes())

    @property
    def index(self) -> BoxIndex:
        """The first box that it writes."""
        return BoxIndex(self._cap.message_box_index)

    @property
    def read_cap(self) -> ReadCap:
        """The right to read the same boxes."""
        return ReadCap(self._cap.read_cap())

    def encrypt(self, index: BoxIndex, plaintext: bytes, context: bytes = CONTEXT) -> ReplicaWrite:
        """What fills the box at `index` with `plaintext`, which is padded already; the same each time."""
        with _as(CapabilityError, "a write capability"):
            box_id, payload, signature = index._index.encrypt_for_context(self._cap, context, plaintext)
        return ReplicaWrite(box_id, signature, payload)

    def tombstone(self, index: BoxIndex, context: bytes = CONTEXT) -> ReplicaWrite:
        """What deletes the box at `index`."""
        with _as(CapabilityError, "a write capability"):
            box_id, signature = index._index.sign_box(self._cap, context, b"")
        return ReplicaWrite(box_id, signature, b"")

    def mutated(self, salt: bytes) -> Self:
        """The same stream's continuation that nobody finds without `salt`."""
        with _as(CapabilityError, "a write capability"):
            return type(self)(self._cap.mutate_kdf_state(salt))

    def sign(self, message: bytes) -> bytes:
        """The owner's signature of something that is no box (64 bytes; plain Ed25519 by the root key)."""
        return SigningKey(self.encode()[:SEED_LENGTH]).sign(message).signature


def _check_length(data: bytes, length: int, what: str) -> None:
    if len(data) != length:
        raise CapabilityError(f"{what} has {len(data)} bytes; expected {length}")
