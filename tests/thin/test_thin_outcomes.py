"""What applications hear of their messages."""

import pytest

from arq import Answered, AppId, Collected, Due, Entry, Exhausted, Kind, Message
from kpclientd.thin.events import Event
from kpclientd.thin.outcomes import Outcomes
from kpclientd.thin.sessions import Sessions
from kpclientd.traffic.sender import NotSent, Sent
from sphinx.randomness import seeded
from sphinx.types import NodeId, RecipientId, SurbId
from tests.thin.test_thin_sessions import Connection

ID, SURB = b"m" * 16, SurbId(b"s" * 16)
NOW = 1_800_000_000.5


class Bench:
    def __init__(self, token: bytes | None = None) -> None:
        self.connection = Connection()
        self.sessions = Sessions(seeded(b"outcomes"), 600.0, lambda app_id: None)
        self.session = self.sessions.open(self.connection)
        if token is not None:
            self.sessions.register(self.session, token)
        self.outcomes = Outcomes(self.sessions)
        self.owner = self.session.app_id

    def entry(self, *, with_surb: bool = True, transmissions: int = 1, owner: AppId | None = None) -> Entry:
        message = Message(
            owner=owner or self.owner,
            message_id=ID,
            destination=NodeId(bytes(32)),
            recipient=RecipientId(bytes(32)),
            payload=b"",
            with_surb=with_surb,
            surb_id=SURB,
        )
        return Entry(Kind.PLAIN, message, transmissions=transmissions)

    @property
    def heard(self) -> list[Event]:
        return self.connection.posted


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_sent_message_is_told_with_time_and_estimate(bench: Bench) -> None:
    bench.outcomes.of_sending(Sent(bench.entry(), SURB, NOW, 1.5), NOW)
    body = {"message_id": ID, "surbid": SURB, "sent_at": 1_800_000_000, "reply_eta": 1_500_000_000}
    assert bench.heard == [{"message_sent_event": body}]


def test_a_retransmission_is_not_told(bench: Bench) -> None:
    bench.outcomes.of_sending(Sent(bench.entry(transmissions=2), SURB, NOW, 1.5), NOW)
    assert bench.heard == []


def test_of_a_message_without_surb_nothing_is_told(bench: Bench) -> None:
    entry = bench.entry(with_surb=False)
    bench.outcomes.of_sending(Sent(entry, None, NOW, 1.5), NOW)
    bench.outcomes.of_sending(NotSent(entry, "why"), NOW)
    bench.outcomes.of_sending(Sent(Entry(Kind.DECOY), SURB, NOW, 1.5), NOW)
    assert bench.heard == []


def test_a_message_that_will_not_be_sent_is_told_with_its_reason(bench: Bench) -> None:
    bench.outcomes.of_sending(NotSent(bench.entry(), "why"), NOW)
    body = {"message_id": ID, "surbid": SURB, "sent_at": 1_800_000_000, "reply_eta": 0, "err": "why"}
    assert bench.heard == [{"message_sent_event": body}]


def test_a_client_of_generation_one_is_told_no_error_which_it_could_not_read(bench: Bench) -> None:
    bench.session.is_flat = True
    bench.outcomes.of_sending(NotSent(bench.entry(), "why"), NOW)
    assert bench.heard == []
    bench.outcomes.of_sending(Sent(bench.entry(), SURB, NOW, 1.5), NOW)
    assert len(bench.heard) == 1


def test_an_answer_is_told_with_its_ids_and_whole_payload(bench: Bench) -> None:
    bench.outcomes.of_flight(Answered(bench.owner, ID, SURB, b"answer\0\0"))
    body = {"message_id": ID, "surbid": SURB, "payload": b"answer\0\0", "error_code": 0}
    assert bench.heard == [{"message_reply_event": body}]


def test_a_message_given_up_is_told_as_a_reply_with_code_five_and_then_collected(bench: Bench) -> None:
    bench.outcomes.of_flight(Exhausted(bench.owner, ID, SURB))
    bench.outcomes.of_flight(Collected(bench.owner, ID))
    body = {"message_id": ID, "surbid": SURB, "payload": b"", "error_code": 5}
    assert bench.heard == [{"message_reply_event": body}, {"message_id_garbage_collected": {"message_id": ID}}]


def test_that_a_message_is_due_concerns_no_application(bench: Bench) -> None:
    bench.outcomes.of_flight(Due(bench.entry()))
    assert bench.heard == []


def test_final_outcomes_wait_for_an_application_that_is_away() -> None:
    bench = Bench(token=b"t" * 16)
    bench.sessions.disconnected(bench.session, bench.connection, 0.0)
    bench.outcomes.of_sending(Sent(bench.entry(), SURB, NOW, 1.5), NOW)
    bench.outcomes.of_sending(NotSent(bench.entry(), "why"), NOW)
    bench.outcomes.of_flight(Answered(bench.owner, ID, SURB, b"answer"))
    bench.outcomes.of_flight(Exhausted(bench.owner, ID, SURB))
    bench.outcomes.of_flight(Collected(bench.owner, ID))
    names = [next(iter(kept)) for kept in bench.session.kept]
    assert names == ["message_sent_event", *["message_reply_event"] * 2, "message_id_garbage_collected"]
    assert bench.session.kept[0]["message_sent_event"]["err"] == "why"


def test_outcomes_for_an_application_that_is_gone_are_dropped(bench: Bench) -> None:
    bench.sessions.end(bench.session)
    bench.outcomes.of_flight(Answered(bench.owner, ID, SURB, b"answer"))
    bench.outcomes.of_sending(Sent(bench.entry(), SURB, NOW, 1.5), NOW)
    assert bench.heard == []
