"""Sessions: each row of the protocol's table, what waits for whom, and what outlives the process."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from arq import AppId
from kpclientd.thin.errors import InvalidRequest
from kpclientd.thin.events import Event
from kpclientd.thin.outbox import MOST_KEPT, Frame
from kpclientd.thin.sessions import Registration, Session, SessionBounds, SessionCounts, SessionRecord, Sessions
from kpclientd.thin.written_marks import HandedOver, PeerProcess
from sphinx.randomness import seeded
from tests.thin.serving import GRACE, Peer, connected, decoded, framed

TOKEN, OTHER_TOKEN = b"t" * 16, b"u" * 16


class Bench:
    def __init__(
        self,
        bounds: SessionBounds | None = None,
        bytes_of: Callable[[AppId], int] | None = None,
        seed: bytes = b"sessions",
    ) -> None:
        self.destroyed: list[AppId] = []
        self.away: list[tuple[AppId, bool]] = []
        self.merged: list[tuple[AppId, AppId]] = []
        self.sessions = Sessions(
            seeded(seed),
            bounds or SessionBounds(grace=GRACE),
            destroy=self.destroyed.append,
            on_away=lambda app_id, away: self.away.append((app_id, away)),
            on_merge=lambda app_id, into: self.merged.append((app_id, into)),
            bytes_of=bytes_of or (lambda app_id: 0),
        )

    def connect(self, token: bytes | None = None) -> tuple[Peer, Session, Registration | None]:
        peer, session = connected(self.sessions)
        if token is None:
            return peer, session, None
        return peer, *self.present(peer, token)

    def present(self, peer: Peer, token: bytes) -> tuple[Session, Registration]:
        """The application behind `peer` presents its token, and is told what was kept for it."""
        assert peer.session is not None
        registration = self.sessions.register(peer.session, token)
        peer.session = registration.session
        for frame in registration.kept:
            self.sessions.put(registration.session, frame)
        return registration.session, registration

    def lose(self, peer: Peer, now: float = 0.0) -> None:
        assert peer.session is not None
        self.sessions.disconnected(peer.session, peer, now)

    def records(self) -> list[SessionRecord]:
        """What would outlive the process."""
        return [
            SessionRecord(one.app_id, one.token, one.is_legacy_v1, {f.number: f.data for f in one.outbox.final()})
            for one in self.sessions
            if one.token is not None
        ]

    def answer(self, session: Session, *numbers: int, final: bool = True) -> None:
        for number in numbers:
            self.sessions.deliver(session.app_id, event(number), final=final)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def event(number: int) -> Event:
    return {"message_reply_event": {"number": number}}


# -- the table


def test_a_new_connection_has_a_fresh_app_id_of_sixteen_bytes(bench: Bench) -> None:
    sessions = [bench.connect()[1] for _ in range(3)]
    assert len({session.app_id for session in sessions}) == 3
    assert bench.sessions.counts == SessionCounts(opened=3)
    assert {len(session.app_id) for session in sessions} == {16}
    assert len(bench.sessions) == 3


def test_an_unknown_token_is_bound_to_the_connections_app_id(bench: Bench) -> None:
    _, session = connected(bench.sessions)
    app_id = session.app_id
    assert bench.sessions.register(session, TOKEN) == Registration(session, resumed=False)
    assert (session.app_id, session.token) == (app_id, TOKEN)


def test_the_same_token_again_on_its_own_connection_resumes_and_changes_nothing(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.answer(session, 1)
    assert bench.sessions.register(session, TOKEN) == Registration(session, resumed=True)
    assert (session.connection, peer.closed, bench.destroyed, bench.merged) == (peer, None, [], [])
    assert peer.read() == [event(1)]


@pytest.mark.parametrize("token", [None, b"", bytes(16), b"t" * 15, b"t" * 17])
def test_a_token_that_cannot_name_one_application_is_refused(bench: Bench, token: bytes | None) -> None:
    _, session, _ = bench.connect()
    with pytest.raises(InvalidRequest, match="16 random bytes"):
        bench.sessions.register(session, token)


def test_a_known_token_brings_the_old_app_id_back_and_drops_the_fresh_one(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.lose(peer)
    again, fresh = connected(bench.sessions)
    resumed, registration = bench.present(again, TOKEN)
    assert (resumed, registration.resumed, resumed.connection) == (session, True, again)
    assert bench.destroyed == [fresh.app_id]
    assert (len(bench.sessions), bench.sessions.away) == (1, 0)
    assert bench.sessions.counts.resumed == 1
    assert bench.sessions.counts.taken_over == 0


def test_what_was_asked_before_the_token_belongs_to_the_session_that_is_resumed(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.lose(peer)
    bench.answer(session, 1)
    again, fresh = connected(bench.sessions)
    bench.answer(fresh, 2)
    bench.present(again, TOKEN)
    assert bench.merged == [(fresh.app_id, session.app_id)]
    assert sorted(str(heard) for heard in again.read()) == [str(event(1)), str(event(2))]


def test_what_belongs_to_the_fresh_session_is_moved_before_it_is_destroyed(bench: Bench) -> None:
    peer, _, _ = bench.connect(TOKEN)
    bench.lose(peer)
    order: list[str] = []
    bench.sessions._on_merge = lambda app_id, into: order.append("merged")
    bench.sessions._destroy = lambda app_id: order.append("destroyed")
    bench.connect(TOKEN)
    assert order == ["merged", "destroyed"]


def test_a_resumed_session_has_no_grace_timer(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.lose(peer)
    bench.connect(TOKEN)
    assert bench.sessions.next_timer() is None
    bench.sessions.handle_timers(1e9)
    assert session.app_id not in bench.destroyed


def test_a_lost_session_is_kept_for_the_grace_period_and_no_longer(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.lose(peer, now=100.0)
    assert (bench.destroyed, bench.sessions.away, bench.sessions.next_timer()) == ([], 1, 100.0 + GRACE)
    bench.sessions.handle_timers(100.0 + GRACE - 0.001)
    assert bench.destroyed == []
    bench.sessions.handle_timers(100.0 + GRACE)
    assert (bench.destroyed, bench.sessions.counts.expired) == ([session.app_id], 1)
    _, another, registration = bench.connect(TOKEN)
    assert registration is not None
    assert not registration.resumed, "the token is forgotten too"
    assert another.app_id != session.app_id


def test_a_session_without_a_token_ends_with_its_connection(bench: Bench) -> None:
    peer, session, _ = bench.connect()
    bench.lose(peer)
    assert bench.destroyed == [session.app_id]
    assert len(bench.sessions) == 0


def test_an_application_that_says_it_is_done_is_forgotten_with_its_token(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.sessions.end(session)
    bench.lose(peer)
    assert bench.destroyed == [session.app_id]
    _, _, registration = bench.connect(TOKEN)
    assert registration is not None
    assert not registration.resumed


def test_a_live_session_is_taken_over_and_the_old_connection_closed(bench: Bench) -> None:
    old, session, _ = bench.connect(TOKEN)
    new, resumed, registration = bench.connect(TOKEN)
    assert registration is not None
    assert (resumed, registration.resumed, old.closed is not None, new.closed) == (session, True, True, None)
    bench.lose(old)
    assert session.connection is new, "the end of a replaced connection has no effect"
    assert bench.sessions.next_timer() is None
    assert (bench.sessions.counts.resumed, bench.sessions.counts.taken_over) == (1, 1)


def test_who_takes_a_session_over_is_told_what_was_not_read_on_the_old_connection(bench: Bench) -> None:
    old, session, _ = bench.connect(TOKEN)
    bench.answer(session, 1)
    assert old.read() == [event(1)]
    bench.answer(session, 2, 3)
    size = len(framed(event(2)).data)
    session.outbox.take(size)
    old.unread = size  # the second is written and was not read, the third waits
    new, _, registration = bench.connect(TOKEN)
    assert old.looked == 1, "asked in the last moment"
    assert registration is not None
    assert decoded(*[frame.data for frame in registration.kept]) == [event(2), event(3)]
    assert new.read() == [event(2), event(3)]


def test_a_second_token_on_one_connection_takes_the_place_of_the_first(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    assert bench.sessions.register(session, OTHER_TOKEN) == Registration(session, resumed=False)
    bench.lose(peer)
    assert bench.connect(OTHER_TOKEN)[1] is session
    assert bench.connect(TOKEN)[1] is not session


def test_another_sessions_token_ends_the_connections_own_session(bench: Bench) -> None:
    _, wanted, _ = bench.connect(TOKEN)
    peer, own, _ = bench.connect(OTHER_TOKEN)
    resumed, registration = bench.present(peer, TOKEN)
    assert (resumed, registration.resumed) == (wanted, True)
    assert bench.destroyed == [own.app_id]
    _, _, registration_of_other = bench.connect(OTHER_TOKEN)
    assert registration_of_other is not None
    assert not registration_of_other.resumed


def test_who_goes_away_and_who_is_back_is_told(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    assert bench.away == []
    bench.lose(peer)
    assert bench.away == [(session.app_id, True)]
    bench.connect(TOKEN)
    assert bench.away == [(session.app_id, True), (session.app_id, False)]


# -- answers


def test_events_go_to_the_application_concerned(bench: Bench) -> None:
    alice, session, _ = bench.connect()
    bob, _, _ = bench.connect()
    bench.answer(session, 1)
    bench.sessions.deliver(AppId(b"nobody".ljust(16)), event(2), final=True)
    assert (alice.notified, bob.notified) == (1, 0)
    assert (alice.read(), bob.read()) == ([event(1)], [])


def test_final_answers_wait_for_an_application_that_is_away_and_others_do_not(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.lose(peer)
    for number in range(3):
        bench.answer(session, number, final=number != 1)
    again, _, _ = bench.connect(TOKEN)
    assert again.read() == [event(0), event(2)]
    assert again.read() == [], "each is handed out once"
    counts = bench.sessions.counts
    assert (counts.answers_kept, counts.answers_dropped) == (2, 1)


def test_what_was_not_read_when_a_connection_ended_waits_before_what_comes_later(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.answer(session, 1, 2)
    bench.answer(session, 3, final=False)
    session.outbox.take(len(framed(event(1)).data))
    bench.lose(peer)
    assert bench.sessions.counts.answers_kept == 2
    bench.answer(session, 4)
    again, _, _ = bench.connect(TOKEN)
    assert again.read() == [event(1), event(2), event(4)]


def test_what_was_written_and_not_read_before_a_session_was_resumed_is_not_lost(bench: Bench) -> None:
    first, _, _ = bench.connect(TOKEN)
    bench.lose(first)
    second, fresh = connected(bench.sessions)
    bench.answer(fresh, 1)
    second.unread = len(fresh.outbox.take(1 << 20))
    bench.present(second, TOKEN)
    second.note_unread()
    bench.lose(second)
    third, _, _ = bench.connect(TOKEN)
    assert third.read() == [event(1)]


def test_so_many_answers_wait_and_no_more(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.lose(peer)
    bench.answer(session, *range(MOST_KEPT + 3))
    again, _, _ = bench.connect(TOKEN)
    assert again.read() == [event(number) for number in range(MOST_KEPT)]
    assert bench.sessions.counts.answers_dropped == 3


def test_tokens_and_answers_are_in_no_representation(bench: Bench) -> None:
    peer, session, registration = bench.connect(b"a secret token..")
    bench.lose(peer)
    bench.sessions.deliver(session.app_id, {"message_reply_event": {"payload": b"secret"}}, final=True)
    (record,) = bench.records()
    _, fresh = connected(bench.sessions)
    resumed = bench.sessions.register(fresh, b"a secret token..")
    for shown in (session, registration, record, resumed, Frame(b"secret", final=True)):
        assert "secret" not in repr(shown)


# -- records


def test_sessions_with_a_token_go_on_from_their_records_and_others_do_not(bench: Bench) -> None:
    peer, away, _ = bench.connect(TOKEN)
    bench.lose(peer, now=50.0)
    bench.answer(away, 1, 2)
    _, there, _ = bench.connect(OTHER_TOKEN)
    there.is_legacy_v1 = True
    bench.answer(there, 3)
    bench.answer(there, 4, final=False)
    there.outbox.take(1 << 20)  # written; nobody knows whether it was read
    bench.connect()
    records = bench.records()
    assert [record.token for record in records] == [TOKEN, OTHER_TOKEN]

    later = Bench(seed=b"later")
    later.sessions.restore(records, now=7.0)
    assert (len(later.sessions), later.sessions.away) == (2, 2)
    assert later.away == [(away.app_id, True), (there.app_id, True)]
    assert later.sessions.next_timer() == 7.0 + GRACE
    restored = later.sessions.find(there.app_id)
    assert restored is not None
    assert (restored.is_legacy_v1, restored.connection) == (True, None)
    first, resumed, registration = later.connect(TOKEN)
    assert registration is not None
    assert (resumed.app_id, registration.resumed, first.read()) == (away.app_id, True, [event(1), event(2)])
    second, _, _ = later.connect(OTHER_TOKEN)
    assert second.read() == [event(3)]


def test_what_was_restored_and_was_not_read_is_kept_once_more(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.lose(peer)
    bench.answer(session, 1)
    later = Bench(seed=b"later")
    later.sessions.restore(bench.records(), 0.0)
    first, resumed, _ = later.connect(TOKEN)
    resumed.outbox.take(1 << 20)
    later.lose(first)
    second, _, _ = later.connect(TOKEN)
    assert second.read() == [event(1)]


def test_restored_sessions_have_their_whole_grace_for_none_could_come_back_meanwhile(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.lose(peer, now=50.0)
    later = Bench(seed=b"later")
    later.sessions.restore(bench.records(), now=1000.0)
    later.sessions.handle_timers(1000.0 + GRACE - 0.001)
    assert later.destroyed == []
    later.sessions.handle_timers(1000.0 + GRACE)
    assert later.destroyed == [session.app_id]


def test_an_application_that_is_the_same_process_is_not_told_what_the_last_daemon_wrote_to_it(bench: Bench) -> None:
    _, session, _ = bench.connect(TOKEN)
    bench.answer(session, 1, 2, 3)
    (record,) = bench.records()
    here, other = PeerProcess(100, 5), PeerProcess(100, 6)
    second = sorted(record.answers)[1]
    first = min(record.answers)
    for process, expected in (
        (here, [event(3)]),
        (other, [event(2), event(3)]),
        (None, [event(2), event(3)]),
    ):
        later = Bench(seed=b"later")
        later.sessions.restore([replace(record, handed_over=HandedOver(here, second, first))], now=0.0)
        peer, _ = connected(later.sessions)
        peer.process = process
        resumed, _ = later.present(peer, TOKEN)
        assert peer.read() == expected
        later.answer(resumed, 4)
        assert peer.read() == [event(4)]


def test_answers_before_the_token_is_named_do_not_spoil_the_order_of_numbers(bench: Bench) -> None:
    peer, session, _ = bench.connect(TOKEN)
    bench.lose(peer)
    bench.answer(session, 1, 2)
    hasty, fresh = connected(bench.sessions)
    bench.answer(fresh, 3)
    hasty_session, _ = bench.present(hasty, TOKEN)
    bench.answer(hasty_session, 4)
    numbers = [frame.number for frame in hasty_session.outbox.final()]
    assert numbers == sorted(set(numbers))
    assert hasty.read() == [event(3), event(1), event(2), event(4)]


def test_more_records_than_there_is_room_for_are_not_all_kept(bench: Bench) -> None:
    for number in range(1, 6):
        peer, _, _ = bench.connect(number.to_bytes(16, "big"))
        bench.lose(peer, now=float(number))
    later = Bench(SessionBounds(most_away=2), seed=b"later")
    later.sessions.restore(bench.records(), 0.0)
    assert later.sessions.away == 2
    assert [session.token for session in later.sessions] == [(4).to_bytes(16, "big"), (5).to_bytes(16, "big")]
