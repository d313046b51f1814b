"""Exchanges under every order of events: each request has one answer, whatever is lost, repeated or cancelled.

`KPCLIENTD_EXAMPLES` sets how many runs of fifty steps there are.
"""

import os
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from arq import AppId, Engine, Operation, OperationRecord, PollFailed, ReplyToJudge, SlotWanted
from kpclientd.pigeonhole.codes import CourierCode, ReplicaCode, ThinCode
from kpclientd.pigeonhole.courier_messages import CopyCommandReply, CourierEnvelopeReply, encode_query_reply
from kpclientd.pigeonhole.envelopes import EnvelopeDescriptor, Opened
from kpclientd.pigeonhole.errors import MessageError, SealError
from kpclientd.pigeonhole.exchanges import CopyRequest, EnvelopeRequest
from kpclientd.storage.resender import COPY_REPLY, ENVELOPE_REPLY, Courier, Resender
from sphinx.randomness import seeded
from sphinx.types import NodeId
from tests.arq.engine_bench import ALICE, BOB, POLICY, Bench, Packet, open_reply

COURIER = Courier(NodeId(b"c" * 32), b"+courier")
OFFSET = 1_800_000_000.0
EXAMPLES = int(os.environ.get("KPCLIENTD_EXAMPLES", "400"))
OWNERS = st.sampled_from([ALICE, BOB])
HASHES = st.sampled_from([bytes([number]) * 32 for number in range(3)])
PLAINTEXT = b"what was read"
WEEK = 480
UNREADABLE = b"no descriptor"
DESCRIPTOR = EnvelopeDescriptor(WEEK, b"\0\1", b"private")

SEALED = {
    b"found": Opened(0, PLAINTEXT),
    b"nothing": Opened(ReplicaCode.BOX_NOT_FOUND),
    b"exists": Opened(ReplicaCode.BOX_ALREADY_EXISTS),
    b"full": Opened(ReplicaCode.STORAGE_FULL),
    b"broken": None,
}


@dataclass(frozen=True)
class Another:
    """A query that takes the place of one."""

    hash: bytes
    descriptor: EnvelopeDescriptor = DESCRIPTOR

    def encode(self) -> bytes:
        return b"asks anew"


class Queries:
    """Opens replies as they are named, when it is told to."""

    asked_anew = 0

    async def opened(
        self,
        owner: Hashable,
        envelope_hash: bytes,
        descriptor: bytes,
        sealed: bytes,
        reading: tuple[bytes, bytes] | None,
    ) -> Opened:
        found = SEALED[sealed]
        if found is None:
            raise SealError("it does not open")
        return found

    async def read_anew(
        self, owner: Hashable, query_hash: bytes, descriptor: bytes, reading: tuple[bytes, bytes], reply_index: int
    ) -> Another:
        if descriptor == UNREADABLE:
            raise MessageError("a descriptor cannot be read")
        self.asked_anew += 1
        return Another(b"anew".ljust(24) + self.asked_anew.to_bytes(8, "big"))


class ResenderMachine(RuleBasedStateMachine):
    """Applications, a courier, a clock, and a process that may end at any moment."""

    @initialize()
    def start(self) -> None:
        self.now = 0.0
        self.serial = 0
        self.asked: dict[bytes, AppId] = {}
        self.cancelled: set[bytes] = set()
        self.gone: set[bytes] = set()
        self.answers: Counter[bytes] = Counter()
        self.kinds: dict[bytes, type[EnvelopeRequest | CopyRequest]] = {}
        self.packets: list[tuple[bytes, Packet]] = []
        self.last: dict[int, Packet] = {}
        self.opening: list[tuple[Operation, bytes]] = []
        self._begin(Engine(open_reply, seeded(b"resender"), POLICY), 0)

    def _begin(self, engine: Engine, packets: int) -> None:
        self.bench = Bench(engine, packets)
        self.resender = Resender(engine, Queries(), self._deliver, lambda: None, now=lambda: self.now)
        self.resender.open_later = lambda operation, sealed: self.opening.append((operation, sealed))  # type: ignore[method-assign]

    def _deliver(self, app_id: AppId, event: dict[str, Any], *, final: bool) -> None:
        ((name, body),) = event.items()
        assert final
        assert name in (ENVELOPE_REPLY, COPY_REPLY)
        query_id = body["query_id"]
        assert self.asked[query_id] == app_id, "an answer for another application"
        assert query_id not in self.gone, "an answer for an application that is gone"
        assert (name == COPY_REPLY) == (self.kinds[query_id] is CopyRequest)
        self.answers[query_id] += 1
        assert self.answers[query_id] == 1, "two answers"

    def _pump(self) -> None:
        for event in self.bench.events():
            if isinstance(event, ReplyToJudge):
                self.resender.judge(event)
            elif isinstance(event, PollFailed):
                self.resender.failed(event)
            else:
                assert isinstance(event, SlotWanted)

    def _query_id(self, owner: AppId, kind: type[EnvelopeRequest | CopyRequest]) -> bytes:
        self.serial += 1
        query_id = self.serial.to_bytes(16, "big")
        self.kinds[query_id] = kind
        self.asked[query_id] = owner
        return query_id

    @rule(owner=OWNERS, name=HASHES, is_read=st.booleans(), now=st.booleans(), conflict=st.booleans())
    def ask(self, owner: AppId, name: bytes, is_read: bool, now: bool, conflict: bool) -> None:
        if len(self.bench.engine.owned_by(owner)) >= POLICY.most_per_owner:
            return
        cap = b"r" * 136 if is_read else None
        descriptor = UNREADABLE if self.serial % 5 == 0 else b"descriptor"
        request = EnvelopeRequest(
            self._query_id(owner, EnvelopeRequest), name, descriptor, cap, b"i" * 104, now, conflict
        )
        self.resender.start(owner, request, b"ciphertext", COURIER)
        self._pump()

    @rule(owner=OWNERS, name=HASHES)
    def ask_for_a_copy(self, owner: AppId, name: bytes) -> None:
        if len(self.bench.engine.owned_by(owner)) >= POLICY.most_per_owner:
            return
        self.resender.start_copy(owner, CopyRequest(self._query_id(owner, CopyRequest), name), b"w" * 168, COURIER)
        self._pump()

    @rule(owner=OWNERS, name=HASHES, kind=st.sampled_from([EnvelopeRequest, CopyRequest]))
    def cancel(self, owner: AppId, name: bytes, kind: type[EnvelopeRequest | CopyRequest]) -> None:
        before = self.answers.copy()
        was_there = self.resender.cancel(owner, name, kind)
        told = self.answers - before
        assert bool(told) == was_there
        assert all((self.asked[query_id], self.kinds[query_id]) == (owner, kind) for query_id in told)
        self._pump()

    @rule(number=st.integers(0, 7))
    def send(self, number: int) -> None:
        waiting = [one for one in self.bench.engine if one.wants_slot]
        if waiting:
            operation = waiting[number % len(waiting)]
            request = self.resender.request_of(operation)
            name = request.write_cap_hash if isinstance(request, CopyRequest) else request.query_hash
            packet = self.last[operation.number] = self.bench.send(operation, self.now, answer=b"")
            self.packets.append((name, packet))
            self._pump()

    @rule(number=st.integers(0, 7), sealed=st.sampled_from(sorted(SEALED)))
    def replica_has_answered(self, number: int, sealed: bytes) -> None:
        """The courier passes it on, to the last packet of an exchange."""
        envelopes = [
            (request.query_hash, self.last[one.number])
            for one in self.bench.engine
            if one.number in self.last and isinstance(request := self.resender.request_of(one), EnvelopeRequest)
        ]
        if envelopes:
            name, packet = envelopes[number % len(envelopes)]
            answer = encode_query_reply(CourierEnvelopeReply(name, has_payload=True, payload=sealed))
            self.bench.engine.receive(packet.surb_id, packet.reply + answer, self.now)
            self._pump()

    @rule(number=st.integers(0, 7))
    def refuse(self, number: int) -> None:
        waiting = [one for one in self.bench.engine if one.wants_slot]
        if waiting:
            self.bench.engine.refused(waiting[number % len(waiting)], "no way", self.now)
            self._pump()

    @rule(
        number=st.integers(0, 31),
        what=st.sampled_from(
            ["ack", "payload", "of another week", "garbage", "foreign", "copying", "copied", "not copied"]
        ),
        sealed=st.sampled_from(sorted(SEALED)),
    )
    def reply(self, number: int, what: str, sealed: bytes) -> None:
        """To any packet of any time: repeated and late ones, too."""
        if not self.packets:
            return
        name, packet = self.packets[number % len(self.packets)]
        answer = {
            "ack": encode_query_reply(CourierEnvelopeReply(name)),
            "payload": encode_query_reply(CourierEnvelopeReply(name, has_payload=True, payload=sealed)),
            "of another week": encode_query_reply(CourierEnvelopeReply(name, error_code=CourierCode.INVALID_EPOCH)),
            "garbage": b"\x07garbage",
            "foreign": encode_query_reply(CourierEnvelopeReply(b"f" * 32)),
            "copying": encode_query_reply(CopyCommandReply(1)),
            "copied": encode_query_reply(CopyCommandReply(0)),
            "not copied": encode_query_reply(CopyCommandReply(2, 10, 3)),
        }[what]
        self.bench.engine.receive(packet.surb_id, packet.reply + answer, self.now)
        self._pump()

    @rule(number=st.integers(0, 7))
    def open(self, number: int) -> None:
        """A worker has come to its end, perhaps for an exchange that has."""
        if self.opening:
            operation, sealed = self.opening.pop(number % len(self.opening))
            trio.run(self.resender.open, operation, sealed)
            self._pump()

    @rule(owner=OWNERS)
    def application_is_gone(self, owner: AppId) -> None:
        self.bench.engine.cancel_owner(owner)
        self.gone |= {query_id for query_id, asker in self.asked.items() if asker == owner}
        self._pump()

    @rule()
    def merge(self) -> None:
        """Bob turns out to be Alice."""
        if len(self.bench.engine) < POLICY.most_per_owner:
            self.bench.engine.reassign(BOB, ALICE)
            for query_id in self.asked:
                if not self.answers[query_id] and query_id not in self.gone:
                    self.asked[query_id] = ALICE

    @rule(seconds=st.sampled_from([0.5, 5.0, 22.5, 60.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.bench.engine.handle_timers(self.now)
        self._pump()

    @rule(number=st.integers(0, 7), looks=st.integers(1, 8))
    def look_in_vain(self, number: int, looks: int) -> None:
        """A box is looked for again and again; after so many looks the courier is asked by another query."""
        for _ in range(looks):
            before = len(self.opening)
            self.send(number)
            self.replica_has_answered(number, b"nothing")
            if len(self.opening) == before:
                return
            self.open(before)
            self.wait(60.0)

    @rule()
    def epoch_turns(self) -> None:
        """Nodes have other keys: what is under way is lost, and until a document comes nothing can be composed."""
        self.packets.clear()
        self.last.clear()
        self.wait(1200.0)

    @rule(number=st.integers(0, 7))
    def week_turns(self, number: int) -> None:
        """Replicas have other keys; a query of the week before the last is refused by its courier."""
        self.wait(400.0)
        self.send(number)
        for name, packet in [(name, packet) for name, packet in self.packets if packet in self.last.values()][-1:]:
            answer = encode_query_reply(CourierEnvelopeReply(name, error_code=CourierCode.INVALID_EPOCH))
            self.bench.engine.receive(packet.surb_id, packet.reply + answer, self.now)
            self._pump()

    @rule()
    def restart(self) -> None:
        """What was recorded goes on, for all who asked for it."""
        engine = self.bench.engine
        records = [record for one in engine if (record := engine.record(one.number, OFFSET)) is not None]
        plain = [(record.number, record.content(), record.progress()) for record in records]
        self.opening.clear()
        self.last.clear()
        again = Engine(open_reply, seeded(b"again %d" % self.serial), POLICY)
        self._begin(again, self.bench.packets)
        again.restore([OperationRecord.from_plain(*each) for each in plain], OFFSET, self.now)
        self._pump()

    @invariant()
    def what_is_asked_is_under_way_or_answered(self) -> None:
        under_way = {query_id for one in self.bench.engine for query_id in self.resender.asking(one)}
        open_ones = {query_id for query_id in self.asked if not self.answers[query_id] and query_id not in self.gone}
        assert open_ones == under_way
        assert self.bench.balance() == 0
        engine = self.bench.engine
        assert engine.bytes_held == sum(one.size for one in engine if one.owner is not None)

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        for _ in range(40):
            while self.opening:
                trio.run(self.resender.open, *self.opening.pop())
                self._pump()
            for operation in self.bench.engine:
                if operation.wants_slot:
                    request = self.resender.request_of(operation)
                    packet = self.bench.send(operation, self.now, answer=b"")
                    answer = (
                        encode_query_reply(CopyCommandReply(0))
                        if isinstance(request, CopyRequest)
                        else encode_query_reply(
                            CourierEnvelopeReply(request.query_hash, has_payload=True, payload=b"found")
                        )
                    )
                    self.bench.engine.receive(packet.surb_id, packet.reply + answer, self.now)
                    self._pump()
            self.now += 100.0
            self.bench.engine.handle_timers(self.now)
            self._pump()
        assert len(self.bench.engine) == 0
        assert self.bench.is_empty()
        assert {query_id for query_id in self.asked if query_id not in self.gone} <= set(self.answers)


TestResenderMachine = ResenderMachine.TestCase
TestResenderMachine.settings = settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None)


def test_the_oldest_of_too_many_requests_for_one_exchange_are_told_that_they_are_cancelled() -> None:
    told: list[tuple[bytes, int]] = []

    def deliver(app_id: AppId, event: dict[str, Any], *, final: bool) -> None:
        body = event[ENVELOPE_REPLY]
        told.append((body["query_id"], body["error_code"]))

    engine = Engine(open_reply, seeded(b"many"), POLICY)
    resender = Resender(engine, Queries(), deliver, lambda: None, now=lambda: 0.0)
    for number in range(20):
        request = EnvelopeRequest(number.to_bytes(16, "big"), b"h" * 32, b"descriptor")
        resender.start(ALICE, request, b"ciphertext", COURIER)
    assert len(engine) == 1
    assert told == [(number.to_bytes(16, "big"), ThinCode.START_RESENDING_CANCELLED) for number in range(4)]


@pytest.mark.parametrize("kind", [EnvelopeRequest, CopyRequest])
def test_what_is_not_there_cannot_be_cancelled(kind: type[EnvelopeRequest | CopyRequest]) -> None:
    resender = Resender(
        Engine(open_reply, seeded(b"none"), POLICY),
        Queries(),
        lambda *a, **k: None,
        lambda: None,
        now=lambda: 0.0,
    )
    assert not resender.cancel(ALICE, b"h" * 32, kind)


def test_an_answer_that_is_opened_when_its_application_is_gone_is_nobodys() -> None:
    told: list[dict[str, Any]] = []
    bench = Bench(Engine(open_reply, seeded(b"gone"), POLICY))
    engine = bench.engine
    resender = Resender(engine, Queries(), lambda app_id, event, final: told.append(event), lambda: None, lambda: 0.0)
    resender.start(ALICE, EnvelopeRequest(b"q" * 16, b"h" * 32, b"descriptor"), b"ciphertext", COURIER)
    bench.events()
    (operation,) = engine
    packet = bench.send(operation, 0.0, answer=b"")
    answer = encode_query_reply(CourierEnvelopeReply(b"h" * 32, has_payload=True, payload=b"full"))
    engine.receive(packet.surb_id, packet.reply + answer, 0.0)
    (event,) = bench.events()
    assert isinstance(event, ReplyToJudge)
    resender.judge(event)
    engine.cancel_owner(ALICE)
    trio.run(resender.open, operation, b"full")
    assert told == []
