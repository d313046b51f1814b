"""Bounds of sessions: whose goes when too many are away, keep too much, or leave too much unread."""

from collections import Counter

import pytest

from arq import AppId
from kpclientd.thin.outbox import Frame
from kpclientd.thin.sessions import LARGE_OUTBOX, SESSION_BYTES, Session, SessionBounds
from tests.thin.serving import Peer
from tests.thin.test_thin_sessions import Bench

KIBIBYTE = 1024


class Room(Bench):
    """Sessions with tokens of their numbers, and what each keeps elsewhere."""

    def __init__(self, bounds: SessionBounds) -> None:
        self.messages: Counter[AppId] = Counter()
        super().__init__(bounds, lambda app_id: self.messages[app_id])
        self.number = 0

    def present_one(self) -> tuple[Peer, Session]:
        self.number += 1
        peer, session, _ = self.connect(self.number.to_bytes(16, "big"))
        return peer, session

    def away_one(self, *, answers: int = 0, messages: int = 0) -> Session:
        """One that goes away with so many bytes of answers unread, and of messages."""
        peer, session = self.present_one()
        self.messages[session.app_id] = messages
        if answers:
            self.sessions.put(session, Frame(bytes(answers), final=True))
        self.lose(peer, now=float(self.number))
        return session

    def gone(self, *sessions: Session) -> list[bool]:
        return [session.app_id in self.destroyed for session in sessions]


# -- in number


def test_of_too_many_that_keep_nothing_only_the_one_lost_first_goes() -> None:
    bench = Room(SessionBounds(most_away=5))
    sessions = [bench.away_one() for _ in range(6)]
    assert bench.gone(*sessions) == [True] + [False] * 5
    assert (bench.sessions.away, bench.sessions.counts.ended_for_room) == (5, 1)


def test_those_that_keep_nothing_go_before_those_lost_earlier_that_keep_something() -> None:
    bench = Room(SessionBounds(most_away=4))
    with_answer, with_message = bench.away_one(answers=1), bench.away_one(messages=1)
    empty = [bench.away_one(), bench.away_one()]
    assert bench.gone(with_answer, with_message, *empty) == [False] * 4
    bench.away_one(answers=1)
    bench.away_one(answers=1)
    assert bench.gone(with_answer, with_message, *empty) == [False, False, True, True]
    bench.away_one(answers=1)
    assert bench.gone(with_answer, with_message) == [True, False]


def test_a_session_that_keeps_nothing_does_not_get_a_place_from_those_that_do() -> None:
    bench = Room(SessionBounds(most_away=2))
    kept = [bench.away_one(answers=1), bench.away_one(answers=1)]
    newcomer = bench.away_one()
    assert bench.gone(*kept, newcomer) == [False, False, True]


def test_an_answer_that_comes_later_counts_as_something_kept() -> None:
    bench = Room(SessionBounds(most_away=2))
    first, second = bench.away_one(), bench.away_one()
    bench.answer(first, 1)
    bench.away_one()
    assert bench.gone(first, second) == [False, True]


def test_those_that_are_there_are_none_of_the_number() -> None:
    bench = Room(SessionBounds(most_away=1))
    for _ in range(10):
        bench.present_one()
    session = bench.away_one()
    assert bench.destroyed == []
    assert (bench.sessions.away, len(bench.sessions)) == (1, 11)
    bench.away_one()
    assert bench.gone(session) == [True]


# -- in bytes


def test_what_is_kept_counts_answers_messages_and_the_session_itself() -> None:
    bench = Room(SessionBounds())
    bench.away_one(answers=300)
    bench.away_one(messages=5000)
    peer, there = bench.present_one()
    bench.sessions.put(there, Frame(bytes(777), final=True))
    assert bench.sessions.bytes_away == 2 * SESSION_BYTES + 5300
    assert bench.sessions.bytes_unread == 777
    bench.lose(peer)
    assert bench.sessions.bytes_away == 3 * SESSION_BYTES + 6077
    assert bench.sessions.bytes_unread == 0


def test_of_too_many_bytes_the_one_that_keeps_most_goes_whenever_it_was_lost() -> None:
    bench = Room(SessionBounds(most_bytes_away=100 * KIBIBYTE))
    small = [bench.away_one(answers=10 * KIBIBYTE) for _ in range(3)]
    greedy = bench.away_one(messages=56 * KIBIBYTE)
    assert bench.gone(greedy) == [False]
    late = bench.away_one(answers=10 * KIBIBYTE)
    assert bench.gone(*small, greedy, late) == [False, False, False, True, False]
    assert bench.sessions.bytes_away == 4 * 11 * KIBIBYTE


def test_an_answer_to_one_that_is_away_can_be_what_is_too_much() -> None:
    bench = Room(SessionBounds(most_bytes_away=100 * KIBIBYTE))
    first, second = bench.away_one(answers=40 * KIBIBYTE), bench.away_one(answers=45 * KIBIBYTE)
    bench.sessions.put(first, Frame(bytes(20 * KIBIBYTE), final=True))
    assert bench.gone(first, second) == [True, False]


def test_one_alone_that_keeps_too_much_is_not_kept() -> None:
    bench = Room(SessionBounds(most_bytes_away=100 * KIBIBYTE))
    session = bench.away_one(answers=200 * KIBIBYTE)
    assert bench.gone(session) == [True]
    assert (bench.sessions.away, bench.sessions.bytes_away) == (0, 0)


def test_as_many_go_as_have_to_the_greediest_first() -> None:
    bench = Room(SessionBounds(most_bytes_away=1000 * KIBIBYTE))
    sizes = [100, 50, 200, 10, 300, 20]
    sessions = [bench.away_one(answers=size * KIBIBYTE) for size in sizes]
    bench.away_one(messages=990 * KIBIBYTE)
    assert bench.gone(*sessions) == [False] * 6, "the newcomer keeps more than any other"
    bench.away_one(messages=290 * KIBIBYTE)
    bench.away_one(messages=280 * KIBIBYTE)
    assert bench.gone(*sessions) == [False, False, False, False, True, False]


def test_what_one_leaves_behind_never_costs_another_its_session() -> None:
    bench = Room(SessionBounds(most_away=10, most_bytes_away=100 * KIBIBYTE))
    modest = [bench.away_one(answers=KIBIBYTE) for _ in range(5)]
    for _ in range(100):
        bench.away_one(messages=60 * KIBIBYTE)
        bench.away_one()
    assert bench.gone(*modest) == [False] * 5


def test_that_a_session_is_ended_for_room_is_said(caplog: pytest.LogCaptureFixture) -> None:
    bench = Room(SessionBounds(most_away=1))
    bench.away_one()
    bench.away_one()
    assert "is forgotten before its time" in caplog.text


# -- unread


def test_who_leaves_most_unread_is_ended_when_all_leave_too_much() -> None:
    bench = Room(SessionBounds(most_bytes_unread=10 * LARGE_OUTBOX))
    peers = [bench.present_one() for _ in range(4)]
    for (_, session), size in zip(peers, (3, 4, 2, 0), strict=True):
        bench.sessions.put(session, Frame(bytes(size * LARGE_OUTBOX + (size > 0))))
    assert [peer.closed for peer, _ in peers] == [None] * 4
    quick = peers[3][1]
    bench.sessions.put(quick, Frame(bytes(LARGE_OUTBOX + 1)))
    assert [peer.closed is not None for peer, _ in peers] == [False, True, False, False]
    assert str(4 * LARGE_OUTBOX + 1) in (peers[1][0].closed or "")
    assert bench.sessions.counts.ended_unread == 1


def test_one_that_reads_is_not_ended_though_it_was_the_last_to_be_told_something() -> None:
    bench = Room(SessionBounds(most_bytes_unread=3 * LARGE_OUTBOX))
    (lazy, lazy_session), (quick, quick_session) = bench.present_one(), bench.present_one()
    bench.sessions.put(lazy_session, Frame(bytes(2 * LARGE_OUTBOX)))
    for _ in range(10):
        bench.sessions.put(quick_session, Frame(bytes(LARGE_OUTBOX), final=True))
        quick_session.outbox.take(1 << 30)
        quick_session.outbox.note_unread(0)
    assert (lazy.closed, quick.closed) == (None, None)
    bench.sessions.put(quick_session, Frame(bytes(LARGE_OUTBOX + 1)))
    assert lazy.closed is not None
    assert quick.closed is None


def test_those_that_are_away_are_none_of_what_is_unread() -> None:
    bench = Room(SessionBounds(most_bytes_unread=3 * LARGE_OUTBOX))
    bench.away_one(answers=2 * LARGE_OUTBOX)
    peer, session = bench.present_one()
    bench.sessions.put(session, Frame(bytes(2 * LARGE_OUTBOX)))
    assert peer.closed is None
