"""The rules of a storage replica, each beside the code that it answers with."""

from pathlib import Path

import pytest

from kpclientd.localnet.errors import LocalNetworkError
from kpclientd.localnet.storage.boxes import BoxTable
from kpclientd.localnet.storage.replica import EnvelopeRefused, Replica
from kpclientd.pigeonhole.codes import ReplicaCode
from kpclientd.pigeonhole.courier_messages import CourierEnvelope
from kpclientd.pigeonhole.mkem import Mkem, encapsulate
from kpclientd.pigeonhole.replica_messages import ReplicaRead, ReplicaReadReply, ReplicaReply, ReplicaWrite
from kpclientd.pigeonhole.trunnel import pad
from sphinx.randomness import seeded
from tests.localnet.storage.clients import BOX_LENGTH, REQUEST_LENGTH, a_box, make_query, make_replica, quick_nike

EPOCH = 480


@pytest.fixture
def replica() -> Replica:
    return make_replica()


@pytest.fixture
def boxes() -> BoxTable:
    return BoxTable()


def write(replica: Replica, boxes: BoxTable, box: ReplicaWrite, epoch: int = EPOCH) -> int:
    return replica.execute(box, boxes, epoch).error_code


def read(replica: Replica, boxes: BoxTable, box_id: bytes, epoch: int = EPOCH) -> ReplicaReadReply:
    reply = replica.execute(ReplicaRead(box_id), boxes, epoch)
    assert isinstance(reply, ReplicaReadReply)
    return reply


def test_what_was_written_is_read_with_its_signature(replica: Replica, boxes: BoxTable) -> None:
    box = a_box()
    assert write(replica, boxes, box) == ReplicaCode.SUCCESS
    assert read(replica, boxes, box.box_id) == ReplicaReadReply(0, box.box_id, box.signature, box.payload)


def test_an_unwritten_box_is_not_found(replica: Replica, boxes: BoxTable) -> None:
    assert read(replica, boxes, b"b" * 32) == ReplicaReadReply(ReplicaCode.BOX_NOT_FOUND, b"b" * 32, bytes(64), b"")


def test_the_same_again_is_success_and_anything_else_a_conflict(replica: Replica, boxes: BoxTable) -> None:
    write(replica, boxes, a_box(b"one"))
    assert write(replica, boxes, a_box(b"one")) == ReplicaCode.SUCCESS
    assert write(replica, boxes, a_box(b"two")) == ReplicaCode.BOX_ALREADY_EXISTS
    assert read(replica, boxes, a_box().box_id).payload == a_box(b"one").payload


def test_a_tombstone_replaces_anything_and_nothing_replaces_a_tombstone(replica: Replica, boxes: BoxTable) -> None:
    tombstone = a_box(is_tombstone=True)
    write(replica, boxes, a_box())
    assert write(replica, boxes, tombstone) == ReplicaCode.SUCCESS
    assert read(replica, boxes, tombstone.box_id) == ReplicaReadReply(
        ReplicaCode.TOMBSTONE, tombstone.box_id, tombstone.signature, b""
    )
    assert write(replica, boxes, tombstone) == ReplicaCode.SUCCESS
    assert write(replica, boxes, a_box()) == ReplicaCode.BOX_ALREADY_EXISTS


def test_a_wrong_signature_is_refused_for_data_and_tombstones(replica: Replica, boxes: BoxTable) -> None:
    for box in (a_box(), a_box(is_tombstone=True)):
        assert write(replica, boxes, ReplicaWrite(box.box_id, bytes(64), box.payload)) == ReplicaCode.INVALID_SIGNATURE
        assert write(replica, boxes, ReplicaWrite(bytes(32), box.signature, box.payload)) == (
            ReplicaCode.INVALID_SIGNATURE
        )
    assert read(replica, boxes, a_box().box_id).error_code == ReplicaCode.BOX_NOT_FOUND


@pytest.mark.parametrize("length", [1, BOX_LENGTH - 1, BOX_LENGTH + 1])
def test_a_payload_of_another_length_is_refused(replica: Replica, boxes: BoxTable, length: int) -> None:
    box = ReplicaWrite(a_box().box_id, a_box().signature, bytes(length))
    assert write(replica, boxes, box) == ReplicaCode.INVALID_PAYLOAD


def test_a_full_replica_takes_tombstones_and_repetitions_only(replica: Replica) -> None:
    boxes = BoxTable(most=1)
    assert write(replica, boxes, a_box()) == ReplicaCode.SUCCESS
    other = b"o" * 32
    assert write(replica, boxes, a_box(key=other)) == ReplicaCode.STORAGE_FULL
    assert write(replica, boxes, a_box()) == ReplicaCode.SUCCESS
    assert write(replica, boxes, a_box(key=other, is_tombstone=True)) == ReplicaCode.SUCCESS


def test_boxes_live_through_the_next_replica_epoch_and_no_longer(replica: Replica, boxes: BoxTable) -> None:
    write(replica, boxes, a_box())
    assert read(replica, boxes, a_box().box_id, EPOCH + 1).error_code == ReplicaCode.SUCCESS
    assert read(replica, boxes, a_box().box_id, EPOCH + 2).error_code == ReplicaCode.BOX_NOT_FOUND


def test_a_broken_disk_is_a_database_failure(replica: Replica, boxes: BoxTable) -> None:
    boxes.close()
    assert write(replica, boxes, a_box()) == ReplicaCode.DATABASE_FAILURE
    assert read(replica, boxes, b"b" * 32).error_code == ReplicaCode.DATABASE_FAILURE


def test_boxes_outlive_the_process_where_they_have_a_file(replica: Replica, tmp_path: Path) -> None:
    first = BoxTable(tmp_path / "boxes")
    write(replica, first, a_box())
    first.close()
    second = BoxTable(tmp_path / "boxes")
    assert read(replica, second, a_box().box_id).payload == a_box().payload
    assert read(make_replica(1), second, a_box().box_id).error_code == ReplicaCode.BOX_NOT_FOUND
    second.close()


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "boxes").write_bytes(b"something else, which is long enough to be looked at" * 40)
    with pytest.raises(LocalNetworkError, match=r"boxes: boxes cannot be kept there: .*; remove the file"):
        BoxTable(tmp_path / "boxes")


@pytest.mark.parametrize("epoch", [EPOCH - 1, EPOCH, EPOCH + 1])
def test_keys_of_three_replica_epochs_open_and_the_reply_is_sealed_with_the_same(replica: Replica, epoch: int) -> None:
    query = make_query([replica, make_replica(1)], a_box(), epoch)
    opened = replica.open(query.envelope, EPOCH)
    assert opened.request == a_box()
    reply: ReplicaReply = ReplicaReadReply(ReplicaCode.BOX_NOT_FOUND, b"b" * 32, bytes(64), b"")
    sealed = replica.seal(opened, reply, seeded(b"nonces"))
    assert (sealed.replica, sealed.code) == (0, ReplicaCode.BOX_NOT_FOUND)
    assert query.open(sealed.payload) == reply


@pytest.mark.parametrize("epoch", [EPOCH - 2, EPOCH + 2])
def test_other_keys_open_nothing(replica: Replica, epoch: int) -> None:
    query = make_query([replica, make_replica(1)], a_box(), epoch)
    with pytest.raises(EnvelopeRefused, match="INVALID_EPOCH"):
        replica.open(query.envelope, EPOCH)


@pytest.mark.parametrize("content", [b"", b"\2" + bytes(40), b"\1" + bytes(97)])
def test_an_envelope_with_something_else_in_it_is_refused(replica: Replica, content: bytes) -> None:
    randomness = seeded(b"q")
    exchange = Mkem(quick_nike()).ready([replica.keys.make_public(EPOCH)] * 2, randomness)
    sealed = encapsulate(exchange, pad(content, REQUEST_LENGTH), randomness)
    first, second = sealed.deks
    envelope = CourierEnvelope(b"\0\0", (first, second), EPOCH, sealed.sender_key, sealed.envelope)
    with pytest.raises(EnvelopeRefused, match="INVALID_PAYLOAD"):
        replica.open(envelope, EPOCH)


@pytest.mark.parametrize("sender_key", [b"", bytes(160), b"short"])
def test_a_sender_key_that_is_none_is_refused(replica: Replica, sender_key: bytes) -> None:
    envelope = CourierEnvelope(b"\0\1", (bytes(60), bytes(60)), EPOCH, sender_key, bytes(11))
    with pytest.raises(EnvelopeRefused, match="INVALID_PAYLOAD"):
        replica.open(envelope, EPOCH)


def test_room_comes_back_when_boxes_expire_and_is_counted_for_each_replica(replica: Replica) -> None:
    boxes = BoxTable(most=2)
    keys = [bytes([number]) * 32 for number in range(3)]
    assert [write(replica, boxes, a_box(key=key)) for key in keys] == [0, 0, ReplicaCode.STORAGE_FULL]
    assert write(make_replica(1), boxes, a_box(key=keys[2])) == ReplicaCode.SUCCESS
    assert write(replica, boxes, a_box(key=keys[0], is_tombstone=True)) == ReplicaCode.SUCCESS
    assert write(replica, boxes, a_box(key=keys[2])) == ReplicaCode.STORAGE_FULL
    assert write(replica, boxes, a_box(key=keys[2]), EPOCH + 2) == ReplicaCode.SUCCESS


def test_a_public_key_that_cannot_be_kept_is_made_again(boxes: BoxTable) -> None:
    boxes.put_public_key(b"name", b"key")
    assert boxes.find_public_key(b"name") == b"key"
    boxes.close()
    boxes.put_public_key(b"other", b"key")
    assert boxes.find_public_key(b"name") is None
