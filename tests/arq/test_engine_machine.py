"""The engine under every order of events: each message ends once, each SURB has one end, nothing is left."""

from collections import Counter, defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from arq import (
    AppId,
    Collected,
    Engine,
    Event,
    GaveUp,
    Kind,
    MessageRefused,
    MessageSent,
    Operation,
    OperationRecord,
    PollFailed,
    ReplyReceived,
    ReplyToJudge,
    SlotWanted,
    State,
    SurbIdInUse,
    TooManyInFlight,
)
from sphinx.randomness import seeded
from tests.arq.engine_bench import ALICE, BOB, POLICY, Bench, Packet, message, open_reply

CAROL = AppId(b"C" * 16)
OWNERS = st.sampled_from([ALICE, BOB])
SURB_IDS = st.sampled_from([bytes([number]) * 16 for number in range(4)])
FINAL = (MessageRefused, ReplyReceived, GaveUp)
OFFSET = 1_800_000_000.0


class EngineMachine(RuleBasedStateMachine):
    """Applications, a sender, a gateway, a clock, and a process that may end at any moment."""

    operations = Bundle("operations")
    packets = Bundle("packets")

    @initialize()
    def start(self) -> None:
        self.changed: set[int] = set()
        self.recorded: dict[int, OperationRecord] = {}
        self.forgotten: set[bytes] = set()
        self.bench = Bench(Engine(open_reply, seeded(b"engine"), POLICY, self.changed.add))
        self.now = 0.0
        self.owner_of: dict[bytes, AppId] = {}
        self.kinds: dict[bytes, Kind] = {}
        self.told: dict[bytes, list[type]] = defaultdict(list)
        self.cancelled: set[bytes] = set()
        self.slots: Counter[int] = Counter()
        self.judged: dict[int, int] = {}
        self.concluded: set[bytes] = set()
        self.serial = 0

    @property
    def engine(self) -> Engine:
        return self.bench.engine

    def _note(self) -> None:
        for event in self.bench.events():
            self._note_one(event)

    def _note_one(self, event: Event) -> None:
        if isinstance(event, SlotWanted):
            assert event.operation.wants_slot
            self.slots[event.operation.number] += 1
            return
        if isinstance(event, ReplyToJudge):
            assert event.operation.state is State.JUDGED
            assert event.payload == event.operation.message_id, "the answer to another message"
            return
        if isinstance(event, PollFailed):
            assert event.operation.message_id is not None
            assert event.operation.transmissions == 0
            self.told[event.operation.message_id].append(PollFailed)
            return
        assert event.message_id is not None
        assert event.owner == self.owner_of[event.message_id], "an event for another application"
        assert event.message_id not in self.cancelled, "an event for an application that is gone"
        if isinstance(event, ReplyReceived):
            assert event.payload == event.message_id, "the answer to another message"
        self.told[event.message_id].append(type(event))

    def _find(self, number: int) -> Operation | None:
        return self.engine.find(number)

    @rule(target=operations, owner=OWNERS, surb_id=st.none() | SURB_IDS, reliable=st.booleans())
    def accept(self, owner: AppId, surb_id: bytes | None, reliable: bool) -> int:
        self.serial += 1
        message_id = self.serial.to_bytes(16, "big")
        wanted = message(owner, message_id=message_id, surb_id=None if reliable else surb_id, reliable=reliable)
        is_free = all(one.message is None or one.message.surb_id != surb_id for one in self.engine) or surb_id is None
        try:
            operation = self.engine.accept(wanted)
        except TooManyInFlight:
            assert len(self.engine.owned_by(owner)) == POLICY.most_per_owner
            return 0
        except SurbIdInUse:
            assert not is_free
            return 0
        assert is_free or reliable
        self.owner_of[message_id], self.kinds[message_id] = owner, operation.kind
        self._note()
        return operation.number

    @rule(target=operations, owner=OWNERS, context=st.binary(max_size=40))
    def accept_polled(self, owner: AppId, context: bytes) -> int:
        self.serial += 1
        message_id = self.serial.to_bytes(16, "big")
        try:
            operation = self.engine.accept(message(owner, message_id=message_id, polled=True, context=context))
        except TooManyInFlight:
            return 0
        self.owner_of[message_id], self.kinds[message_id] = owner, operation.kind
        self._note()
        return operation.number

    @rule(number=operations, pause=st.sampled_from([0.0, 1.0, 30.0]), is_last=st.booleans())
    def judge(self, number: int, pause: float, is_last: bool) -> None:
        """Sometimes what has no reply to judge, or was cancelled meanwhile."""
        operation = self._find(number)
        if operation is None or operation.kind is not Kind.POLLED:
            return
        was_judged = operation.state is State.JUDGED
        message_id = operation.message_id or b""
        if not is_last:
            self.engine.go_on(operation, self.now, pause)
            assert (operation.state is State.PAUSED) or not was_judged
        elif self.engine.conclude(operation, self.now):
            assert was_judged
            assert message_id not in self.concluded, "two answers"
            assert not self.engine.conclude(operation, self.now)
            self.concluded.add(message_id)
        else:
            assert not was_judged

    @rule(number=operations)
    def cancel(self, number: int) -> None:
        operation = self._find(number)
        if operation is not None and operation.message_id is not None:
            self.engine.cancel(operation)
            self.cancelled.add(operation.message_id)
            assert self.bench.events() == []
            assert not self.engine.conclude(operation, self.now)

    @rule(target=packets, number=operations)
    def depart(self, number: int) -> Packet:
        operation = self._find(number)
        if operation is None or not operation.wants_slot:
            return multiple()  # type: ignore[return-value]
        return self.bench.depart(operation, self.now, answer=operation.message_id or b"")

    @rule(target=packets, number=operations)
    def send(self, number: int) -> Packet:
        operation = self._find(number)
        if operation is None or not operation.wants_slot:
            return multiple()  # type: ignore[return-value]
        packet = self.bench.send(operation, self.now, answer=operation.message_id or b"")
        self._note()
        return packet

    @rule(target=packets)
    def send_decoy(self) -> Packet:
        return self.bench.send(self.engine.new_decoy(), self.now, answer=b"decoy")

    @rule(number=operations, written=st.booleans())
    def end_write(self, number: int, written: bool) -> None:
        operation = self._find(number)
        if operation is not None:
            (self.engine.left if written else self.engine.recalled)(operation, self.now)
            self._note()

    @rule(number=operations)
    def refuse(self, number: int) -> None:
        operation = self._find(number)
        if operation is not None and operation.wants_slot:
            self.engine.refused(operation, "no way", self.now)
            self._note()

    @rule(packet=packets)
    def reply(self, packet: Packet) -> None:
        """The same one may be drawn again: repeated deliveries, and replies to packets sent again since."""
        self.engine.receive(packet.surb_id, packet.reply, self.now)
        self._note()

    @rule(packet=packets, payload=st.binary(max_size=8))
    def garbage(self, packet: Packet, payload: bytes) -> None:
        before = (len(self.engine.surbs), self.engine.states)
        self.engine.receive(packet.surb_id, payload, self.now)
        assert self.bench.events() == []
        assert (len(self.engine.surbs), self.engine.states) == before

    @rule(owner=OWNERS)
    def cancel_owner(self, owner: AppId) -> None:
        self.cancelled |= {one.message_id for one in self.engine.owned_by(owner) if one.message_id is not None}
        self.engine.cancel_owner(owner)
        assert self.bench.events() == []

    @rule()
    def merge(self) -> None:
        """Both applications turn out to be one, and then are called by the other's name."""
        self.engine.reassign(ALICE, CAROL)
        self.engine.reassign(BOB, ALICE)
        self.engine.reassign(CAROL, BOB)
        swapped = {ALICE: BOB, BOB: ALICE}
        self.owner_of = {name: swapped[owner] for name, owner in self.owner_of.items()}

    @rule(seconds=st.sampled_from([0.5, 1.0, 22.5, 60.0, 101.0, 310.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.engine.handle_timers(self.now)
        self._note()

    @rule()
    def wait_for_the_next_timer(self) -> None:
        soonest = self.engine.next_timer()
        if soonest is not None:
            self.now = max(self.now, soonest)
            self.engine.handle_timers(self.now)
            self._note()

    @rule(away=st.sampled_from([-5000.0, 0.0, 77.0]))
    def restart(self, away: float) -> None:
        """What was recorded at each change comes out in another engine, whose monotonic clock stands elsewhere."""
        for number in self.changed:
            record = self.engine.record(number, OFFSET)
            self.recorded.pop(number, None)
            if record is not None:
                self.recorded[number] = OperationRecord.from_plain(number, record.content(), record.progress())
        self.changed.clear()
        records = {one.number: self.engine.record(one.number, OFFSET) for one in self.engine}
        records = {number: record for number, record in records.items() if record is not None}
        assert self.recorded == records, "a change that nobody was told of"
        lasting = (Kind.RELIABLE, Kind.POLLED)
        once = {one.message_id for one in self.engine if one.kind not in lasting and one.number not in records}
        self.forgotten |= {name for name in once if name is not None}
        self.bench = Bench(
            Engine(open_reply, seeded(b"%d" % self.serial), POLICY, self.changed.add), self.bench.packets
        )
        self.now += away
        self.engine.restore(self.recorded.values(), OFFSET - away, self.now)
        assert len(self.engine.surbs) == 0
        for operation in self.engine:
            record = records[operation.number]
            assert record is not None
            assert operation.wants_slot == (record.state is not State.ANSWERED)
            assert operation.message is not None
            assert operation.message.context == record.message.context
            if operation.expires_at is not None and record.expires_at is not None:
                assert abs(operation.expires_at - (record.expires_at - OFFSET + away)) < 1e-3
        wanted = [one.number for one in self.engine if one.wants_slot]
        told = [event.operation.number for event in self.bench.events() if isinstance(event, SlotWanted)]
        assert told == wanted, "what waits wants its slot anew, in its order"

    @invariant()
    def every_surb_has_one_end_or_is_out(self) -> None:
        assert self.bench.balance() == 0

    @invariant()
    def each_message_has_at_most_one_answer_after_its_sending_and_is_collected_last(self) -> None:
        for told in self.told.values():
            assert sum(kind in FINAL for kind in told) <= 1
            assert told.count(MessageSent) <= 1
            assert told.count(Collected) <= 1
            assert Collected not in told[:-1]
            if ReplyReceived in told:
                assert told.index(MessageSent) < told.index(ReplyReceived)

    @invariant()
    def what_is_counted_is_there(self) -> None:
        assert Counter((one.kind, one.state) for one in self.engine) == Counter(self.engine.states)
        assert self.engine.bytes_held == sum(one.size for one in self.engine if one.owner is not None)
        assert all(
            one.next_timer() is not None or len(self.engine.surbs) for one in self.engine if not self._rests(one)
        )

    @staticmethod
    def _rests(operation: Operation) -> bool:
        """Whether it waits for the sender and not for time."""
        resting = (State.WAITING, State.LEAVING, State.DUE, State.LEAVING_AGAIN, State.JUDGED)
        return operation.state in resting or operation.kind is Kind.ONE_WAY

    def teardown(self) -> None:
        """Every write ends and time runs out; what waits is cancelled: then nothing may be left."""
        if not hasattr(self, "bench"):
            return
        for operation in self.engine:
            self.engine.left(operation, self.now)
        self._note()
        for _ in range(3):
            self.now += 1000.0
            self.engine.handle_timers(self.now)
            self._note()
        unsent = {one.message_id for one in self.engine if one.message_id is not None}
        for owner in (ALICE, BOB):
            self.engine.cancel_owner(owner)
        assert self.bench.is_empty()
        assert self.bench.balance() == 0
        for message_id, kind in self.kinds.items():
            told = self.told[message_id]
            if kind is Kind.POLLED:
                assert told in ([], [PollFailed])
                assert not (told and message_id in self.concluded)
            elif message_id in self.forgotten and kind is not Kind.RELIABLE:
                assert told in ([MessageSent], [MessageSent, ReplyReceived], [])
            elif message_id in self.cancelled or message_id in unsent:
                assert not any(one in told for one in (MessageRefused, Collected))
            elif kind is Kind.RELIABLE:
                assert told in (
                    [MessageSent, ReplyReceived, Collected],
                    [MessageSent, GaveUp, Collected],
                    [GaveUp, Collected],
                    [MessageRefused],
                )
            elif kind is Kind.PLAIN:
                assert told in ([MessageSent, ReplyReceived], [MessageSent], [], [MessageRefused])
            else:
                assert told == []


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
