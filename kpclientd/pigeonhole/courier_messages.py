"""What a client and a courier say to each other (Katzenpost Pigeonhole, 'messages')."""

from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from kpclientd.pigeonhole.trunnel import HASH_LENGTH, Reader, digest, fixed, prefixed, unsigned

SHARDS: Final = 2
"""Replicas that keep a box, and as many that are asked for it."""

DEK_LENGTH: Final = 60

QUERY_ENVELOPE, QUERY_COPY = 0, 1
REPLY_ENVELOPE, REPLY_COPY = 0, 1

FLAG_START: Final = 0x01
FLAG_FINAL: Final = 0x02

_U8, _U16, _U64 = 1, 2, 8


@dataclass(frozen=True, slots=True)
class CourierEnvelope:
    """One read, write or tombstone, encrypted to two intermediate replicas.

    Attributes:
        replicas: the numbers of the two (2 bytes, one each).
        deks: for each of the two, the envelope's key encrypted to it (60 bytes each).
        epoch: replica epoch (weeks) of the keys used.
        sender_key: the query's ephemeral public key (160 bytes).
        ciphertext: what the replicas decrypt.
        reply_index: which of the two cached replies is wanted.
    """

    replicas: bytes
    deks: tuple[bytes, bytes] = field(repr=False)
    epoch: int
    sender_key: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)
    reply_index: int = 0

    query_type: ClassVar[int] = QUERY_ENVELOPE

    @property
    def hash(self) -> bytes:
        """The name of this exchange (32 bytes); neither the DEKs, nor the reply index, nor the epoch is in it."""
        return digest(self.sender_key + self.ciphertext)

    def encode(self) -> bytes:
        """The bytes of a `courier_envelope`.

        Raises:
            MessageError: if a field has another length than it must have.
        """
        return b"".join(
            (
                fixed(self.replicas, SHARDS, "the replicas' numbers"),
                *(fixed(dek, DEK_LENGTH, "a DEK") for dek in self.deks),
                unsigned(self.reply_index, _U8, "the reply index"),
                unsigned(self.epoch, _U64, "the replica epoch"),
                prefixed(self.sender_key, "the sender's key", _U16),
                prefixed(self.ciphertext, "the ciphertext"),
            )
        )

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take one from the front.

        Raises:
            MessageError: if the bytes end before it does.
        """
        replicas = reader.take(SHARDS)
        deks = (reader.take(DEK_LENGTH), reader.take(DEK_LENGTH))
        reply_index, epoch = reader.unsigned(_U8), reader.unsigned(_U64)
        return cls(replicas, deks, epoch, reader.prefixed(_U16), reader.prefixed(), reply_index)


@dataclass(frozen=True, slots=True)
class CopyCommand:
    """Asks a courier to replay the envelopes that are written in a temporary stream.

    Attributes:
        write_cap: that stream's write capability (168 bytes, which only the courier checks).
    """

    write_cap: bytes = field(repr=False)

    query_type: ClassVar[int] = QUERY_COPY

    def encode(self) -> bytes:
        """The bytes of a `copy_command`."""
        return prefixed(self.write_cap, "the write capability")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take one from the front; errors as for `CourierEnvelope.read`."""
        return cls(reader.prefixed())


CourierQuery = CourierEnvelope | CopyCommand


def encode_query(query: CourierQuery) -> bytes:
    """The bytes of a `courier_query`: what a courier is sent.

    Raises:
        MessageError: if a part does not fit its field.
    """
    return bytes([query.query_type]) + query.encode()


def parse_query(data: bytes) -> CourierQuery:
    """Read a `courier_query`, whatever follows it.

    Raises:
        MessageError: if it is cut short, too long or of no known type.
    """
    reader = Reader(data, "courier query")
    return (CourierEnvelope, CopyCommand)[reader.one_of(QUERY_ENVELOPE, QUERY_COPY)].read(reader)


@dataclass(frozen=True, slots=True)
class CourierEnvelopeReply:
    """A courier's answer to an envelope: that it has it (an ACK), or what a replica said.

    Attributes:
        envelope_hash: of the envelope that is answered (32 bytes).
        reply_index: which cached reply this is.
        has_payload: whether the payload is a replica's answer.
        payload: that answer, sealed; empty in an ACK.
        error_code: a `CourierCode`, or any other byte.
    """

    envelope_hash: bytes
    reply_index: int = 0
    has_payload: bool = False
    payload: bytes = field(default=b"", repr=False)
    error_code: int = 0

    reply_type: ClassVar[int] = REPLY_ENVELOPE

    def encode(self) -> bytes:
        """The bytes of a `courier_envelope_reply`; the error code stands behind the payload.

        Raises:
            MessageError: if a part does not fit its field.
        """
        return b"".join(
            (
                fixed(self.envelope_hash, HASH_LENGTH, "the envelope hash"),
                unsigned(self.reply_index, _U8, "the reply index"),
                bytes([self.has_payload]),
                prefixed(self.payload, "the payload"),
                unsigned(self.error_code, _U8, "the error code"),
            )
        )

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take one from the front; errors as for `CourierEnvelope.read`."""
        envelope_hash, reply_index = reader.take(HASH_LENGTH), reader.unsigned(_U8)
        has_payload = bool(reader.one_of(0, 1))
        return cls(envelope_hash, reply_index, has_payload, reader.prefixed(), reader.unsigned(_U8))


@dataclass(frozen=True, slots=True)
class CopyCommandReply:
    """How a copy job stands.

    Attributes:
        status: a `CopyStatus`, or any other byte.
        error_code: the replica's code that stopped it, if it failed.
        failed_envelope: which envelope that was, counted from 1; 0 if the job never began.
    """

    status: int
    error_code: int = 0
    failed_envelope: int = 0

    reply_type: ClassVar[int] = REPLY_COPY

    def encode(self) -> bytes:
        """The ten bytes of a `copy_command_reply`.

        Raises:
            MessageError: if a number does not fit its field.
        """
        return (
            unsigned(self.status, _U8, "the status")
            + unsigned(self.error_code, _U8, "the error code")
            + unsigned(self.failed_envelope, _U64, "the failed envelope's number")
        )

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take one from the front; errors as for `CourierEnvelope.read`."""
        return cls(reader.unsigned(_U8), reader.unsigned(_U8), reader.unsigned(_U64))


CourierReply = CourierEnvelopeReply | CopyCommandReply


def encode_query_reply(reply: CourierReply) -> bytes:
    """The bytes of a `courier_query_reply`: what a courier answers.

    Raises:
        MessageError: if a part does not fit its field.
    """
    return bytes([reply.reply_type]) + reply.encode()


def parse_query_reply(data: bytes) -> CourierReply:
    """Read a `courier_query_reply`, whatever follows it.

    Raises:
        MessageError: if it is cut short, too long or of no known type.
    """
    reader = Reader(data, "courier reply")
    return (CourierEnvelopeReply, CopyCommandReply)[reader.one_of(REPLY_ENVELOPE, REPLY_COPY)].read(reader)


@dataclass(frozen=True, slots=True)
class CopyStreamElement:
    """A piece of a copy stream, which fills one box of the temporary stream.

    Attributes:
        flags: `FLAG_START` in the first element, `FLAG_FINAL` in the last.
        chunk: the piece; it needs not begin or end where an envelope does.
    """

    flags: int
    chunk: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The bytes of a `copy_stream_element`.

        Raises:
            MessageError: if a part does not fit its field.
        """
        return unsigned(self.flags, _U8, "the flags") + prefixed(self.chunk, "the chunk")

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Take one from the front; errors as for `CourierEnvelope.read`."""
        return cls(reader.unsigned(_U8), reader.prefixed())

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read one, whatever follows it; errors as for `CourierEnvelope.read`."""
        return cls.read(Reader(data, "copy stream element"))
