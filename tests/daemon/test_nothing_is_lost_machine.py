"""Applications, their connections, the sender, the gateway, the clock and the process itself, in any order of events.

What is joined here is what the daemon joins: sessions, engine, queues and notifier, all of them the real ones. The test
plays the rest, without I/O: applications that read or do not, die and come back; a sender that takes what waits and may
fail at any point of a write; a network that answers or loses; documents in which a service is missing; a gateway
connection that ends with all replies that were under way; a disk that is slower than all of them; and a process that is
killed, or a machine that loses power: of a process the bytes remain that it wrote, of a machine those that were flushed
and a piece of what came after, and of an application that is the same process still, what was in its socket.

`KPCLIENTD_EXAMPLES` sets how many runs of fifty steps there are.
"""

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from arq import AppId, ArqError, Engine, Operation, Policy, State
from kpclientd.state.journal import Commit, Journal
from kpclientd.state.record_log import LogWriter, recover
from kpclientd.state.rows import read_rows
from kpclientd.thin.framing import FrameReader
from kpclientd.thin.notifier import Notifier
from kpclientd.thin.sessions import Session, SessionBounds, Sessions
from kpclientd.thin.written_marks import HandedOver, PeerProcess
from kpclientd.traffic.queues import FairQueues
from sphinx.randomness import Randomness, seeded
from sphinx.types import SurbId
from tests.arq.engine_bench import message, open_reply
from tests.support.no_polls import NoPolls

EXAMPLES = int(os.environ.get("KPCLIENTD_EXAMPLES", "60"))
STEPS = 50
GRACE = 600.0
BEGIN = 1_800_000_000.0
KEY = bytes(32)
OVER_TCP = b"2" * 16
"""The token of an application whose process nobody knows."""
POLICY = Policy(most_per_owner=6)
PLACES = st.integers(0, 5)


@dataclass(eq=False)
class App:
    """One application, over all of its connections; it dies when its process does, and forgets nothing for the test."""

    token: bytes | None
    session: Session | None = None
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    reader: FrameReader = field(default_factory=FrameReader)
    written: bytearray = field(default_factory=bytearray)
    closed: bool = False
    house: "House | None" = None
    process: int = 0
    is_same_process: bool = False
    sent: int = 0

    def is_operator(self) -> bool:
        return False

    def peer_process(self) -> PeerProcess | None:
        return PeerProcess(self.process, 0) if self.process else None

    def notify(self) -> None:
        """The daemon writes at once what it may, into a socket that the application has not read yet."""
        if self.session is not None and self.session.connection is self and self.house is not None:
            while data := self.session.outbox.take(10_000, self.house.sessions.durable):
                self.written += data
                self.sent += len(data)
                self.house.sessions.note_sent(self.session, self.sent)

    def note_unread(self) -> None:
        if self.session is not None and self.house is not None:
            self.house.sessions.note_unread(self.session, len(self.written))

    def close(self, reason: str) -> None:
        self.closed = True

    def read_to_the_end(self) -> None:
        """The daemon is gone; what it wrote is still there, and then comes the end of the stream."""
        for frame in self.reader.feed(bytes(self.written)):
            self.heard += frame.items()

    def read(self, most: int) -> None:
        """Take so many bytes; whole frames are heard."""
        taken = bytes(self.written[:most])
        del self.written[:most]
        for frame in self.reader.feed(taken):
            self.heard += frame.items()
        if not self.reader.unfinished:
            self.note_unread()


class Notes:
    """What was written to whom: it outlives a process, and no machine."""

    def __init__(self) -> None:
        self.noted: dict[AppId, HandedOver] = {}

    def connected(self, app_id: AppId, peer: PeerProcess | None) -> None:
        self.noted[app_id] = HandedOver(peer, 0, self.noted[app_id].read if app_id in self.noted else 0)

    def written(self, app_id: AppId, number: int) -> None:
        self.noted[app_id] = replace(self.noted[app_id], written=number)

    def read(self, app_id: AppId, number: int) -> None:
        self.noted[app_id] = replace(self.noted[app_id], read=number)

    def forget(self, app_id: AppId) -> None:
        self.noted.pop(app_id, None)


class Disk:
    """One log; what is behind `flushed` is at the mercy of the machine."""

    def __init__(self, writer: LogWriter) -> None:
        self.writer = writer
        self.data = bytearray(writer.head())
        self.flushed = len(self.data)

    def write(self, commit: Commit) -> None:
        if commit.rows:
            self.data += self.writer.record(commit.rows)

    def flush(self) -> None:
        self.flushed = len(self.data)
        self.data += self.writer.mark()


class House:
    """The parts that keep something, joined as in the daemon."""

    def __init__(self, randomness: Randomness, notes: Notes) -> None:
        self.randomness = randomness
        self.destroyed: list[AppId] = []
        self.journal = Journal(lambda: None, lambda: None)
        self.disk = Disk(LogWriter(KEY, randomness))
        self.underway: Commit | None = None
        self.engine = Engine(open_reply, randomness, POLICY, self.journal.operation_changed)
        self.queues: FairQueues[AppId, Operation] = FairQueues()
        self.sessions = Sessions(
            randomness,
            SessionBounds(grace=GRACE),
            destroy=self._destroy,
            on_away=self.queues.set_away,
            on_merge=self._merge,
            bytes_of=self.engine.bytes_of,
            on_change=self.journal.session_changed,
            next_commit=self.journal.next_commit,
            marks=notes,
        )
        self.notifier = Notifier(self.engine, self.sessions, self.queues, lambda: BEGIN, NoPolls())

    def commit(self, offset: float, *, end: bool = True) -> None:
        """Write what changed; it is durable, and told, once that has ended."""
        if self.underway is not None:
            self.end_commit()
        self.underway = self.journal.collect(self.engine, self.sessions, offset)
        self.disk.write(self.underway)
        if end:
            self.end_commit()

    def end_commit(self) -> None:
        if self.underway is not None:
            self.disk.flush()
            self.sessions.committed(self.underway.number)
            self.underway = None

    def _destroy(self, app_id: AppId) -> None:
        self.destroyed.append(app_id)
        self.queues.remove(app_id)
        self.engine.cancel_owner(app_id)

    def _merge(self, app_id: AppId, into: AppId) -> None:
        self.queues.merge(app_id, into)
        self.engine.reassign(app_id, into)


class NothingIsLost(RuleBasedStateMachine):
    """The model knows for each message whose it is, and what became of it on the network."""

    @initialize(disk_is_quick=st.booleans())
    def start(self, disk_is_quick: bool) -> None:
        self.notes = Notes()
        self.house = House(seeded(b"house"), self.notes)
        self.disk_is_quick = disk_is_quick
        self.processes = 0
        self.now = 0.0
        self.offset = BEGIN  # Unix time less monotonic time
        self.packets = self.restarts = 0
        self.serial = 0
        self.apps: list[App] = []
        self.owner: dict[bytes, App] = {}
        self.reliable: set[bytes] = set()
        self.answered: set[bytes] = set()
        self.forgotten: set[bytes] = set()
        self.underway: list[tuple[SurbId, bytes]] = []
        self.writing: list[tuple[int, SurbId | None, bytes]] = []

    # -- applications

    def _present(self, place: int) -> App | None:
        present = [app for app in self.apps if app.session is not None and app.session.connection is app]
        return present[place % len(present)] if present else None

    @rule(token=st.sampled_from([None, b"1" * 16, b"1" * 16, b"2" * 16, b"2" * 16]), hasty=st.booleans())
    def connect(self, token: bytes | None, hasty: bool = False) -> None:
        """A new process, or an old one's next connection: it is the same application if its token is.

        A hasty one sends before it names its token.
        """
        known = next((app for app in self.apps if app.token == token and token is not None), None)
        self.processes += 1
        app = App(token, house=self.house, process=self.processes if token != OVER_TCP else 0)
        if known is not None and known.is_same_process:
            app.process = known.process
        app.session = self.house.sessions.open(app)
        self.apps.append(app)
        if hasty:
            self._send(app, "reliable")
        if token is None:
            return
        registration = self.house.sessions.register(app.session, token)
        app.session = registration.session
        if known is not None:
            self._become(known, app)
        for frame in registration.kept:
            self.house.sessions.put(app.session, frame)

    def _become(self, known: App, app: App) -> None:
        """The same application with another connection: what it heard before counts."""
        app.heard = known.heard
        known.session = None
        self.apps.remove(known)
        self.owner = {name: app if owner is known else owner for name, owner in self.owner.items()}

    @rule(place=PLACES, share=st.sampled_from([0.3, 1.0, 1.0]))
    def read(self, place: int, share: float) -> None:
        app = self._present(place)
        if app is not None:
            app.read(int(share * len(app.written) + 0.999))

    @rule(place=PLACES)
    def die(self, place: int) -> None:
        """What it had not read is lost with its socket."""
        app = self._present(place)
        if app is None or app.session is None:
            return
        app.note_unread()
        self.house.sessions.disconnected(app.session, app, self.now)
        app.written.clear()
        app.reader = FrameReader()
        if app.token is None:
            self._is_gone(app)

    @rule(place=PLACES, seldom=st.integers(0, 7))
    def say_goodbye(self, place: int, seldom: int) -> None:
        if seldom:
            return
        app = self._present(place)
        if app is not None and app.session is not None:
            self.house.sessions.end(app.session)
            self._is_gone(app)
            self._commit()  # if it is not on the disk yet when the process is killed, the same application may go on

    def _is_gone(self, app: App) -> None:
        app.session = None
        app.token = None
        self.forgotten |= {name for name, owner in self.owner.items() if owner is app}

    @rule(place=PLACES, kind=st.sampled_from(["plain", "reliable", "one-way"]))
    def send(self, place: int, kind: str) -> None:
        app = self._present(place)
        if app is not None:
            self._send(app, kind)

    def _send(self, app: App, kind: str) -> None:
        if app.session is None:
            return
        self.serial += 1
        name = self.serial.to_bytes(16, "big")
        surb_id = name if kind == "plain" else None
        wanted = message(app.session.app_id, message_id=name, surb_id=surb_id, reliable=kind == "reliable")
        try:
            self.house.engine.accept(wanted)
        except ArqError:
            return
        self.owner[name] = app
        if kind == "reliable":
            self.reliable.add(name)
        self._pump()

    @rule(place=PLACES, kinds=st.lists(st.sampled_from(["plain", "reliable"]), min_size=1, max_size=3))
    def converse(self, place: int, kinds: list[str]) -> None:
        """Some messages that go there and back without a hitch; whether they are read is another matter."""
        for kind in kinds:
            self.send(place, kind)
        for _ in kinds:
            self.take_slot(refuse=False)
            while self.writing:
                self.end_write(written=True)
        for _ in kinds:
            self.deliver(place, again=False)

    # -- the sender and the network

    @rule(refuse=st.sampled_from([False, False, False, True]))
    def take_slot(self, refuse: bool) -> None:
        """A tick: what is next in turn departs, or cannot be composed as the document lacks its service."""
        engine = self.house.engine
        operation = self.house.queues.pick() or engine.new_decoy()
        if not operation.wants_slot:
            return
        if refuse and not operation.is_cover:
            engine.refused(operation, "no such service in this epoch", self.now)
            self._pump()
            return
        with_surb = operation.message is None or operation.message.with_surb
        surb_id = engine.surb_id_for(operation) if with_surb else None
        self.packets += 1
        keys = b"keys of packet %08d" % self.packets
        assert engine.departs(operation, surb_id, keys, 2.0, self.now)
        self.writing.append((operation.number, surb_id, keys + (operation.message_id or b"")))

    @rule(written=st.sampled_from([False, True, True]))
    def end_write(self, written: bool) -> None:
        if not self.writing:
            return
        number, surb_id, reply = self.writing.pop(0)
        if written and surb_id is not None:
            self.underway.append((surb_id, reply))
        operation = self.house.engine.find(number)
        if operation is None:
            return
        if written:
            self.house.engine.left(operation, self.now)
        else:
            self.house.engine.recalled(operation, self.now)
            if operation.owner is not None and operation.wants_slot:
                self.house.queues.put_back(operation.owner, operation, resend=operation.state is State.DUE)
        self._pump()

    @rule(place=PLACES, again=st.booleans())
    def deliver(self, place: int, again: bool) -> None:
        if not self.underway:
            return
        surb_id, reply = self.underway[place % len(self.underway)]
        if not again:
            self.underway.remove((surb_id, reply))
        self.house.engine.receive(surb_id, reply, self.now)
        self._pump()

    @rule()
    def lose_the_link(self) -> None:
        """Replies that were under way lead to a queue that is gone; writes break off."""
        self.underway.clear()
        while self.writing:
            self.end_write(written=False)

    @rule(seconds=st.sampled_from([0.5, 1.5, 22.5, 301.0, GRACE + 1.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._handle_timers()

    def _handle_timers(self) -> None:
        before = len(self.house.destroyed)
        self.house.engine.handle_timers(self.now)
        self._pump()
        self.house.sessions.handle_timers(self.now)
        for app in list(self.apps):
            if app.session is not None and app.session.app_id in self.house.destroyed[before:]:
                self._is_gone(app)
                self._commit()  # likewise

    def _pump(self) -> None:
        self.house.notifier.pump()
        if self.disk_is_quick:
            self._commit()

    def _commit(self, *, end: bool = True) -> None:
        self.house.commit(self.offset, end=end)

    @rule(quick=st.booleans())
    def change_the_disk(self, quick: bool) -> None:
        self.disk_is_quick = quick
        if quick:
            self._commit()

    @rule()
    def begin_commit(self) -> None:
        self._commit(end=False)

    @rule()
    def end_commit(self) -> None:
        self.house.end_commit()

    @rule(power=st.booleans(), together=st.booleans(), share=st.floats(0.0, 1.0))
    def be_killed(self, power: bool, together: bool, share: float) -> None:
        """The process is killed, or the machine loses power; another process takes up what it finds.

        `together`: applications die with it. `share`: of what was not flushed, how much the machine had written.
        """
        self.restarts += 1
        old = self.house
        data = bytes(old.disk.data)
        if power:
            data = data[: old.disk.flushed + round(share * (len(data) - old.disk.flushed))]
            self.notes.noted.clear()
        found = recover(data, KEY)
        assert all(damage.is_torn for damage in found.damages)
        state = read_rows(found.rows, dict(self.notes.noted))
        assert state.left_out == 0
        for app in self.apps:
            is_there = app.session is not None and app.session.connection is app
            app.is_same_process = not power and not together and (is_there or app.is_same_process)
            if app.is_same_process:
                app.read_to_the_end()
        started = self.offset + self.now - 5.0
        self.now, self.offset = 5.0, started
        self.house = House(seeded(b"restart %d" % self.restarts), self.notes)
        self.house.sessions.restore(state.sessions, self.now)
        self.house.engine.restore(state.operations, self.offset, self.now)
        self._commit()
        self.house.notifier.pump()
        self.writing.clear()
        self.underway.clear()  # to queues of a connection that is no more
        for app in list(self.apps):
            self._find_again(app)

    @rule(
        kinds=st.lists(st.sampled_from(["plain", "reliable"]), min_size=1, max_size=3),
        commits=st.sampled_from([0, 1, 2]),
        read=st.booleans(),
        power=st.booleans(),
        together=st.booleans(),
    )
    def be_killed_while_they_talk(
        self, kinds: list[str], commits: int, read: bool, power: bool, together: bool
    ) -> None:
        """Messages there and back, which are on the disk or not, and read or not; and all come back."""
        self.connect(token=b"1" * 16)
        self.converse(place=len(self.apps), kinds=kinds)
        for _ in range(commits):
            self._commit()
        if read:
            self.read(place=len(self.apps), share=1.0)
        self.be_killed(power=power, together=together, share=0.5)
        self.connect(token=b"1" * 16)

    def _find_again(self, app: App) -> None:
        app.written.clear()
        app.reader = FrameReader()
        app.house, app.sent = self.house, 0
        own = {name for name, owner in self.owner.items() if owner is app}
        session = self.house.sessions.find(app.session.app_id) if app.session is not None else None
        if session is None or app.token is None:
            acknowledged = {body["message_id"] for event, body in app.heard if event == "message_sent_event"}
            assert app.token is None or app.session is None or not acknowledged & self.reliable & own - self.forgotten
            if app.session is not None:
                self._is_gone(app)
            return
        app.session = session
        read = session.handed_over.read if session.handed_over is not None else 0
        again = {one for frame in session.outbox.final() if frame.number > read for one in self._ids(frame.data)}
        answered_again = {name for _, name in again}
        kept = {one.message_id for one in self.house.engine.owned_by(session.app_id)}
        told = {body["message_id"] for event, body in app.heard if event == "message_sent_event"}
        lost = (own & self.reliable) - self.forgotten - set(self._answers(app)) - kept - answered_again
        assert not lost & told, "a message is lost of which its application was told that it is under way"
        self.forgotten |= lost
        if not app.is_same_process or not app.process:
            # Whoever dies at the same moment, or comes by a way that tells no process, may be told again what it
            # has just read; it is as if it had forgotten it.
            app.heard = [(event, body) for event, body in app.heard if (event, body.get("message_id")) not in again]

    @staticmethod
    def _ids(data: bytes) -> list[tuple[str, bytes]]:
        return [(event, body["message_id"]) for frame in FrameReader().feed(data) for event, body in frame.items()]

    # -- what holds at any time

    @invariant()
    def every_surb_has_one_end_or_is_out(self) -> None:
        surbs = self.house.engine.surbs
        assert surbs.created == sum(surbs.ends.values()) + len(surbs)

    @invariant()
    def nobody_hears_of_what_is_not_his_or_hears_it_twice(self) -> None:
        for app in self.apps:
            for name, times in self._answers(app).items():
                assert self.owner[name] is app, "another application's answer"
                assert times == 1, "an answer came twice"

    @invariant()
    def what_wants_a_slot_waits_for_one_and_what_leaves_is_being_written(self) -> None:
        lanes = self.house.queues._lanes.items()
        queued = {one.number: owner for owner, lane in lanes for one in [*lane.resends, *lane.requests]}
        writing = {number for number, _, _ in self.writing}
        for operation in self.house.engine:
            if operation.wants_slot:
                assert queued.get(operation.number) == operation.owner
            elif operation.state in (State.LEAVING, State.LEAVING_AGAIN):
                assert operation.number in writing

    @staticmethod
    def _answers(app: App) -> Counter[bytes]:
        """How often the application heard a final answer to each message."""
        answers: Counter[bytes] = Counter()
        for event, body in app.heard:
            if event == "message_reply_event" or (event == "message_sent_event" and body.get("err")):
                answers[body["message_id"]] += 1
        return answers

    def teardown(self) -> None:
        """All writes end, all applications that may come back do, and time runs out: nothing is left unsaid."""
        if not hasattr(self, "house"):
            return
        self.change_the_disk(quick=True)
        while self.writing:
            self.end_write(written=True)
        for token in {app.token for app in self.apps if app.token is not None}:
            self.connect(token=token)
        for _ in range(3):
            self.now += 400.0
            self._handle_timers()
        heard: dict[bytes, int] = defaultdict(int)
        collected: Counter[bytes] = Counter()
        for app in self.apps:
            if app.session is not None:
                app.notify()
            app.read(len(app.written))
            for name, times in self._answers(app).items():
                heard[name] += times
            collected.update(body["message_id"] for event, body in app.heard if event == "message_id_garbage_collected")
        waiting = {one.message_id for one in self.house.engine if one.state is State.WAITING}
        for name in self.reliable - self.forgotten - waiting:
            assert heard[name] == 1, "a reliable message has not exactly one answer"
            assert collected[name] <= 1
        assert max(heard.values(), default=0) <= 1
        for session in self.house.sessions:
            self.house.sessions.end(session)
        self.house.engine.handle_timers(self.now + 1000.0)
        assert len(self.house.engine) == len(self.house.engine.surbs) == len(self.house.queues) == 0
        self.every_surb_has_one_end_or_is_out()


TestNothingIsLost = NothingIsLost.TestCase
TestNothingIsLost.settings = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
