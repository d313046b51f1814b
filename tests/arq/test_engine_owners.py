"""The ARQ engine and the owners of its messages: who leaves, who turns out to be another, and what others may see."""

from arq import (
    Collected,
    Kind,
    ReplyReceived,
    State,
    SurbEnd,
)
from tests.arq.engine_bench import AGAIN, ALICE, BOB, SURB, Bench, message

# -- applications that leave, or turn out to be another


def test_an_application_that_is_gone_leaves_nothing_and_others_keep_theirs(bench: Bench) -> None:
    _, gone = bench.reliable_in_flight()
    bench.send(bench.accept(message(surb_id=SURB)), now=0.0)
    bench.events()
    bench.accept(message(reliable=True))
    kept = bench.send(bench.accept(message(BOB, reliable=True)), now=0.0)
    bench.events()
    bench.engine.cancel_owner(ALICE)
    assert bench.reply(gone) == []
    assert bench.ended(SurbEnd.CANCELLED) == 2
    assert len(bench.reply(kept)) == 1
    assert bench.at(1e6) == [Collected(BOB, None)]
    assert bench.is_empty()


def test_an_answered_message_of_an_application_that_is_gone_is_not_collected(bench: Bench) -> None:
    _, packet = bench.reliable_in_flight()
    bench.reply(packet)
    bench.engine.cancel_owner(ALICE)
    assert bench.at(1e6) == []
    assert (bench.ended(SurbEnd.CANCELLED), bench.balance()) == (0, 0)
    assert bench.is_empty()


def test_cancelling_while_a_packet_leaves_is_final(bench: Bench) -> None:
    operation = bench.accept(message(surb_id=SURB))
    packet = bench.depart(operation, now=0.0)
    bench.engine.cancel_owner(ALICE)
    bench.engine.left(operation, 0.0)
    assert bench.reply(packet) == []
    assert bench.is_empty()


def test_cancelling_an_unknown_owner_is_no_fault(bench: Bench) -> None:
    bench.engine.cancel_owner(BOB)
    assert bench.is_empty()


def test_what_is_reassigned_is_answered_and_cancelled_as_its_new_owners(bench: Bench) -> None:
    operation, packet = bench.reliable_in_flight()
    waiting = bench.accept(message(surb_id=SURB))
    held = bench.engine.bytes_held
    bench.engine.reassign(ALICE, BOB)
    assert (operation.owner, waiting.owner) == (BOB, BOB)
    assert (bench.engine.bytes_of(ALICE), bench.engine.bytes_of(BOB)) == (0, held)
    bench.engine.cancel_owner(ALICE)
    (received,) = bench.reply(packet)
    assert isinstance(received, ReplyReceived)
    assert received.owner == BOB
    bench.engine.cancel_owner(BOB)
    assert bench.is_empty()


# -- what others may see


def test_keys_and_payloads_are_in_no_representation(bench: Bench) -> None:
    operation, packet = bench.reliable_in_flight()
    waiting = bench.accept(message(surb_id=SURB))
    bench.send(waiting, now=0.0)
    records = [bench.engine.record(one.number, 0.0) for one in bench.engine]
    surb = bench.engine.surbs.find(packet.surb_id)
    shown = f"{operation!r} {waiting!r} {surb!r} {records!r} {bench.reply(packet)!r}"
    assert not any(secret in shown for secret in ("keys of packet", "answer", "hello", "+echo"))


def test_messages_in_flight_are_those_sent_and_unanswered(bench: Bench) -> None:
    bench.accept(message(reliable=True))
    _, packet = bench.reliable_in_flight()
    due, _ = bench.reliable_in_flight()
    assert bench.engine.in_flight == 2
    bench.at(AGAIN)
    assert (due.state, bench.engine.in_flight) == (State.DUE, 2)
    bench.reply(packet)
    assert bench.engine.in_flight == 1
    assert bench.engine.states == {
        (Kind.RELIABLE, State.WAITING): 1,
        (Kind.RELIABLE, State.DUE): 1,
        (Kind.RELIABLE, State.ANSWERED): 1,
    }
