"""Capabilities and boxes: the reference's bytes, and nothing that anybody sends gets past this package's errors."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.pigeonhole.capabilities import (
    CONTEXT,
    LAST_COUNTER,
    BoxIndex,
    ReadCap,
    WriteCap,
    is_signed,
)
from kpclientd.pigeonhole.errors import (
    BoxError,
    CapabilityError,
    InvalidArgument,
    StreamExhausted,
)
from kpclientd.pigeonhole.libraries import bacap
from sphinx.randomness import seeded
from tests.pigeonhole.genuine import DAEMON_WRITE, GENUINE
from tests.pigeonhole.installed import needs_libraries
from tests.support.vectors import recorded

pytestmark = needs_libraries

VECTORS: dict[str, Any] = recorded("pigeonhole_hpqc.json")["files"]
SPEC_CAP = VECTORS["bacap/encrypt.json"]["vectors"][0]["writecap_hex"]
SMALL_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    ((1 << 255) - 20).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
]


def vectors(name: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS[f"bacap/{name}.json"]["vectors"]]


def cap_and_index(vector: dict[str, Any]) -> tuple[WriteCap, BoxIndex]:
    cap = WriteCap.parse(bytes.fromhex(vector["writecap_hex"]))
    return cap, cap.index.advanced_to(cap.index.counter + vector["advance_by"])


@pytest.mark.parametrize("vector", vectors("message_box_index"))
def test_an_index_moves_as_the_references(vector: dict[str, Any]) -> None:
    index = BoxIndex.parse(bytes.fromhex(vector["initial_index_hex"]))
    moved = index.advanced_to(vector["advance_to"])
    assert moved.encode().hex() == vector["expected_index_hex"]
    assert moved.counter == vector["advance_to"]


@pytest.mark.parametrize(
    "vector", [vector for vector in VECTORS["bacap/box_id.json"]["vectors"] if vector["use_context"]]
)
def test_a_box_has_the_references_name(vector: dict[str, Any]) -> None:
    cap, index = cap_and_index(vector)
    assert cap.read_cap.box_id(index, bytes.fromhex(vector["ctx_hex"])).hex() == vector["expected_box_id_hex"]


@pytest.mark.parametrize("vector", vectors("encrypt"))
def test_a_box_has_the_references_bytes_and_opens(vector: dict[str, Any]) -> None:
    cap, index = cap_and_index(vector)
    context, plaintext = bytes.fromhex(vector["ctx_hex"]), bytes.fromhex(vector["plaintext_hex"])
    box = cap.encrypt(index, plaintext, context)
    assert box.box_id.hex() == vector["expected_box_id_hex"]
    assert box.payload.hex() == vector["expected_ciphertext_hex"]
    assert box.signature.hex() == vector["expected_signature_hex"]
    assert cap.read_cap.open(index, box.box_id, box.payload, box.signature, context) == plaintext


@pytest.mark.parametrize("vector", vectors("mutate_kdf_state"))
def test_a_mutated_capability_is_the_references(vector: dict[str, Any]) -> None:
    cap, index = cap_and_index(vector)
    based = WriteCap.parse(cap.encode()[:64] + index.encode())
    salt = bytes.fromhex(vector["salt_hex"])
    mutated = based.mutated(salt)
    assert mutated.index.encode().hex() == vector["expected_mutated_index_hex"]
    assert mutated.read_cap == based.read_cap.mutated(salt)
    box_id = mutated.read_cap.box_id(mutated.index, bytes.fromhex(vector["read_ctx_hex"]))
    assert box_id.hex() == vector["expected_mutated_box_id_hex"]


def test_a_tombstone_is_the_references() -> None:
    cap = WriteCap.parse(bytes.fromhex(SPEC_CAP))
    tombstone = cap.tombstone(cap.index)
    assert tombstone.box_id.hex() == "aaf072d5fa39c2b97177fe7cc0a7fef93a3991699eaa765db156e885c40760ac"
    assert tombstone.signature.hex() == (
        "9b56a8ff184cc645bfddb96e7c13a3ba01b1b3c238cf53b2b6d382ee5c0e1f6b"
        "217680668105404aafb5a858bf21e3a22c8f2491111472cd43e25d815f91e900"
    )
    assert tombstone.payload == cap.read_cap.open(cap.index, tombstone.box_id, b"", tombstone.signature) == b""


def test_a_seed_gives_the_references_capabilities() -> None:
    recorded_pair = GENUINE["new_keypair"]
    cap = WriteCap.from_seed(bytes.fromhex(recorded_pair["seed"]))
    assert cap.encode().hex() == recorded_pair["write_cap"]
    assert cap.read_cap.encode().hex() == recorded_pair["read_cap"]
    assert cap.index.encode().hex() == recorded_pair["first_message_index"]
    assert WriteCap.from_seed(bytes.fromhex(DAEMON_WRITE["keypair_seed"])).encode().hex() == DAEMON_WRITE["write_cap"]
    for length in (0, 31, 33):
        with pytest.raises(InvalidArgument, match=f"{length} bytes; expected 32"):
            WriteCap.from_seed(bytes(length))


def test_a_random_capability_is_what_hpqc_makes_of_the_same_bytes() -> None:
    assert WriteCap.random(seeded(b"cap")).encode() == bacap().WriteCap.generate(seeded(b"cap").bytes).to_bytes()


def test_the_next_index_is_the_daemons() -> None:
    index = BoxIndex.parse(bytes.fromhex(DAEMON_WRITE["message_box_index"]))
    assert index.next().encode().hex() == DAEMON_WRITE["next_message_box_index"]


@settings(max_examples=25)
@given(st.binary(max_size=200), st.integers(0, 20), st.binary(min_size=1, max_size=20))
def test_what_is_written_is_read_by_the_reader_and_nobody_else(plaintext: bytes, ahead: int, seed: bytes) -> None:
    cap = WriteCap.random(seeded(seed))
    other = WriteCap.random(seeded(b"other" + seed))
    index = cap.index.advanced_to(cap.index.counter + ahead)
    box = cap.encrypt(index, plaintext)
    reader = ReadCap.parse(cap.read_cap.encode())
    assert reader.open(index, box.box_id, box.payload, box.signature) == plaintext
    for cap_of, at in ((other.read_cap, index), (reader, index.next())):
        with pytest.raises(BoxError):
            cap_of.open(at, box.box_id, box.payload, box.signature)


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_box_does_not_open(data: st.DataObject) -> None:
    cap = WriteCap.from_seed(bytes(32))
    box = cap.encrypt(cap.index, b"plaintext")
    parts = [bytearray(box.box_id), bytearray(box.payload), bytearray(box.signature)]
    part = data.draw(st.sampled_from(parts))
    part[data.draw(st.integers(0, len(part) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BoxError):
        cap.read_cap.open(cap.index, *map(bytes, parts))


@pytest.mark.parametrize(
    ("box_id", "payload", "signature"),
    [
        (bytes(32), b"", bytes(64)),
        (b"", b"", b""),
        (bytes(31), b"x", bytes(64)),
        (b"\xff" * 32, b"x", b"\xff" * 64),
    ],
)
def test_nonsense_is_no_box(box_id: bytes, payload: bytes, signature: bytes) -> None:
    cap = WriteCap.from_seed(bytes(32))
    with pytest.raises(BoxError):
        cap.read_cap.open(cap.index, box_id, payload, signature)


def test_a_tombstone_with_a_signature_of_another_length_is_no_box() -> None:
    cap = WriteCap.from_seed(bytes(32))
    tombstone = cap.tombstone(cap.index)
    for signature in (b"", tombstone.signature[:-1], tombstone.signature + b"\0"):
        with pytest.raises(BoxError):
            cap.read_cap.open(cap.index, tombstone.box_id, b"", signature)


@pytest.mark.parametrize(("kind", "length"), [(BoxIndex, 104), (ReadCap, 136), (WriteCap, 168)])
def test_another_length_is_refused(kind: type[BoxIndex | ReadCap | WriteCap], length: int) -> None:
    for wrong in (0, length - 1, length + 1):
        with pytest.raises(CapabilityError, match=f"{wrong} bytes; expected {length}"):
            kind.parse(bytes(wrong))


@pytest.mark.parametrize("root", [*SMALL_ORDER, b"\xff" * 32, (2).to_bytes(32, "little")])
def test_a_root_key_that_nobody_can_own_is_refused(root: bytes) -> None:
    index = WriteCap.from_seed(bytes(32)).index.encode()
    with pytest.raises(CapabilityError):
        ReadCap.parse(root + index)


@settings(max_examples=200)
@given(st.binary(min_size=32, max_size=32))
def test_a_root_key_is_refused_or_names_boxes(root: bytes) -> None:
    index = WriteCap.from_seed(bytes(32)).index
    try:
        cap = ReadCap.parse(root + index.encode())
    except CapabilityError:
        return
    assert len(cap.box_id(index)) == 32


def test_a_public_half_of_another_key_is_refused() -> None:
    cap = WriteCap.from_seed(bytes(32)).encode()
    for public in (bytes(32), WriteCap.from_seed(b"\1" * 32).encode()[32:64]):
        with pytest.raises(CapabilityError):
            WriteCap.parse(cap[:32] + public + cap[64:])


def test_the_last_box_has_no_next() -> None:
    first = WriteCap.from_seed(bytes(32)).index.encode()
    last = BoxIndex.parse(LAST_COUNTER.to_bytes(8, "little") + first[8:])
    with pytest.raises(StreamExhausted):
        last.next()
    before = BoxIndex.parse((LAST_COUNTER - 1).to_bytes(8, "little") + first[8:])
    assert before.next().counter == LAST_COUNTER


def test_no_index_moves_backwards() -> None:
    index = WriteCap.from_seed(bytes(32)).index
    assert index.advanced_to(index.counter) == index
    with pytest.raises(StreamExhausted):
        index.advanced_to(index.counter - 1)


def test_only_the_owner_signs() -> None:
    cap = WriteCap.from_seed(bytes(32))
    signature = cap.sign(b"claim")
    assert cap.read_cap.has_signed(b"claim", signature)
    assert not cap.read_cap.has_signed(b"another", signature)
    assert not cap.read_cap.has_signed(b"claim", signature[:-1])
    assert not cap.read_cap.has_signed(b"claim", bytes(64))


def test_a_box_proves_its_writer_to_whoever_keeps_it() -> None:
    box = WriteCap.from_seed(bytes(32)).encrypt(WriteCap.from_seed(bytes(32)).index, b"plaintext")
    assert is_signed(box.box_id, box.payload, box.signature)
    for key, message, signature in (
        (box.box_id, box.payload[:-1], box.signature),
        (box.box_id, box.payload, box.signature[:-1]),
        (box.box_id, box.payload, bytes(64)),
        (b"\xff" * 32, box.payload, box.signature),
        (bytes(32), box.payload, bytes(64)),
        (b"", b"", bytes(64)),
        (box.box_id + b"\0", box.payload, box.signature),
    ):
        assert not is_signed(key, message, signature)


def test_no_capability_shows_its_bytes() -> None:
    cap = WriteCap.from_seed(bytes(32))
    shown = json.dumps([repr(cap), repr(cap.read_cap), repr(cap.index), str(cap)])
    assert shown == json.dumps(["WriteCap()", "ReadCap()", "BoxIndex()", "WriteCap()"])
    assert CONTEXT == b"pigeonhole context"
