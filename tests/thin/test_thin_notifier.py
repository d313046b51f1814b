"""What applications hear of their messages, and what comes into the queues, from a real engine."""

from dataclasses import replace

import pytest

from arq import Message, Operation, State, SurbEnd
from kpclientd.thin.events import Event
from sphinx.types import NodeId, RecipientId, SurbId
from tests.thin.serving import BEGIN, Office, connected

ID, SURB = b"m" * 16, SurbId(b"s" * 16)
TOKEN = b"t" * 16


class Bench(Office):
    def __init__(self, token: bytes | None = None) -> None:
        super().__init__()
        self.peer, self.session = connected(self.sessions)
        if token is not None:
            self.sessions.register(self.session, token)
        self.owner = self.session.app_id

    def now(self) -> float:
        return 0.0

    def accept(self, *, with_surb: bool = True, reliable: bool = False, surb_id: SurbId | None = SURB) -> Operation:
        """Take a message over, and let it wait for a slot."""
        operation = self.engine.accept(
            Message(
                owner=self.owner,
                message_id=ID,
                destination=NodeId(bytes(32)),
                recipient=RecipientId(bytes(32)),
                payload=b"",
                with_surb=with_surb or reliable,
                surb_id=surb_id if with_surb and not reliable else None,
                reliable=reliable,
            )
        )
        self.notifier.pump()
        return operation

    def refuse(self, operation: Operation) -> None:
        assert self.queues.pick() is operation
        self.engine.refused(operation, "why", self.now())
        self.notifier.pump()

    def due(self, at: float) -> None:
        self.engine.handle_timers(at)
        self.notifier.pump()

    def heard(self) -> list[Event]:
        return self.peer.read()

    def leave(self) -> None:
        self.sessions.disconnected(self.session, self.peer, self.now())

    def kept(self) -> list[Event]:
        """What the application is told when it comes back."""
        again, fresh = connected(self.sessions)
        registration = self.sessions.register(fresh, TOKEN)
        again.session = registration.session
        for frame in registration.kept:
            self.sessions.put(registration.session, frame)
        return again.read()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_sent_message_is_told_with_time_and_estimate(bench: Bench) -> None:
    bench.accept()
    assert bench.heard() == [], "nothing is said before it left"
    bench.send_next()
    body = {"message_id": ID, "surbid": SURB, "sent_at": int(BEGIN), "reply_eta": 1_500_000_000}
    assert bench.heard() == [{"message_sent_event": body}]


def test_a_retransmission_is_not_told_and_waits_before_new_messages(bench: Bench) -> None:
    operation = bench.accept(reliable=True)
    bench.send_next()
    bench.accept()
    assert len(bench.heard()) == 1
    assert operation.retry_at is not None
    bench.due(operation.retry_at)
    assert bench.queues.lengths() == {bench.owner: (1, 1)}
    assert bench.send_next() is operation
    assert operation.transmissions == 2
    assert bench.heard() == []


def test_of_a_message_without_surb_nothing_is_told(bench: Bench) -> None:
    bench.accept(with_surb=False)
    assert bench.send_next().has_ended
    bench.refuse(bench.accept(with_surb=False))
    assert bench.heard() == []


def test_of_a_decoy_nothing_is_told_and_it_waits_nowhere(bench: Bench) -> None:
    decoy = bench.engine.new_decoy()
    assert bench.engine.departs(decoy, SURB, b"keys", 1.5, 0.0)
    bench.engine.left(decoy, 0.0)
    bench.reply_to(decoy, b"answer")
    assert bench.engine.decoys_returned == 1
    assert bench.heard() == []
    assert len(bench.queues) == 0


def test_a_message_that_will_not_be_sent_is_told_with_its_reason(bench: Bench) -> None:
    bench.refuse(bench.accept())
    body = {"message_id": ID, "surbid": SURB, "sent_at": int(BEGIN), "reply_eta": 0, "err": "why"}
    assert bench.heard() == [{"message_sent_event": body}]


def test_a_client_of_generation_one_is_told_no_error_which_it_could_not_read(bench: Bench) -> None:
    bench.session.is_legacy_v1 = True
    bench.refuse(bench.accept())
    assert bench.heard() == []
    bench.accept()
    bench.send_next()
    assert len(bench.heard()) == 1


def test_an_answer_is_told_with_its_ids_and_whole_payload(bench: Bench) -> None:
    bench.accept()
    operation = bench.send_next()
    bench.heard()
    bench.reply_to(operation, b"answer\0\0")
    body = {"message_id": ID, "surbid": SURB, "payload": b"answer\0\0", "error_code": 0}
    assert bench.heard() == [{"message_reply_event": body}]


def test_a_message_given_up_is_told_as_a_reply_with_code_five_and_then_collected(bench: Bench) -> None:
    bench.accept(reliable=True)
    operation = bench.send_next()
    bench.heard()
    surb_id = operation.surb_id
    assert operation.expires_at is not None
    bench.due(operation.expires_at)
    body = {"message_id": ID, "surbid": surb_id, "payload": b"", "error_code": 5}
    assert bench.heard() == [{"message_reply_event": body}, {"message_id_garbage_collected": {"message_id": ID}}]


def test_an_answered_message_is_collected_later_and_told_so_once(bench: Bench) -> None:
    bench.accept(reliable=True)
    operation = bench.send_next()
    bench.reply_to(operation, b"answer")
    assert operation.expires_at is not None
    assert len(bench.heard()) == 2
    bench.due(operation.expires_at - 0.001)
    assert bench.heard() == []
    bench.due(operation.expires_at)
    assert bench.heard() == [{"message_id_garbage_collected": {"message_id": ID}}]
    assert operation.has_ended


def test_a_plain_message_whose_surb_lapsed_ends_without_a_word(bench: Bench) -> None:
    bench.accept()
    operation = bench.send_next()
    bench.heard()
    bench.due(1000.0)
    assert operation.has_ended
    assert bench.heard() == []
    assert bench.engine.surbs.ends[SurbEnd.COLLECTED] == 1


def test_final_outcomes_wait_for_an_application_that_is_away() -> None:
    bench = Bench(token=TOKEN)
    sent, refused, given_up = bench.accept(), bench.accept(surb_id=SurbId(b"r" * 16)), bench.accept(reliable=True)
    bench.leave()
    assert bench.send_next() is sent
    bench.refuse(refused)
    assert bench.send_next() is given_up
    bench.reply_to(sent, b"answer")
    bench.due(1000.0)
    kept = bench.kept()
    assert [next(iter(event)) for event in kept] == [
        "message_sent_event",
        *["message_reply_event"] * 2,
        "message_id_garbage_collected",
    ]
    assert kept[0]["message_sent_event"]["err"] == "why"
    assert [event["message_reply_event"]["error_code"] for event in kept[1:3]] == [0, 5]


def test_outcomes_for_an_application_that_is_gone_are_dropped(bench: Bench) -> None:
    bench.accept()
    operation = bench.send_next()
    bench.sessions.end(bench.session)
    assert operation.has_ended
    assert operation.surb_id is not None
    bench.engine.receive(operation.surb_id, b"answer", 0.0)
    bench.notifier.pump()
    assert len(bench.session.outbox) == 1, "only what was said while it was there"
    assert bench.engine.drops.total() == 1


def test_applications_that_are_away_share_one_turn_for_what_is_sent_again() -> None:
    bench = Bench(token=TOKEN)
    bench.engine.policy = replace(bench.engine.policy, retry_spread=0.0)  # so that all are due in their order
    operations, owners = [], []
    for number in range(2):
        if number:
            bench.peer, bench.session = connected(bench.sessions)
            bench.sessions.register(bench.session, b"u" * 16)
            bench.owner = bench.session.app_id
        owners.append(bench.owner)
        operations += [bench.accept(reliable=True), bench.accept(reliable=True)]
        for _ in range(2):
            bench.send_next()
        bench.leave()
        bench.queues.remove(bench.owner)  # it has no place there, as after a restart
    bench.due(operations[0].retry_at or 0.0)
    assert {operation.state for operation in operations} == {State.DUE}
    _, present = connected(bench.sessions)
    bench.owner = present.app_id
    for _ in range(4):
        bench.accept(with_surb=False)
    turns = [operation.owner for operation in iter(bench.queues.pick, None)]
    assert turns == [owners[0], present.app_id, owners[1], present.app_id] * 2
