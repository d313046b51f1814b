"""What couriers, replicas and strangers send, and what applications hand in, for Pigeonhole.

Where the packages that capabilities need are missing, what would use them ends with the error that says so.
"""

from collections.abc import Callable
from typing import Any

from kpclientd.pigeonhole.capabilities import (
    INDEX_LENGTH,
    READ_CAP_LENGTH,
    BoxIndex,
    ReadCap,
    WriteCap,
)
from kpclientd.pigeonhole.copy_streams import StreamDecoder, StreamEncoder
from kpclientd.pigeonhole.courier_messages import (
    CopyStreamElement,
    encode_query,
    encode_query_reply,
    parse_query,
    parse_query_reply,
)
from kpclientd.pigeonhole.envelopes import EnvelopeDescriptor, Reading, read_reply
from kpclientd.pigeonhole.errors import MessageError, PigeonholeError
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.pigeonhole.mkem import Ciphertext, KeyPair, Mkem, encapsulate
from kpclientd.pigeonhole.replica_messages import Box, encode_reply, encode_request, parse_reply, parse_request
from kpclientd.pigeonhole.stream_checks import StreamChecks
from kpclientd.pigeonhole.trunnel import digest, pad, unpad
from kpclientd.pigeonhole.vouchers import induct, open_reply
from sphinx.crypto.nike import nike_scheme
from sphinx.geometry import Geometry
from sphinx.randomness import seeded

GEOMETRY = PigeonholeGeometry.derive(Geometry.nike("x25519", 5, 2000))
FAST = Mkem(nike_scheme("x25519"))
"""In place of the network's own key exchange, which takes half a second."""

PAIR: KeyPair = FAST.new_key_pair(seeded(b"voucher"))
SEED = bytes(range(32))


def same_again(parse: Callable[[bytes], Any], encode: Callable[[Any], bytes], data: bytes) -> None:
    """What is read from the front of `data` is written as it stands there."""
    try:
        message = parse(data)
    except MessageError:
        return
    assert data.startswith(encode(message))


def query(data: bytes) -> None:
    same_again(parse_query, encode_query, data)


def query_reply(data: bytes) -> None:
    same_again(parse_query_reply, encode_query_reply, data)


def replica_request(data: bytes) -> None:
    same_again(parse_request, encode_request, data)


def replica_reply(data: bytes) -> None:
    """A reply as such, and as the padded answer to a write, and to a read of a box that is not what it says."""
    same_again(parse_reply, encode_reply, data)
    readings: list[Reading | None] = [None]
    try:
        cap = WriteCap.from_seed(SEED)
        readings.append(Reading(cap.read_cap, cap.index))
    except PigeonholeError:
        pass
    for reading in readings:
        try:
            assert read_reply(data, reading).code != 0 or reading is None
        except PigeonholeError:
            pass


def box(data: bytes) -> None:
    same_again(Box.parse, Box.encode, data)


def element(data: bytes) -> None:
    same_again(CopyStreamElement.parse, CopyStreamElement.encode, data)


def padding(data: bytes) -> None:
    try:
        message = unpad(data)
    except MessageError:
        return
    assert unpad(pad(message, len(data))) == message


def copy_stream(data: bytes) -> None:
    """The boxes of a temporary stream: an error, or envelopes that are written and read again."""
    envelopes = []
    decoder = StreamDecoder(GEOMETRY)
    length = GEOMETRY.max_plaintext_payload_length
    try:
        for at in range(0, len(data), length):
            envelopes += decoder.feed(data[at : at + length])
    except MessageError:
        return
    encoder = StreamEncoder(GEOMETRY)
    again = StreamDecoder(GEOMETRY)
    elements = [written for envelope in envelopes for written in encoder.add(envelope)]
    elements += encoder.flush(is_final=True)
    assert [found for written in elements for found in again.feed(written)] == envelopes


def descriptor(data: bytes) -> None:
    try:
        parsed = EnvelopeDescriptor.parse(data)
    except MessageError:
        return
    assert EnvelopeDescriptor.parse(parsed.encode()) == parsed


def ciphertext(data: bytes) -> None:
    try:
        parsed = Ciphertext.parse(data)
    except MessageError:
        return
    assert Ciphertext.parse(parsed.encode()) == parsed


def capability(data: bytes) -> None:
    """Any capability and index: boxes, or a reason."""
    try:
        if len(data) > READ_CAP_LENGTH + INDEX_LENGTH:
            write_cap = WriteCap.parse(data[:-INDEX_LENGTH])
            assert write_cap.encode() == data[:-INDEX_LENGTH]
            cap = write_cap.read_cap
        else:
            cap = ReadCap.parse(data[:READ_CAP_LENGTH])
            assert cap.encode() == data[:READ_CAP_LENGTH]
        index = BoxIndex.parse(data[-INDEX_LENGTH:])
        assert len(cap.box_id(index)) == 32
        if index.counter - cap.index.counter < 1000:
            StreamChecks().begin(cap, index).check()
        cap.open(index, cap.box_id(index), data, data[:64])
    except PigeonholeError:
        pass


def voucher(data: bytes) -> None:
    """Any payload under its own voucher, any sealed answer, and anything inside a seal that opens."""
    randomness = seeded(b"sealed")
    sealed = encapsulate(FAST.ready([PAIR.public], randomness), data, randomness).encode()
    attempts: tuple[Callable[[], object], ...] = (
        lambda: induct(digest(data), data, b"who", FAST, seeded(b"induct")),
        lambda: open_reply(PAIR.private, data, bytes(168), FAST),
        lambda: open_reply(PAIR.private, sealed, bytes(168), FAST),
    )
    for attempt in attempts:
        try:
            attempt()
        except PigeonholeError as error:
            assert error.code in (3, 4, 28, 29, 30)
