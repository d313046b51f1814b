"""One exchange with a box: the query, always of one length, and what its reply means.

Reads, writes and tombstones look alike from outside, byte for byte in their lengths; so do the replies.
Source: Katzenpost Pigeonhole, 'one exchange, step by step'.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Self

import cbor2

from kpclientd.pigeonhole.capabilities import BoxIndex, ReadCap, WriteCap
from kpclientd.pigeonhole.codes import ReplicaCode
from kpclientd.pigeonhole.courier_messages import SHARDS, CourierEnvelope, CourierEnvelopeReply, encode_query
from kpclientd.pigeonhole.errors import (
    BoxError,
    InvalidArgument,
    MessageError,
    SealError,
    TombstoneError,
    UnusableKey,
    UnusablePrivateKey,
)
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.pigeonhole.mkem import Mkem, ReadyExchange, encapsulate, open_sealed
from kpclientd.pigeonhole.replica_messages import (
    ReplicaRead,
    ReplicaReadReply,
    ReplicaRequest,
    ReplicaWrite,
    ReplicaWriteReply,
    encode_request,
    parse_reply,
)
from kpclientd.pigeonhole.replicas import Intermediates, key_of, replica
from kpclientd.pigeonhole.trunnel import pad, unpad
from pki.cbor import Allowance, decode
from pki.document import Document
from pki.errors import EncodingError
from sphinx.randomness import Randomness

LONGEST_DESCRIPTOR: Final = 4096
"""Bytes of an envelope descriptor; genuine ones have some 200."""

_DESCRIPTOR_ITEMS: Final = 256
_MOST_WEEKS: Final = 3  # those before, in and after the present one; a document might list any number


@dataclass(frozen=True, slots=True)
class EnvelopeDescriptor:
    """What opens the reply to an envelope. The application keeps it and hands it back; it means nothing to others.

    Attributes:
        epoch: replica epoch (weeks) of the replicas' keys used.
        replicas: the numbers of the two intermediates (2 bytes, one each).
        private_key: the query's ephemeral key (162 bytes, of a length that only its user checks).
    """

    epoch: int
    replicas: bytes
    private_key: bytes = field(repr=False)

    def encode(self) -> bytes:
        """CBOR, byte for byte as the reference writes it, so that an application may change daemons."""
        # In this order, which is not the canonical one.
        return cbor2.dumps({"Epoch": self.epoch, "ReplicaNums": self.replicas, "EnvelopeKey": self.private_key})

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read one; unknown keys are ignored, and the numbers may be an array of integers.

        Raises:
            MessageError: if it is no CBOR map with these fields.
        """
        try:
            record = decode(
                data,
                "envelope descriptor",
                longest=LONGEST_DESCRIPTOR,
                allowance=Allowance(_DESCRIPTOR_ITEMS),
            )
            if isinstance(record.value.get("ReplicaNums"), list):
                replicas = _numbers(record.array("ReplicaNums"))
            else:
                replicas = record.octets("ReplicaNums", SHARDS)
            return cls(record.unsigned("Epoch"), replicas, record.octets("EnvelopeKey"))
        except EncodingError as error:
            raise MessageError(str(error)) from None


def _numbers(values: list[object]) -> bytes:
    numbers = [value for value in values if type(value) is int and 0 <= value < 256]
    if len(numbers) != len(values) or len(values) != SHARDS:
        raise MessageError(f"envelope descriptor, ReplicaNums: expected {SHARDS} integers below 256")
    return bytes(numbers)


@dataclass(frozen=True, slots=True)
class Query:
    """A query that is ready to be sent.

    Attributes:
        envelope: what the courier gets.
        descriptor: what opens the reply.
        exchange: what opens it at once, where it is kept: the keys agreed on with the two replicas, and no others.
    """

    envelope: CourierEnvelope
    descriptor: EnvelopeDescriptor
    exchange: ReadyExchange = field(repr=False)

    @property
    def hash(self) -> bytes:
        """The name of the exchange (32 bytes)."""
        return self.envelope.hash

    def encode(self) -> bytes:
        """The payload of the packet to the courier; each query of a network has the same length."""
        return encode_query(self.envelope)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a replica says.

    Attributes:
        code: a `ReplicaCode`, or any other byte from 1 on.
        plaintext: what a read found; empty where a replica has a deleted box and does not say so; else None.
    """

    code: int
    plaintext: bytes | None = field(default=None, repr=False)


def read_request(cap: ReadCap, index: BoxIndex) -> ReplicaRead:
    """Asks for the box at `index`."""
    return ReplicaRead(cap.box_id(index))


def write_request(cap: WriteCap, index: BoxIndex, plaintext: bytes, geometry: PigeonholeGeometry) -> ReplicaWrite:
    """Fills the box at `index`, whole, also with an empty message. To delete it: `cap.tombstone(index)`.

    Raises:
        InvalidArgument: if the plaintext is longer than a box.
    """
    longest = geometry.max_plaintext_payload_length
    if len(plaintext) > longest:
        raise InvalidArgument(f"a plaintext has {len(plaintext)} bytes; a box takes {longest}")
    return cap.encrypt(index, pad(plaintext, geometry.box_plaintext_length))


def build_query(
    request: ReplicaRequest,
    to: Intermediates,
    exchange: ReadyExchange,
    geometry: PigeonholeGeometry,
    randomness: Randomness,
    reply_index: int = 0,
) -> Query:
    """Encrypt a request to two replicas, in microseconds.

    Args:
        request: what they are asked.
        to: the two.
        exchange: an ephemeral key that has agreed with their keys, among others perhaps; to be used for this request
            alone, if more than once then for the same two.
        geometry: the network's lengths.
        randomness: for the nonces.
        reply_index: whose reply is wanted first, 0 or 1.

    Raises:
        UnusableKey: if the exchange was made ready for other keys.
        MessageError: if the request does not fit.
    """
    exchange = exchange.only(to.keys)
    sealed = encapsulate(exchange, pad(encode_request(request), geometry.request_length), randomness)
    first, second = sealed.deks
    envelope = CourierEnvelope(to.replicas, (first, second), to.epoch, sealed.sender_key, sealed.envelope, reply_index)
    return Query(envelope, EnvelopeDescriptor(to.epoch, to.replicas, exchange.pair.private), exchange)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a read expects: the box at `index` of the stream that `cap` reads."""

    cap: ReadCap
    index: BoxIndex


def open_reply(
    reply: CourierEnvelopeReply,
    envelope_hash: bytes,
    descriptor: EnvelopeDescriptor,
    document: Document,
    *,
    mkem: Mkem,
    exchange: ReadyExchange | None = None,
    reading: Reading | None = None,
) -> Opened:
    """What a courier's reply with a payload says.

    With the exchange that made the query this takes microseconds as a rule; without, half a second or more.

    Args:
        reply: the courier's.
        envelope_hash: the query's (32 bytes).
        descriptor: the query's.
        document: the newest consensus.
        mkem: opens what `exchange` does not.
        exchange: the query's, if it was kept.
        reading: what a read expects; None for a write.

    Raises:
        MessageError: if the reply is to another query, or what is in it is no message, or of another kind.
        UnusablePrivateKey: if the descriptor's key is none.
        SealError: if none of the two replicas has sealed it.
        TombstoneError: if the box is said to be deleted, and the signature does not prove it.
        BoxError: if it is another box, wrongly signed, or does not decrypt.
    """
    if reply.envelope_hash != envelope_hash:
        raise MessageError("a courier's reply is to another envelope")
    return read_reply(unseal(reply.payload, descriptor, document, mkem=mkem, exchange=exchange), reading)


def unseal(
    payload: bytes,
    descriptor: EnvelopeDescriptor,
    document: Document,
    *,
    mkem: Mkem,
    exchange: ReadyExchange | None = None,
) -> bytes:
    """Decrypt a replica's reply; arguments and errors as for `open_reply`.

    Replicas may seal with the key of the next week already: so all that they have are tried, the likely ones first.
    """
    known: dict[bytes, bytes] = {}
    if exchange is not None and exchange.pair.private == descriptor.private_key:
        known = dict(zip(exchange.recipients, exchange.keys, strict=True))
    for key in known.values():
        try:
            return open_sealed(key, payload)
        except SealError:
            continue
    mkem.check_private_key(descriptor.private_key)
    for public in _candidates(descriptor, document):
        if public not in known:
            try:
                return mkem.decrypt_reply(descriptor.private_key, public, payload)
            except UnusablePrivateKey:
                raise
            except (SealError, UnusableKey):
                continue
    raise SealError("a replica's reply opens with no key of the two replicas that were asked")


def read_reply(padded: bytes, reading: Reading | None) -> Opened:
    """What a replica's decrypted reply says; errors as for `open_reply`."""
    reply = parse_reply(unpad(padded))
    if isinstance(reply, ReplicaWriteReply):
        if reply.error_code == ReplicaCode.SUCCESS and reading is not None:
            raise MessageError("a replica has answered a read as if it were a write")
        return Opened(reply.error_code)
    if reply.error_code not in (ReplicaCode.SUCCESS, ReplicaCode.TOMBSTONE):
        return Opened(reply.error_code)
    if reading is None:
        raise MessageError("a replica has answered a write as if it were a read")
    return _box(reply, reading)


def _box(reply: ReplicaReadReply, reading: Reading) -> Opened:
    is_tombstone = reply.error_code == ReplicaCode.TOMBSTONE
    if is_tombstone and reply.payload:
        raise TombstoneError("a replica says that a box is deleted, and sends its content")
    try:
        plaintext = reading.cap.open(reading.index, reply.box_id, reply.payload, reply.signature)
    except BoxError as error:
        if is_tombstone:
            raise TombstoneError(str(error)) from None
        raise
    if is_tombstone:
        return Opened(ReplicaCode.TOMBSTONE)
    if not plaintext:
        return Opened(ReplicaCode.TOMBSTONE, b"")
    return Opened(ReplicaCode.SUCCESS, unpad(plaintext))


def _candidates(descriptor: EnvelopeDescriptor, document: Document) -> Iterator[bytes]:
    """The public keys that may have sealed a reply: those of the query's week, then the other weeks'."""
    for number in descriptor.replicas:
        if key := key_of(document, number, descriptor.epoch):
            yield key
    for number in dict.fromkeys(descriptor.replicas):
        if found := replica(document, number):
            for epoch in sorted(found.envelope_keys, reverse=True)[:_MOST_WEEKS]:
                if epoch != descriptor.epoch and (key := key_of(document, number, epoch)):
                    yield key
