"""Copy jobs: what a courier does with a temporary stream, in the core and through a network."""

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from kpclientd.localnet import LocalNetwork
from kpclientd.localnet.storage.copy_job import (
    ATTEMPTS,
    CopyJob,
    Dispatch,
    Outcome,
    Pause,
    ReadBox,
    TemporaryStream,
    copy_job,
)
from kpclientd.pigeonhole.capabilities import WriteCap
from kpclientd.pigeonhole.codes import CopyStatus, ReplicaCode
from kpclientd.pigeonhole.copy_streams import StreamDecoder, StreamEncoder
from kpclientd.pigeonhole.courier_messages import (
    CopyCommand,
    CopyCommandReply,
    CopyStreamElement,
    CourierEnvelope,
    encode_query,
)
from kpclientd.pigeonhole.replica_messages import ReplicaRead, ReplicaReadReply, ReplicaWrite
from kpclientd.pigeonhole.trunnel import pad
from tests.localnet.storage.clients import (
    GEOMETRY,
    LONGEST_PLAINTEXT,
    a_box,
    exchange,
    make_query,
    payload_of,
    raw_ask,
    storage_network,
)
from tests.pigeonhole.installed import needs_libraries

pytestmark = needs_libraries

IN_PROGRESS = CopyCommandReply(CopyStatus.IN_PROGRESS)
SUCCEEDED = CopyCommandReply(CopyStatus.SUCCEEDED)


def stream_of(cap: WriteCap, envelopes: Sequence[CourierEnvelope], *, is_final: bool = True) -> list[ReplicaWrite]:
    """The boxes of a temporary stream that holds `envelopes`."""
    encoder = StreamEncoder(GEOMETRY)
    elements = [element for one in envelopes for element in encoder.add(one)] + encoder.flush(is_final=is_final)
    boxes, index = [], cap.index
    for element in elements:
        boxes.append(cap.encrypt(index, pad(element, LONGEST_PLAINTEXT + 4)))
        index = index.next()
    return boxes


def envelope(number: int, length: int = 1702) -> CourierEnvelope:
    return CourierEnvelope(b"\0\1", (bytes(60), bytes(60)), 480, bytes([number]) * 160, bytes(length))


def cap_of(seed: bytes = b"c") -> WriteCap:
    return WriteCap.from_seed(seed * 32)


def job_of(cap: WriteCap) -> CopyJob:
    return copy_job(TemporaryStream(cap.encode()), StreamDecoder(GEOMETRY))


class Bench:
    """Answers a job's steps from some boxes, and notes what it dispatches and how long it waits."""

    def __init__(self, boxes: Sequence[ReplicaWrite], codes: Sequence[tuple[int, ...]] = ()) -> None:
        self.boxes = {box.box_id: box for box in boxes}
        self.codes = list(codes)
        self.dispatched: list[CourierEnvelope] = []
        self.waited = 0.0
        self.shards: list[int] = []
        self.missing = int(ReplicaCode.BOX_NOT_FOUND)

    def run(self, job: CopyJob) -> CopyCommandReply:
        outcome: Outcome = None
        while True:
            try:
                step = job.send(outcome)
            except StopIteration as end:
                reply: CopyCommandReply = end.value
                return reply
            outcome = None
            if isinstance(step, Pause):
                self.waited += step.seconds
            elif isinstance(step, ReadBox):
                self.shards.append(step.shard)
                outcome = self.read(step.box_id)
            elif isinstance(step, Dispatch):
                self.dispatched.append(step.envelope)
                outcome = self.codes.pop(0) if self.codes else (0,)

    def read(self, box_id: bytes) -> ReplicaReadReply:
        box = self.boxes.get(box_id)
        if box is None:
            return ReplicaReadReply(self.missing, box_id, bytes(64), b"")
        return ReplicaReadReply(ReplicaCode.SUCCESS, box.box_id, box.signature, box.payload)


def test_envelopes_are_dispatched_in_order_up_to_the_final_flag() -> None:
    envelopes = [envelope(number) for number in range(5)]
    bench = Bench(stream_of(cap_of(), envelopes))
    assert bench.run(job_of(cap_of())) == SUCCEEDED
    assert bench.dispatched == envelopes
    assert bench.waited == 0
    assert set(bench.shards) == {0}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([(0,), (10, 0)], SUCCEEDED),
        ([(0,), (6, 10)], CopyCommandReply(CopyStatus.FAILED, 10, 2)),
        ([(6, 3)], CopyCommandReply(CopyStatus.FAILED, 6, 1)),
        ([(), (), (0,), (0,)], SUCCEEDED),
        ([()] * ATTEMPTS, CopyCommandReply(CopyStatus.FAILED, 0, 1)),
    ],
)
def test_an_envelope_succeeds_if_either_replica_says_so(
    codes: list[tuple[int, ...]], expected: CopyCommandReply
) -> None:
    bench = Bench(stream_of(cap_of(), [envelope(1), envelope(2)]), codes)
    assert bench.run(job_of(cap_of())) == expected


def test_a_box_that_is_not_there_is_asked_for_at_both_shards_for_a_while() -> None:
    bench = Bench([])
    assert bench.run(job_of(cap_of())) == CopyCommandReply(CopyStatus.FAILED, ReplicaCode.BOX_NOT_FOUND, 1)
    assert bench.shards == [0] * ATTEMPTS + [1] * ATTEMPTS
    assert bench.waited == 111.0


def test_a_deleted_box_is_asked_for_once_at_each_shard() -> None:
    bench = Bench([])
    bench.missing = ReplicaCode.TOMBSTONE
    assert bench.run(job_of(cap_of())) == CopyCommandReply(CopyStatus.FAILED, ReplicaCode.TOMBSTONE, 1)
    assert (bench.shards, bench.waited) == ([0, 1], 0)


def test_a_stream_without_an_end_fails_where_its_boxes_end() -> None:
    bench = Bench(stream_of(cap_of(), [envelope(1), envelope(2)], is_final=False))
    assert bench.run(job_of(cap_of())) == CopyCommandReply(CopyStatus.FAILED, ReplicaCode.BOX_NOT_FOUND, 3)


@pytest.mark.parametrize(
    "plaintext",
    [
        b"\0" + (LONGEST_PLAINTEXT - 4).to_bytes(4, "big"),
        CopyStreamElement(0, (2001).to_bytes(4, "big")).encode(),
        CopyStreamElement(0, (10).to_bytes(4, "big") + bytes(10)).encode(),
        CopyStreamElement(0, (300).to_bytes(4, "big") + envelope(1, 0).encode() + bytes(3)).encode(),
    ],
)
def test_what_is_no_copy_stream_fails(plaintext: bytes) -> None:
    box = cap_of().encrypt(cap_of().index, pad(plaintext, LONGEST_PLAINTEXT + 4))
    assert Bench([box]).run(job_of(cap_of())) == CopyCommandReply(CopyStatus.FAILED, 0, 1)


def test_a_box_of_another_stream_fails() -> None:
    box = cap_of(b"d").encrypt(cap_of(b"d").index, bytes(LONGEST_PLAINTEXT + 4))
    stolen = ReplicaWrite(cap_of().read_cap.box_id(cap_of().index), box.signature, box.payload)
    assert Bench([stolen]).run(job_of(cap_of())) == CopyCommandReply(CopyStatus.FAILED, 0, 1)


async def write_all(network: LocalNetwork, boxes: Sequence[ReplicaWrite], seed: bytes) -> None:
    assert network.storage is not None
    for number, box in enumerate(boxes):
        query = make_query(network.replicas[:2], box, network.storage.epoch, seed + bytes([number]))
        assert (await exchange(network, query)) is not None


@pytest.mark.parametrize("is_conflicting", [False, True])
async def test_a_network_carries_a_copy_job_out_and_keeps_its_result(
    autojump_clock: MockClock, nursery: trio.Nursery, is_conflicting: bool
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    assert network.storage is not None
    epoch = network.storage.epoch
    targets = [a_box(bytes([number]), bytes([number]) * 32) for number in range(3)]
    if is_conflicting:
        await write_all(network, [a_box(b"else", bytes([1]) * 32)], b"conflict")
    envelopes = [
        make_query(network.replicas[1:], target, epoch, bytes([place])).envelope for place, target in enumerate(targets)
    ]
    await write_all(network, stream_of(cap_of(), envelopes), b"stream")
    command = encode_query(CopyCommand(cap_of().encode()))
    assert raw_ask(network, command) == IN_PROGRESS
    await trio.sleep(5)
    conflict = CopyCommandReply(CopyStatus.FAILED, ReplicaCode.BOX_ALREADY_EXISTS, 2)
    expected = conflict if is_conflicting else SUCCEEDED
    assert [raw_ask(network, command) for _ in range(2)] == [expected] * 2
    found = []
    for target in targets:
        read = make_query(network.replicas[:2], ReplicaRead(target.box_id), epoch, b"read" + target.box_id)
        found.append(payload_of(await exchange(network, read)) == target.payload)
    assert found == ([True, False, False] if is_conflicting else [True, True, True])


async def test_a_capability_that_is_none_fails_without_a_number(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    command = encode_query(CopyCommand(b"w" * 168))
    assert raw_ask(network, command) == IN_PROGRESS
    await trio.sleep(1)
    assert raw_ask(network, command) == CopyCommandReply(CopyStatus.FAILED, 0, 0)


async def test_a_copy_job_needs_only_one_of_the_two_replicas_to_answer_in_time(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = storage_network()
    await nursery.start(network.run)
    assert network.storage is not None
    envelope = make_query(network.replicas[1:], a_box(), network.storage.epoch, b"target").envelope
    await write_all(network, stream_of(cap_of(), [envelope]), b"stream")
    network.replicas[2].faults.slow = 1000.0
    command = encode_query(CopyCommand(cap_of().encode()))
    raw_ask(network, command)
    await trio.sleep(100)
    assert raw_ask(network, command) == SUCCEEDED
