"""Queries and their replies: the reference daemon's bytes, replicas that say all they can, and others that lie."""

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.pigeonhole.capabilities import BoxIndex, ReadCap, WriteCap
from kpclientd.pigeonhole.codes import ReplicaCode
from kpclientd.pigeonhole.courier_messages import CourierEnvelopeReply, parse_query, parse_query_reply
from kpclientd.pigeonhole.envelopes import (
    EnvelopeDescriptor,
    Opened,
    Query,
    Reading,
    build_query,
    open_reply,
    read_reply,
    read_request,
    write_request,
)
from kpclientd.pigeonhole.errors import (
    BoxError,
    InvalidArgument,
    MessageError,
    PigeonholeError,
    SealError,
    TombstoneError,
    UnusableKey,
    UnusablePrivateKey,
)
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.pigeonhole.libraries import nike
from kpclientd.pigeonhole.mkem import KeyPair, Mkem, ReadyExchange, open_with, seal
from kpclientd.pigeonhole.replica_messages import (
    ReplicaReadReply,
    ReplicaReply,
    ReplicaRequest,
    ReplicaWrite,
    ReplicaWriteReply,
    encode_reply,
    parse_request,
)
from kpclientd.pigeonhole.replicas import Intermediates, key_of
from kpclientd.pigeonhole.trunnel import pad, unpad
from sphinx.crypto.nike import nike_scheme
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness, seeded
from tests.pigeonhole.genuine import DAEMON_READ, DAEMON_WRITE, EXCHANGES, GENUINE, MAX_PLAINTEXT
from tests.pigeonhole.installed import needs_libraries
from tests.pigeonhole.paper_replicas import genuine_document

GEOMETRY = PigeonholeGeometry.derive(Geometry.nike("x25519", 5, 2000))
NO_AGREEMENT = Mkem(nike_scheme("x25519"))
"""No key here is of its length: whatever would need a slow agreement fails."""

DOCUMENT = genuine_document()
PAYLOADS = [
    pytest.param(name, reply["wire"], reply["plain"], id=name)
    for name, exchange in EXCHANGES.items()
    for reply in exchange["replies"]
    if "plain" in reply
]


def genuine_exchange(query: dict[str, Any]) -> tuple[Intermediates, ReadyExchange]:
    parts = query["parts"]
    keys = tuple(key_of(DOCUMENT, number, parts["epoch"]) for number in parts["intermediate_replicas"])
    pair = KeyPair(bytes.fromhex(parts["sender_pubkey"]), bytes.fromhex(parts["ephemeral_private_key"]))
    to = Intermediates(bytes(parts["intermediate_replicas"]), keys, parts["epoch"])
    return to, ReadyExchange(pair, keys, tuple(map(bytes.fromhex, parts["recipient_keys"])))


def genuine_randomness(query: dict[str, Any]) -> Randomness:
    """Gives what the daemon drew: the message key, and the nonce of each ciphertext."""
    parts = query["parts"]
    nonces = [bytes.fromhex(parts[name])[:12] for name in ("ciphertext", "dek1", "dek2")]
    draws = iter([bytes.fromhex(parts["message_key"]), *nonces])
    return Randomness(lambda length: next(draws))


def genuine_request(query: dict[str, Any]) -> ReplicaRequest:
    index = BoxIndex.parse(bytes.fromhex(DAEMON_WRITE["message_box_index"]))
    if query is DAEMON_READ:
        return read_request(ReadCap.parse(bytes.fromhex(DAEMON_WRITE["read_cap"])), index)
    cap = WriteCap.parse(bytes.fromhex(DAEMON_WRITE["write_cap"]))
    return write_request(cap, index, bytes.fromhex(DAEMON_WRITE["plaintext"]), GEOMETRY)


@needs_libraries
@pytest.mark.parametrize("query", [DAEMON_WRITE, DAEMON_READ], ids=["write", "read"])
def test_a_query_is_the_daemons_byte_for_byte(query: dict[str, Any]) -> None:
    to, exchange = genuine_exchange(query)
    built = build_query(genuine_request(query), to, exchange, GEOMETRY, genuine_randomness(query))
    assert built.encode().hex() == query["message_ciphertext"]
    assert built.descriptor.encode().hex() == query["envelope_descriptor"]
    assert built.hash.hex() == query["envelope_hash"]


def test_the_lengths_are_the_specifications() -> None:
    assert GEOMETRY.max_plaintext_payload_length == MAX_PLAINTEXT == 1549
    assert GEOMETRY.box_plaintext_length == MAX_PLAINTEXT + 4
    assert GEOMETRY.box_payload_length == MAX_PLAINTEXT + 20
    assert GEOMETRY.request_length == MAX_PLAINTEXT + 125
    assert GEOMETRY.reply_length == MAX_PLAINTEXT + 126
    assert (
        GEOMETRY.sealed_reply_length == MAX_PLAINTEXT + 154 == len(EXCHANGES["write"]["replies"][1]["wire"]) // 2 - 40
    )


REPLICA_KEYS = (bytes([1]) * 160, bytes([2]) * 160)
AGREED = (bytes([3]) * 32, bytes([4]) * 32)


def ready() -> ReadyExchange:
    return ReadyExchange(KeyPair(bytes(160), bytes(162)), REPLICA_KEYS, AGREED)


def query_for(request: ReplicaRequest, geometry: PigeonholeGeometry = GEOMETRY) -> Query:
    return build_query(request, Intermediates(b"\3\7", REPLICA_KEYS, 480), ready(), geometry, seeded(b"query"))


@needs_libraries
@settings(max_examples=25)
@given(st.integers(452, 5000), st.data())
def test_all_queries_have_one_length_and_either_replica_reads_them(room: int, data: st.DataObject) -> None:
    geometry = PigeonholeGeometry.derive(Geometry.nike("x25519", 5, room))
    cap = WriteCap.from_seed(bytes(32))
    plaintext = data.draw(st.binary(max_size=geometry.max_plaintext_payload_length))
    write = write_request(cap, cap.index, plaintext, geometry)
    assert unpad(cap.read_cap.open(cap.index, write.box_id, write.payload, write.signature)) == plaintext
    for request in (read_request(cap.read_cap, cap.index), write, cap.tombstone(cap.index)):
        built = query_for(request, geometry)
        assert len(built.encode()) == room
        assert parse_query(built.encode()) == built.envelope
        for key in AGREED:
            assert parse_request(unpad(open_with(key, built.envelope.deks, built.envelope.ciphertext))) == request


@needs_libraries
def test_a_plaintext_fits_a_box_or_is_refused() -> None:
    cap = WriteCap.from_seed(bytes(32))
    assert len(write_request(cap, cap.index, bytes(MAX_PLAINTEXT), GEOMETRY).payload) == MAX_PLAINTEXT + 20
    with pytest.raises(InvalidArgument, match="1550 bytes; a box takes 1549"):
        write_request(cap, cap.index, bytes(MAX_PLAINTEXT + 1), GEOMETRY)


def test_an_exchange_made_for_many_opens_replies_of_the_two_that_were_asked_only() -> None:
    many = ReadyExchange(ready().pair, (bytes([9]) * 160, *REPLICA_KEYS), (bytes([9]) * 32, *AGREED))
    to = Intermediates(b"\3\7", REPLICA_KEYS, 480)
    built = build_query(ReplicaWrite(bytes(32), bytes(64), b""), to, many, GEOMETRY, seeded(b""))
    assert built.exchange == ready()


def test_a_request_longer_than_a_box_or_for_other_keys_is_not_sent() -> None:
    with pytest.raises(MessageError):
        query_for(ReplicaWrite(bytes(32), bytes(64), bytes(MAX_PLAINTEXT + 21)))
    to = Intermediates(b"\3\7", (REPLICA_KEYS[0], bytes(160)), 480)
    with pytest.raises(UnusableKey):
        build_query(ReplicaWrite(bytes(32), bytes(64), b""), to, ready(), GEOMETRY, seeded(b""))


def exchanges() -> tuple[ReadyExchange, EnvelopeDescriptor]:
    """The one ephemeral key of the recorded exchanges, and what it agreed on with each replica's keys."""
    recorded = GENUINE["exchanges_ephemeral"]
    pair = KeyPair(bytes.fromhex(recorded["public"]), bytes.fromhex(recorded["private"]))
    publics = tuple(key_of(DOCUMENT, entry["ReplicaID"], entry["epoch"]) for entry in recorded["keys"])
    keys = tuple(bytes.fromhex(entry["key"]) for entry in recorded["keys"])
    return ReadyExchange(pair, publics, keys), EnvelopeDescriptor(494, bytes([0, 2]), pair.private)


def courier_reply(wire: str) -> CourierEnvelopeReply:
    reply = parse_query_reply(bytes.fromhex(wire) + bytes(831))
    assert isinstance(reply, CourierEnvelopeReply)
    return reply


def reading_of(name: str, plain: str) -> Reading | None:
    """A read with the capability and the index of the box that the replica names, if the recording has them."""
    if plain.startswith("01"):
        return None
    cap = WriteCap.parse(bytes.fromhex(GENUINE["exchanges_cap"]["write_cap"])).read_cap
    index = cap.index
    for _ in range(5):
        if cap.box_id(index).hex() == plain[4:68]:
            return Reading(cap, index)
        index = index.next()
    assert plain[2:4] == "01"  # only of a box that nobody has written is no capability recorded
    return Reading(cap, cap.index)


@needs_libraries
@pytest.mark.parametrize(("name", "wire", "plain"), PAYLOADS)
def test_the_genuine_replicas_replies_open(name: str, wire: str, plain: str) -> None:
    exchange, descriptor = exchanges()
    opened = open_reply(
        courier_reply(wire),
        bytes.fromhex(EXCHANGES[name]["envelope_hash"]),
        descriptor,
        DOCUMENT,
        mkem=NO_AGREEMENT,
        exchange=exchange,
        reading=reading_of(name, plain),
    )
    assert opened == Opened(int(plain[2:4], 16))


@needs_libraries
def test_a_reply_opens_without_the_exchange_too() -> None:
    _, descriptor = exchanges()
    reply = courier_reply(EXCHANGES["write"]["replies"][1]["wire"])
    opened = open_reply(reply, reply.envelope_hash, descriptor, DOCUMENT, mkem=Mkem(nike()))
    assert opened == Opened(ReplicaCode.SUCCESS)


@needs_libraries
def test_a_reply_that_is_sealed_with_next_weeks_key_opens_too() -> None:
    exchange, descriptor = exchanges()
    this_week = tuple(key_of(DOCUMENT, number, 494) for number in (2, 0))
    reply = courier_reply(EXCHANGES["epoch+1 next key"]["replies"][1]["wire"])
    opened = open_reply(
        reply,
        reply.envelope_hash,
        EnvelopeDescriptor(494, b"\2\0", descriptor.private_key),
        DOCUMENT,
        mkem=Mkem(nike()),
        exchange=exchange.only(this_week),
        reading=reading_of("epoch+1 next key", EXCHANGES["epoch+1 next key"]["replies"][1]["plain"]),
    )
    assert opened.code == int(EXCHANGES["epoch+1 next key"]["replies"][1]["plain"][2:4], 16)


def test_an_exchange_with_another_key_than_the_descriptors_opens_nothing() -> None:
    exchange, descriptor = exchanges()
    foreign = EnvelopeDescriptor(descriptor.epoch, descriptor.replicas, bytes(162))
    reply = courier_reply(EXCHANGES["write"]["replies"][1]["wire"])
    with pytest.raises(UnusablePrivateKey):
        open_reply(reply, reply.envelope_hash, foreign, DOCUMENT, mkem=NO_AGREEMENT, exchange=exchange)


def test_a_reply_to_another_envelope_is_malformed() -> None:
    exchange, descriptor = exchanges()
    reply = courier_reply(EXCHANGES["write"]["replies"][1]["wire"])
    with pytest.raises(MessageError, match="another envelope"):
        open_reply(reply, bytes(32), descriptor, DOCUMENT, mkem=NO_AGREEMENT, exchange=exchange)


def test_an_unusable_descriptor_key_is_the_applications_fault_and_not_the_replicas() -> None:
    reply = CourierEnvelopeReply(bytes(32), has_payload=True, payload=bytes(1703))
    for length in (0, 4, 161, 163):
        descriptor = EnvelopeDescriptor(494, bytes([0, 2]), bytes(length))
        with pytest.raises(UnusablePrivateKey):
            open_reply(reply, bytes(32), descriptor, DOCUMENT, mkem=NO_AGREEMENT)


@needs_libraries
def test_replicas_that_the_document_no_longer_lists_open_nothing() -> None:
    reply = CourierEnvelopeReply(bytes(32), has_payload=True, payload=bytes(1703))
    with pytest.raises(SealError):
        open_reply(reply, bytes(32), EnvelopeDescriptor(494, b"\7\7", bytes(162)), DOCUMENT, mkem=Mkem(nike()))


@needs_libraries
@pytest.mark.parametrize("payload", [b"", bytes(5), bytes(11), bytes(12), bytes(27), bytes(1703)], ids=len)
def test_a_short_or_foreign_payload_does_not_open(payload: bytes) -> None:
    exchange, descriptor = exchanges()
    reply = CourierEnvelopeReply(bytes(32), has_payload=True, payload=payload)
    one_key_each = EnvelopeDescriptor(descriptor.epoch, b"\2\2", descriptor.private_key)
    known = ReadyExchange(
        exchange.pair,
        tuple(key for entry in DOCUMENT.storage_replicas for key in entry.envelope_keys.values()),
        exchange.keys + exchange.keys[:1],
    )
    with pytest.raises(SealError):
        open_reply(reply, bytes(32), one_key_each, DOCUMENT, mkem=Mkem(nike()), exchange=known)


def sealed_reply(reply: ReplicaReply | bytes) -> bytes:
    plain = reply if isinstance(reply, bytes) else pad(encode_reply(reply), GEOMETRY.reply_length)
    return seal(AGREED[1], plain, seeded(b"replica"))


def opened(reply: ReplicaReply | bytes, reading: Reading | None) -> Opened:
    courier = CourierEnvelopeReply(bytes(32), has_payload=True, payload=sealed_reply(reply))
    descriptor = EnvelopeDescriptor(480, b"\3\7", bytes(162))
    return open_reply(courier, bytes(32), descriptor, DOCUMENT, mkem=NO_AGREEMENT, exchange=ready(), reading=reading)


def stored(cap: WriteCap, plaintext: bytes, code: int = 0) -> ReplicaReadReply:
    write = write_request(cap, cap.index, plaintext, GEOMETRY)
    return ReplicaReadReply(code, write.box_id, write.signature, write.payload)


@needs_libraries
@pytest.mark.parametrize("plaintext", [b"", b"hello", bytes(MAX_PLAINTEXT)], ids=len)
def test_a_read_finds_what_was_written(plaintext: bytes) -> None:
    cap = WriteCap.from_seed(bytes(32))
    reply = stored(cap, plaintext)
    assert len(sealed_reply(reply)) == GEOMETRY.sealed_reply_length
    assert opened(reply, Reading(cap.read_cap, cap.index)) == Opened(ReplicaCode.SUCCESS, plaintext)


@needs_libraries
def test_a_deleted_box_is_told_with_or_without_the_code() -> None:
    cap = WriteCap.from_seed(bytes(32))
    tombstone = cap.tombstone(cap.index)
    reading = Reading(cap.read_cap, cap.index)
    signed = (tombstone.box_id, tombstone.signature, b"")
    assert opened(ReplicaReadReply(11, *signed), reading) == Opened(ReplicaCode.TOMBSTONE)
    assert opened(ReplicaReadReply(0, *signed), reading) == Opened(ReplicaCode.TOMBSTONE, b"")


@needs_libraries
def test_a_tombstone_that_is_not_proved_is_none() -> None:
    cap = WriteCap.from_seed(bytes(32))
    reading = Reading(cap.read_cap, cap.index)
    tombstone, elsewhere = cap.tombstone(cap.index), cap.tombstone(cap.index.next())
    for reply in (
        ReplicaReadReply(11, tombstone.box_id, bytes(64), b""),
        ReplicaReadReply(11, tombstone.box_id, elsewhere.signature, b""),
        ReplicaReadReply(11, elsewhere.box_id, elsewhere.signature, b""),
        ReplicaReadReply(11, bytes(32), bytes(64), b""),
        stored(cap, b"content", code=11),
    ):
        with pytest.raises(TombstoneError) as refused:
            opened(reply, reading)
        assert refused.value.code == 25


@needs_libraries
def test_another_box_or_a_wrong_signature_is_refused() -> None:
    cap = WriteCap.from_seed(bytes(32))
    reading = Reading(cap.read_cap, cap.index)
    good, other = stored(cap, b"content"), cap.encrypt(cap.index.next(), bytes(1553))
    for reply in (
        ReplicaReadReply(0, other.box_id, other.signature, other.payload),
        ReplicaReadReply(0, good.box_id, bytes(64), good.payload),
        ReplicaReadReply(0, good.box_id, good.signature, good.payload[:-1]),
        ReplicaReadReply(0, bytes(32), good.signature, good.payload),
    ):
        with pytest.raises(BoxError) as refused:
            opened(reply, reading)
        assert refused.value.code == 23


@needs_libraries
def test_a_box_without_padding_inside_is_malformed() -> None:
    cap = WriteCap.from_seed(bytes(32))
    box = cap.encrypt(cap.index, b"\xff\xff\xff\xff")
    with pytest.raises(MessageError) as refused:
        opened(ReplicaReadReply(0, box.box_id, box.signature, box.payload), Reading(cap.read_cap, cap.index))
    assert refused.value.code == 4


@needs_libraries
@given(code=st.integers(1, 255).filter(lambda code: code != 11))
@settings(max_examples=20)
def test_a_replicas_refusal_is_told_as_it_is(code: int) -> None:
    cap = WriteCap.from_seed(bytes(32))
    reading = Reading(cap.read_cap, cap.index)
    assert opened(ReplicaWriteReply(code), None) == opened(ReplicaWriteReply(code), reading) == Opened(code)
    assert opened(ReplicaReadReply(code, bytes(32), bytes(64), b""), reading) == Opened(code)


@needs_libraries
def test_an_answer_of_the_other_kind_is_malformed() -> None:
    cap = WriteCap.from_seed(bytes(32))
    with pytest.raises(MessageError):
        opened(ReplicaWriteReply(0), Reading(cap.read_cap, cap.index))
    for code in (0, 11):
        with pytest.raises(MessageError):
            opened(stored(cap, b"content", code), None)
    assert opened(ReplicaWriteReply(0), None) == Opened(ReplicaCode.SUCCESS)


@given(st.binary(max_size=300))
def test_whatever_a_replica_seals_is_a_reply_or_an_error(plain: bytes) -> None:
    reads: tuple[Callable[[bytes, None], Opened], ...] = (read_reply, opened)
    for read in reads:
        try:
            assert read(plain, None).plaintext is None
        except PigeonholeError as error:
            assert error.code == 4


def test_a_descriptor_is_the_references() -> None:
    example = "a36545706f63681901e06b5265706c6963614e756d734203076b456e76656c6f70654b657944aaaaaaaa"
    descriptor = EnvelopeDescriptor(480, b"\3\7", b"\xaa" * 4)
    assert descriptor.encode().hex() == example
    assert EnvelopeDescriptor.parse(bytes.fromhex(example)) == descriptor
    as_array = {"Epoch": 480, "ReplicaNums": [3, 7], "EnvelopeKey": b"\xaa" * 4, "Unknown": [1, {"a": None}]}
    assert EnvelopeDescriptor.parse(cbor2.dumps(as_array)) == descriptor


@pytest.mark.parametrize(
    "fields",
    [
        {"ReplicaNums": [3]},
        {"ReplicaNums": [3, 256]},
        {"ReplicaNums": [3, -1]},
        {"ReplicaNums": [3, True]},
        {"ReplicaNums": [3, "7"]},
        {"ReplicaNums": b"\3"},
        {"ReplicaNums": "37"},
        {"Epoch": -1},
        {"Epoch": 1 << 64},
        {"Epoch": b""},
        {"EnvelopeKey": "text"},
        {"EnvelopeKey": 1 << 40},
    ],
    ids=str,
)
def test_other_descriptors_are_refused(fields: dict[str, Any]) -> None:
    good = {"Epoch": 480, "ReplicaNums": b"\3\7", "EnvelopeKey": bytes(162)}
    with pytest.raises(MessageError):
        EnvelopeDescriptor.parse(cbor2.dumps(good | fields))


def test_every_shorter_descriptor_is_refused_and_every_longer() -> None:
    data = bytes.fromhex(DAEMON_WRITE["envelope_descriptor"])
    for length in range(len(data)):
        with pytest.raises(MessageError):
            EnvelopeDescriptor.parse(data[:length])
    for longer in (data + b"\0", bytes(5000), b"\xa0" + data):
        with pytest.raises(MessageError):
            EnvelopeDescriptor.parse(longer)
