"""What is said inside an envelope, which no courier can read (Katzenpost Pigeonhole, 'messages')."""

from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from kpclientd.pigeonhole.trunnel import Reader, fixed, prefixed, unsigned

BOX_ID_LENGTH: Final = 32
SIGNATURE_LENGTH: Final = 64

INNER_READ, INNER_WRITE = 0, 1


@dataclass(frozen=True, slots=True)
class ReplicaRead:
    """Asks for a box."""

    box_id: bytes

    message_type: ClassVar[int] = INNER_READ

    def encode(self) -> bytes:
        """The 32 bytes of a `replica_read`."""
        return fixed(self.box_id, BOX_ID_LENGTH, "the box id")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take one from the front.

        Raises:
            MessageError: if the bytes end before it does.
        """
        return cls(reader.take(BOX_ID_LENGTH))


@dataclass(frozen=True, slots=True)
class ReplicaWrite:
    """Fills a box, or deletes it where the payload is empty (a tombstone).

    Attributes:
        box_id: which box (32 bytes).
        signature: over the payload, under the box id (64 bytes).
        payload: the box's ciphertext.
    """

    box_id: bytes
    signature: bytes = field(repr=False)
    payload: bytes = field(repr=False)

    message_type: ClassVar[int] = INNER_WRITE

    def encode(self) -> bytes:
        """The bytes of a `replica_write`.

        Raises:
            MessageError: if a part does not fit its field.
        """
        return (
            fixed(self.box_id, BOX_ID_LENGTH, "the box id")
            + fixed(self.signature, SIGNATURE_LENGTH, "the signature")
            + prefixed(self.payload, "the payload")
        )

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take one from the front; errors as for `ReplicaRead.read`."""
        return cls(reader.take(BOX_ID_LENGTH), reader.take(SIGNATURE_LENGTH), reader.prefixed())


ReplicaRequest = ReplicaRead | ReplicaWrite


def encode_request(request: ReplicaRequest) -> bytes:
    """The bytes of a `replica_inner_message`, not padded.

    Raises:
        MessageError: if a part does not fit its field.
    """
    return bytes([request.message_type]) + request.encode()


def parse_request(data: bytes) -> ReplicaRequest:
    """Read a `replica_inner_message`, whatever follows it.

    Raises:
        MessageError: if it is cut short, too long or of no known type.
    """
    reader = Reader(data, "replica message")
    return (ReplicaRead, ReplicaWrite)[reader.one_of(INNER_READ, INNER_WRITE)].read(reader)


@dataclass(frozen=True, slots=True)
class ReplicaReadReply:
    """A box as a replica has it, or why not.

    Attributes:
        error_code: a `ReplicaCode`, or any other byte.
        box_id: which box (32 bytes).
        signature: over the payload, under the box id (64 bytes; zeros if there is no box).
        payload: the box's ciphertext; empty for a tombstone, or if there is no box.
    """

    error_code: int
    box_id: bytes
    signature: bytes = field(repr=False)
    payload: bytes = field(repr=False)

    message_type: ClassVar[int] = INNER_READ

    def encode(self) -> bytes:
        """The bytes of a `replica_read_reply`.

        Raises:
            MessageError: if a part does not fit its field.
        """
        return (
            unsigned(self.error_code, 1, "the error code")
            + ReplicaWrite(self.box_id, self.signature, self.payload).encode()
        )

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take one from the front; errors as for `ReplicaRead.read`."""
        error_code = reader.unsigned(1)
        return cls(error_code, reader.take(BOX_ID_LENGTH), reader.take(SIGNATURE_LENGTH), reader.prefixed())


@dataclass(frozen=True, slots=True)
class ReplicaWriteReply:
    """How a write went: `error_code` is a `ReplicaCode`, or any other byte."""

    error_code: int

    message_type: ClassVar[int] = INNER_WRITE

    def encode(self) -> bytes:
        """The one byte of a `replica_write_reply`.

        Raises:
            MessageError: if the code is no byte.
        """
        return unsigned(self.error_code, 1, "the error code")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take one from the front; errors as for `ReplicaRead.read`."""
        return cls(reader.unsigned(1))


ReplicaReply = ReplicaReadReply | ReplicaWriteReply


def encode_reply(reply: ReplicaReply) -> bytes:
    """The bytes of a `replica_message_reply_inner_message`, not padded.

    Raises:
        MessageError: if a part does not fit its field.
    """
    return bytes([reply.message_type]) + reply.encode()


def parse_reply(data: bytes) -> ReplicaReply:
    """Read a `replica_message_reply_inner_message`, whatever follows it.

    Raises:
        MessageError: if it is cut short, too long or of no known type.
    """
    reader = Reader(data, "replica reply")
    return (ReplicaReadReply, ReplicaWriteReply)[reader.one_of(INNER_READ, INNER_WRITE)].read(reader)


@dataclass(frozen=True, slots=True)
class Box:
    """A box as replicas store it; the signature stands last here."""

    box_id: bytes
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The bytes of a `box`.

        Raises:
            MessageError: if a part does not fit its field.
        """
        return (
            fixed(self.box_id, BOX_ID_LENGTH, "the box id")
            + prefixed(self.payload, "the payload")
            + fixed(self.signature, SIGNATURE_LENGTH, "the signature")
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read one, whatever follows it; errors as for `ReplicaRead.read`."""
        reader = Reader(data, "box")
        return cls(reader.take(BOX_ID_LENGTH), reader.prefixed(), reader.take(SIGNATURE_LENGTH))
