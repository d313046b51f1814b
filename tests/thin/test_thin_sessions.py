"""Sessions: each row of the protocol's table, then any order of connections, tokens, losses and answers."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from arq import AppId
from kpclientd.thin.errors import InvalidRequest
from kpclientd.thin.events import Event
from kpclientd.thin.sessions import MAX_KEPT, MAX_LOST, Session, Sessions
from sphinx.randomness import seeded

GRACE = 600.0
TOKEN, OTHER_TOKEN = b"t" * 16, b"u" * 16


@dataclass(eq=False)
class Connection:
    posted: list[Event] = field(default_factory=list)
    closed: str | None = None

    def post(self, event: Event) -> None:
        self.posted.append(event)

    def broadcast(self, event: Event) -> None:
        self.posted.append(event)

    def say_farewell(self, event: Event) -> None:
        self.posted.append(event)

    def close(self, reason: str) -> None:
        self.closed = reason


class Bench:
    def __init__(self) -> None:
        self.destroyed: list[AppId] = []
        self.sessions = Sessions(seeded(b"sessions"), GRACE, self.destroyed.append)

    def connect(self, token: bytes | None = None) -> tuple[Connection, Session, bool]:
        connection = Connection()
        session = self.sessions.open(connection)
        if token is None:
            return connection, session, False
        session, resumed = self.sessions.register(session, token)
        return connection, session, resumed

    def lose(self, connection: Connection, session: Session, now: float = 0.0) -> None:
        self.sessions.disconnected(session, connection, now)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def event(number: int) -> Event:
    return {"message_reply_event": {"number": number}}


# -- the table


def test_a_new_connection_has_a_fresh_app_id_of_sixteen_bytes(bench: Bench) -> None:
    sessions = [bench.connect()[1] for _ in range(3)]
    assert len({session.app_id for session in sessions}) == 3
    assert {len(session.app_id) for session in sessions} == {16}
    assert len(bench.sessions) == 3


def test_an_unknown_token_is_bound_to_the_connections_app_id(bench: Bench) -> None:
    session = bench.sessions.open(Connection())
    app_id = session.app_id
    assert bench.sessions.register(session, TOKEN) == (session, False)
    assert session.app_id == app_id


def test_the_same_token_again_on_its_own_connection_resumes_and_changes_nothing(bench: Bench) -> None:
    connection, session, _ = bench.connect(TOKEN)
    assert bench.sessions.register(session, TOKEN) == (session, True)
    assert (session.connection, connection.closed, bench.destroyed) == (connection, None, [])


@pytest.mark.parametrize("token", [None, b"", bytes(16), b"t" * 15, b"t" * 17])
def test_a_token_that_cannot_name_one_application_is_refused(bench: Bench, token: bytes | None) -> None:
    _, session, _ = bench.connect()
    with pytest.raises(InvalidRequest, match="16 random bytes"):
        bench.sessions.register(session, token)


def test_a_known_token_brings_the_old_app_id_back_and_drops_the_fresh_one(bench: Bench) -> None:
    connection, session, _ = bench.connect(TOKEN)
    bench.lose(connection, session)
    again = Connection()
    fresh = bench.sessions.open(again)
    resumed, was_resumed = bench.sessions.register(fresh, TOKEN)
    assert (resumed, was_resumed, resumed.connection) == (session, True, again)
    assert bench.destroyed == [fresh.app_id]
    assert (len(bench.sessions), bench.sessions.lost) == (1, 0)


def test_a_resumed_session_has_no_grace_timer(bench: Bench) -> None:
    connection, session, _ = bench.connect(TOKEN)
    bench.lose(connection, session)
    bench.connect(TOKEN)
    assert bench.sessions.next_timer() is None
    bench.sessions.handle_timers(1e9)
    assert session.app_id not in bench.destroyed


def test_a_lost_session_is_kept_for_the_grace_period_and_no_longer(bench: Bench) -> None:
    connection, session, _ = bench.connect(TOKEN)
    bench.lose(connection, session, now=100.0)
    assert (bench.destroyed, bench.sessions.lost, bench.sessions.next_timer()) == ([], 1, 100.0 + GRACE)
    bench.sessions.handle_timers(100.0 + GRACE - 0.001)
    assert bench.destroyed == []
    bench.sessions.handle_timers(100.0 + GRACE)
    assert bench.destroyed == [session.app_id]
    _, another, resumed = bench.connect(TOKEN)
    assert not resumed, "the token is forgotten too"
    assert another.app_id != session.app_id


def test_a_session_without_a_token_ends_with_its_connection(bench: Bench) -> None:
    connection, session, _ = bench.connect()
    bench.lose(connection, session)
    assert bench.destroyed == [session.app_id]
    assert len(bench.sessions) == 0


def test_an_application_that_says_it_is_done_is_forgotten_with_its_token(bench: Bench) -> None:
    connection, session, _ = bench.connect(TOKEN)
    bench.sessions.end(session)
    bench.lose(connection, session)
    assert bench.destroyed == [session.app_id]
    assert not bench.connect(TOKEN)[2]


def test_a_live_session_is_taken_over_and_the_old_connection_closed(bench: Bench) -> None:
    old, session, _ = bench.connect(TOKEN)
    new, resumed, was_resumed = bench.connect(TOKEN)
    assert (resumed, was_resumed, old.closed is not None, new.closed) == (session, True, True, None)
    bench.lose(old, session)
    assert session.connection is new, "the end of a replaced connection has no effect"
    assert bench.sessions.next_timer() is None


def test_a_second_token_on_one_connection_takes_the_place_of_the_first(bench: Bench) -> None:
    connection, session, _ = bench.connect(TOKEN)
    assert bench.sessions.register(session, OTHER_TOKEN) == (session, False)
    bench.lose(connection, session)
    assert bench.connect(OTHER_TOKEN)[1] is session
    assert not bench.connect(TOKEN)[2]


def test_another_sessions_token_ends_the_connections_own_session(bench: Bench) -> None:
    _, wanted, _ = bench.connect(TOKEN)
    _, own, _ = bench.connect(OTHER_TOKEN)
    assert bench.sessions.register(own, TOKEN) == (wanted, True)
    assert bench.destroyed == [own.app_id]
    assert not bench.connect(OTHER_TOKEN)[2]


def test_of_too_many_lost_sessions_only_the_one_lost_first_goes(bench: Bench) -> None:
    lost = [bench.connect(number.to_bytes(16, "big")) for number in range(1, MAX_LOST + 2)]
    for connection, session, _ in lost:
        bench.lose(connection, session, now=5.0)
    assert bench.destroyed == [lost[0][1].app_id]
    assert bench.sessions.lost == MAX_LOST


# -- answers


def test_events_go_to_the_application_concerned(bench: Bench) -> None:
    alice, session, _ = bench.connect()
    bob, _, _ = bench.connect()
    bench.sessions.deliver(session.app_id, event(1), final=True)
    bench.sessions.deliver(AppId(b"nobody".ljust(16)), event(2), final=True)
    assert (alice.posted, bob.posted) == ([event(1)], [])


def test_final_answers_wait_for_an_application_that_is_away_and_others_do_not(bench: Bench) -> None:
    connection, session, _ = bench.connect(TOKEN)
    bench.lose(connection, session)
    for number in range(3):
        bench.sessions.deliver(session.app_id, event(number), final=number != 1)
    _, resumed, _ = bench.connect(TOKEN)
    assert bench.sessions.take_kept(resumed) == [event(0), event(2)]
    assert bench.sessions.take_kept(resumed) == [], "each is handed out once"
    counts = bench.sessions.statistics
    assert (counts.answers_kept, counts.answers_dropped) == (2, 1)


def test_so_many_answers_wait_and_no_more(bench: Bench) -> None:
    connection, session, _ = bench.connect(TOKEN)
    bench.lose(connection, session)
    for number in range(MAX_KEPT + 3):
        bench.sessions.deliver(session.app_id, event(number), final=True)
    assert bench.sessions.take_kept(session) == [event(number) for number in range(MAX_KEPT)]
    assert bench.sessions.statistics.answers_dropped == 3


def test_only_applications_that_are_there_are_broadcast_to(bench: Bench) -> None:
    here, _, _ = bench.connect()
    gone, session, _ = bench.connect(TOKEN)
    bench.lose(gone, session)
    assert list(bench.sessions.connections()) == [here]


def test_tokens_and_answers_are_in_no_representation(bench: Bench) -> None:
    connection, session, _ = bench.connect(b"a secret token..")
    bench.lose(connection, session)
    bench.sessions.deliver(session.app_id, {"message_reply_event": {"payload": b"secret"}}, final=True)
    assert "secret" not in repr(session)


def test_clients_of_generation_one_are_remembered_as_such(bench: Bench) -> None:
    _, session, _ = bench.connect()
    assert not bench.sessions.is_flat(session.app_id)
    session.is_flat = True
    assert bench.sessions.is_flat(session.app_id)
    assert not bench.sessions.is_flat(AppId(b"nobody".ljust(16)))


# -- any order


@dataclass(eq=False)
class Client:
    """One connection as its application sees it."""

    connection: Connection
    session: Session
    ended: bool = False


class SessionsMachine(RuleBasedStateMachine):
    """A token names one application from its first use until it is done or away for too long."""

    tokens = st.sampled_from([TOKEN, OTHER_TOKEN])
    places = st.integers(0, 5)

    @initialize()
    def start(self) -> None:
        self.bench = Bench()
        self.sessions = self.bench.sessions
        self.clients: list[Client] = []
        self.now = 0.0
        self.serial = 0
        self.opened: list[AppId] = []
        self.expected: dict[AppId, list[int]] = {}
        self.received: dict[AppId, list[int]] = {}

    def _client(self, place: int) -> Client | None:
        live = [client for client in self.clients if not client.ended]
        return live[place % len(live)] if live else None

    def _collect(self, client: Client) -> None:
        for posted in client.connection.posted:
            self.received.setdefault(client.session.app_id, []).append(posted["message_reply_event"]["number"])
        client.connection.posted.clear()

    @rule()
    def connect(self) -> None:
        connection = Connection()
        session = self.sessions.open(connection)
        self.opened.append(session.app_id)
        self.clients.append(Client(connection, session))

    @rule(place=places, token=tokens)
    def present(self, place: int, token: bytes) -> None:
        client = self._client(place)
        if client is None or client.connection.closed:
            return
        self._collect(client)
        client.session, resumed = self.sessions.register(client.session, token)
        assert client.session.connection is client.connection
        assert resumed or not client.session.kept
        for kept in self.sessions.take_kept(client.session):
            client.connection.post(kept)

    @rule(place=places)
    def disconnect(self, place: int) -> None:
        client = self._client(place)
        if client is not None:
            self._collect(client)
            client.ended = True
            self.sessions.disconnected(client.session, client.connection, self.now)

    @rule(place=places)
    def close(self, place: int) -> None:
        client = self._client(place)
        if client is not None and not client.connection.closed:
            self._collect(client)
            client.ended = True
            self.sessions.end(client.session)
            self.sessions.disconnected(client.session, client.connection, self.now)

    @rule(place=st.integers(0, 20))
    def answer(self, place: int) -> None:
        if self.opened:
            app_id = self.opened[place % len(self.opened)]
            self.serial += 1
            if app_id not in self.bench.destroyed:
                self.expected.setdefault(app_id, []).append(self.serial)
            self.sessions.deliver(app_id, event(self.serial), final=True)

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
        connected = list(self.sessions.connections())
        assert len(connected) == len(set(map(id, connected)))
        assert len(connected) + self.sessions.lost == len(self.sessions)
        assert all(connection.closed is None for connection in connected if isinstance(connection, Connection))

    @invariant()
    def a_connection_that_was_not_replaced_is_served(self) -> None:
        for client in self.clients:
            is_served = client.session.connection is client.connection
            assert is_served == (not client.ended and client.connection.closed is None)

    def teardown(self) -> None:
        """Whoever is alive has had, or still has waiting, every answer for it once, and nobody else's."""
        for client in self.clients:
            if not client.ended:
                self._collect(client)
        for app_id, numbers in self.expected.items():
            received = self.received.get(app_id, [])
            assert len(received) == len(set(received))
            assert set(received) <= set(numbers)
            waiting = [kept["message_reply_event"]["number"] for kept in self._kept(app_id)]
            if app_id not in self.bench.destroyed:
                assert sorted(received + waiting) == numbers

    def _kept(self, app_id: AppId) -> list[Event]:
        session = self.sessions._by_app.get(app_id)
        return list(session.kept) if session is not None else []


TestSessionsMachine = SessionsMachine.TestCase
TestSessionsMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
