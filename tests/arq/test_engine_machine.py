"""The engine under every order of events: each message ends once, each SURB id has one end, nothing is left."""

from collections import Counter, defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from arq import (
    AppId,
    Due,
    Entry,
    Event,
    Kind,
    State,
    SurbIdInUse,
    TooManyInFlight,
)
from tests.arq.engine_bench import ALICE, BOB, Bench, Flight, message

OWNERS = st.sampled_from([ALICE, BOB])
SURB_IDS = st.sampled_from([bytes([number]) * 16 for number in range(4)])


class EngineMachine(RuleBasedStateMachine):
    """Applications, a sender, a gateway and a clock in any interleaving."""

    entries = Bundle("entries")
    flights = Bundle("flights")

    @initialize()
    def start(self) -> None:
        self.bench = Bench()
        self.engine = self.bench.engine
        self.now = 0.0
        self.known: dict[bytes, Entry] = {}
        self.decoys: list[Entry] = []
        self.ever_sent: set[bytes] = set()
        self.said: dict[bytes, list[str]] = defaultdict(list)
        self.abandoned: set[bytes] = set()
        self.cancelled: set[bytes] = set()

    def _note(self, event: Event) -> None:
        if isinstance(event, Due):
            return
        assert event.message_id is not None
        entry = self.known[event.message_id]
        assert event.owner == entry.owner, "an event for another application"
        assert event.message_id not in self.cancelled, "an event for an application that is gone"
        self.said[event.message_id].append(type(event).__name__)

    def _accept(self, owner: AppId, *, surb_id: bytes | None = None, reliable: bool = False) -> Entry:
        message_id = len(self.known).to_bytes(16, "big")
        entry = self.engine.accept(message(owner, message_id=message_id, surb_id=surb_id, reliable=reliable))
        self.known[message_id] = entry
        return entry

    def _owned(self, owner: AppId) -> int:
        return sum(
            entry.owner == owner and message_id not in self.cancelled and self._is_kept(message_id, entry)
            for message_id, entry in self.known.items()
        )

    def _is_kept(self, message_id: bytes, entry: Entry) -> bool:
        if entry.state is not State.ENDED:
            return True
        return message_id in self.ever_sent and entry.expires is not None and "Collected" not in self.said[message_id]

    @rule(target=entries, owner=OWNERS)
    def accept_reliable(self, owner: AppId) -> Entry:
        try:
            return self._accept(owner, reliable=True)
        except TooManyInFlight:
            assert self._owned(owner) == 8
            return self.engine.new_decoy()

    @rule(target=entries, owner=OWNERS, surb_id=SURB_IDS)
    def accept_plain(self, owner: AppId, surb_id: bytes) -> Entry:
        is_free = all(entry.surb_id != surb_id or entry.state is State.ENDED for entry in self.known.values())
        try:
            entry = self._accept(owner, surb_id=surb_id)
        except TooManyInFlight:
            assert self._owned(owner) == 8
            return self.engine.new_decoy()
        except SurbIdInUse:
            assert not is_free
            return self.engine.new_decoy()
        assert is_free
        return entry

    @rule(target=entries, owner=OWNERS)
    def accept_without_surb(self, owner: AppId) -> Entry:
        try:
            return self._accept(owner)
        except TooManyInFlight:
            assert self._owned(owner) == 8
            return self.engine.new_decoy()

    @rule(target=entries)
    def new_decoy(self) -> Entry:
        return self.engine.new_decoy()

    @rule(target=flights, entry=entries)
    def send(self, entry: Entry) -> Flight:
        """What the sender does with an entry that waits or is due; it never sends what is in flight."""
        if entry.state in (State.WAITING, State.DUE) and entry.message is not None and not entry.message.with_surb:
            self.engine.sent_without_surb(entry)
        if entry.state not in (State.WAITING, State.DUE):
            return Flight(self.engine.surb_id_for(self.engine.new_decoy()), b"to nobody")
        if entry.message_id is not None:
            self.ever_sent.add(entry.message_id)
        return self.bench.send(entry, self.now, answer=entry.message_id or b"decoy")

    @rule(entry=entries)
    def recall(self, entry: Entry) -> None:
        self.engine.recall(entry)
        if entry.state is State.WAITING and entry.message_id is not None:
            self.ever_sent.discard(entry.message_id)

    @rule(flight=flights)
    def reply(self, flight: Flight) -> None:
        """The same flight may be drawn again: repeated deliveries, and replies to packets sent again since."""
        answered = self.engine.on_message(flight.surb_id, flight.reply)
        if answered is not None:
            assert answered.payload == answered.message_id, "the answer to another message"
            self._note(answered)

    @rule(flight=flights, payload=st.binary(max_size=8))
    def garbage(self, flight: Flight, payload: bytes) -> None:
        before = self.bench.balance()
        assert self.engine.on_message(flight.surb_id, payload) is None
        assert self.bench.balance() == before

    @rule(entry=entries)
    def postpone(self, entry: Entry) -> None:
        self.engine.postpone(entry, self.now)

    @rule(entry=consumes(entries))
    def abandon(self, entry: Entry) -> None:
        if entry.message_id is not None and entry.state is not State.ENDED:
            self.abandoned.add(entry.message_id)
        self.engine.abandon(entry)

    @rule(owner=OWNERS)
    def cancel_owner(self, owner: AppId) -> None:
        self.engine.cancel_owner(owner)
        self.cancelled |= {message_id for message_id, entry in self.known.items() if entry.owner == owner}

    @rule(seconds=st.sampled_from([0.5, 1.0, 22.0, 60.0, 101.0, 310.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for event in self.engine.handle_timers(self.now):
            self._note(event)

    @precondition(lambda self: self.engine.next_timer() is not None)
    @rule()
    def wait_for_the_next_timer(self) -> None:
        soonest = self.engine.next_timer()
        assert soonest is not None
        self.now = max(self.now, soonest)
        for event in self.engine.handle_timers(self.now):
            self._note(event)

    @invariant()
    def every_surb_id_has_one_end_or_is_awaited(self) -> None:
        assert self.bench.balance() == self.engine.awaited_surb_ids

    @invariant()
    def each_message_ends_at_most_once_and_is_collected_last(self) -> None:
        for message_id, said in self.said.items():
            counts = Counter(said)
            ends = counts["Answered"] + counts["Exhausted"] + (message_id in self.abandoned)
            assert ends <= 1
            assert counts["Collected"] <= 1
            assert "Collected" not in said[:-1]

    @invariant()
    def what_has_ended_has_no_timer_keys_or_table_entry(self) -> None:
        for entry in self.known.values():
            if entry.state is State.ENDED:
                assert entry not in self.engine._timers
                assert not entry.surb_keys
                assert entry not in self.engine._by_surb_id.values()

    def teardown(self) -> None:
        """Time runs out for everything that was sent; what waits is abandoned: then nothing may be left."""
        if not hasattr(self, "engine"):
            return
        for _ in range(3):
            self.now += 1000.0
            for event in self.engine.handle_timers(self.now):
                self._note(event)
        for message_id, entry in self.known.items():
            if entry.state is State.WAITING:
                self.engine.abandon(entry)
                self.abandoned.add(message_id)
        assert self.bench.is_empty()
        assert self.bench.balance() == 0
        for message_id, entry in self.known.items():
            assert entry.state is State.ENDED
            if message_id in self.cancelled or entry.kind is not Kind.RELIABLE:
                continue
            said = self.said[message_id]
            if message_id not in self.abandoned:
                assert said in (["Answered", "Collected"], ["Exhausted", "Collected"])
            elif message_id in self.ever_sent:
                assert said == ["Collected"]
            else:
                assert said == []


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
