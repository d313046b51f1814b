"""Sessions: any order of connections, tokens, reads, losses and answers. Nobody's answer is lost or told twice."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from arq import AppId
from kpclientd.thin.outbox import Frame
from kpclientd.thin.sessions import Session, SessionBounds
from tests.thin.serving import GRACE, Peer, connected, decoded
from tests.thin.test_thin_sessions import OTHER_TOKEN, TOKEN, Bench, event

THIRD_TOKEN = b"v" * 16


@dataclass(eq=False)
class Client:
    """One connection as its application sees it; `arrived` lies in its socket."""

    peer: Peer
    arrived: list[Frame] = field(default_factory=list)
    has_left: bool = False

    @property
    def session(self) -> Session:
        assert self.peer.session is not None
        return self.peer.session

    @property
    def is_served(self) -> bool:
        return not self.has_left and self.peer.closed is None

    def write(self, most: int) -> None:
        """The connection writes what it may, and looks how much lies unread."""
        waiting = list(self.session.outbox)
        size = len(self.session.outbox.take(most))
        while size:
            self.arrived.append(waiting.pop(0))
            size -= len(self.arrived[-1].data)
        self.look()

    def look(self) -> None:
        self.peer.unread = sum(len(frame.data) for frame in self.arrived)
        self.peer.note_unread()


class SessionsMachine(RuleBasedStateMachine):
    """A token names one application from its first use until it is done or away for too long."""

    tokens = st.sampled_from([TOKEN, OTHER_TOKEN, THIRD_TOKEN])
    places = st.integers(0, 5)

    @initialize()
    def start(self) -> None:
        self.bench = Bench(SessionBounds(grace=GRACE, most_away=2))
        self.sessions = self.bench.sessions
        self.clients: list[Client] = []
        self.now = 0.0
        self.serial = 0
        self.opened: list[AppId] = []
        self.expected: dict[AppId, list[int]] = {}
        self.received: dict[AppId, list[int]] = {}

    def _client(self, place: int) -> Client | None:
        live = [client for client in self.clients if client.is_served]
        return live[place % len(live)] if live else None

    def _read(self, client: Client, frames: Sequence[Frame]) -> None:
        numbers = [message["message_reply_event"]["number"] for message in decoded(*[frame.data for frame in frames])]
        self.received.setdefault(client.session.app_id, []).extend(numbers)

    def _read_all(self, client: Client) -> None:
        client.write(1 << 20)
        self._read(client, client.arrived)
        client.arrived.clear()
        client.look()

    @rule()
    def connect(self) -> None:
        peer, session = connected(self.sessions)
        self.opened.append(session.app_id)
        self.clients.append(Client(peer))

    @rule(place=places, token=tokens)
    def present(self, place: int, token: bytes) -> None:
        client = self._client(place)
        if client is None:
            return
        self._read_all(client)
        before = client.session.app_id
        session, registration = self.bench.present(client.peer, token)
        assert session.connection is client.peer
        assert registration.resumed or not registration.kept
        if session.app_id != before:
            self.expected.setdefault(session.app_id, []).extend(self.expected.pop(before, []))
            self.received.setdefault(session.app_id, []).extend(self.received.pop(before, []))

    @rule(place=places, most=st.sampled_from([1, 100, 1 << 20]))
    def write(self, place: int, most: int) -> None:
        client = self._client(place)
        if client is not None:
            client.write(most)

    @rule(place=places, count=st.integers(1, 4))
    def read(self, place: int, count: int) -> None:
        client = self._client(place)
        if client is not None:
            self._read(client, client.arrived[:count])
            del client.arrived[:count]
            client.look()

    @rule(place=places)
    def die(self, place: int) -> None:
        """What lies in its socket is lost with it."""
        client = self._client(place)
        if client is not None:
            client.has_left = True
            self.bench.lose(client.peer, self.now)

    @rule(place=places)
    def close(self, place: int) -> None:
        client = self._client(place)
        if client is not None:
            client.has_left = True
            self.sessions.end(client.session)
            self.bench.lose(client.peer, self.now)

    @rule(place=st.integers(0, 20), final=st.booleans())
    def answer(self, place: int, final: bool) -> None:
        if self.opened:
            app_id = self.opened[place % len(self.opened)]
            self.serial += 1
            if app_id not in self.bench.destroyed and final:
                self.expected.setdefault(app_id, []).append(self.serial)
            self.sessions.deliver(app_id, event(self.serial), final=final)

    @rule(seconds=st.sampled_from([1.0, GRACE / 2, GRACE, 3 * GRACE]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.sessions.handle_timers(self.now)

    @invariant()
    def every_application_is_alive_or_was_destroyed_once(self) -> None:
        destroyed = self.bench.destroyed
        assert len(destroyed) == len(set(destroyed))
        assert len(self.sessions) + len(destroyed) == len(self.opened)

    @invariant()
    def each_session_has_one_connection_or_a_grace_timer(self) -> None:
        connections = [session.connection for session in self.sessions if session.connection is not None]
        assert len(connections) == len(set(map(id, connections)))
        assert len(connections) + self.sessions.away == len(self.sessions)
        assert all(connection.closed is None for connection in connections if isinstance(connection, Peer))
        assert self.sessions.away <= 2

    @invariant()
    def a_connection_that_was_not_replaced_is_served(self) -> None:
        for client in self.clients:
            assert (client.session.connection is client.peer) == client.is_served

    @invariant()
    def who_is_away_is_known_elsewhere(self) -> None:
        told = dict(self.bench.away)
        for session in self.sessions:
            assert told.get(session.app_id, False) == (session.connection is None)

    def teardown(self) -> None:
        """Whoever is alive has had, or still has waiting, every answer for it once, and nobody else's."""
        waiting = {session.app_id: self._numbers_kept(session) for session in self.sessions if not session.connection}
        for client in self.clients:
            if client.is_served:
                self._read_all(client)
        for app_id, numbers in self.expected.items():
            final = [number for number in self.received.get(app_id, []) if number in set(numbers)]
            assert len(final) == len(set(final))
            if app_id not in self.bench.destroyed:
                assert sorted(final + waiting.get(app_id, [])) == sorted(numbers)

    def _numbers_kept(self, session: Session) -> list[int]:
        messages = decoded(*[frame.data for frame in session.outbox.final()])
        return [message["message_reply_event"]["number"] for message in messages]


TestSessionsMachine = SessionsMachine.TestCase
TestSessionsMachine.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
