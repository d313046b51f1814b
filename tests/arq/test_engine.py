"""The engine, one rule at a time."""

import pytest

from arq import Answered, AppId, Collected, Due, Exhausted, Kind, State, SurbIdInUse, TooManyInFlight
from tests.arq.engine_bench import ALICE, BOB, ETA, POLICY, Bench, is_ended, message

SURB = b"s" * 16
MESSAGE = b"m" * 16
AGAIN = ETA + POLICY.round_trip_slop
END = ETA + POLICY.collected_after


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- plain messages


def test_a_plain_message_goes_out_under_the_applications_surb_id(bench: Bench) -> None:
    entry = bench.engine.accept(message(surb_id=SURB))
    assert (entry.kind, entry.state) == (Kind.PLAIN, State.WAITING)
    assert bench.engine.surb_id_for(entry) == SURB


def test_a_plain_messages_reply_is_delivered_once_with_its_ids(bench: Bench) -> None:
    entry = bench.engine.accept(message(message_id=MESSAGE, surb_id=SURB))
    flight = bench.send(entry, now=0.0)
    assert bench.engine.on_message(flight.surb_id, flight.reply) == Answered(ALICE, MESSAGE, flight.surb_id, b"answer")
    assert is_ended(entry)
    assert bench.engine.on_message(flight.surb_id, flight.reply) is None
    assert bench.engine.statistics.unmatched == 1
    assert bench.is_empty()


def test_a_plain_message_is_forgotten_in_silence_when_its_time_is_over(bench: Bench) -> None:
    entry = bench.engine.accept(message(surb_id=SURB))
    flight = bench.send(entry, now=10.0)
    over = 10.0 + ETA + POLICY.reply_kept
    assert bench.engine.next_timer() == over
    assert bench.engine.handle_timers(over - 0.001) == []
    assert entry.state is State.IN_FLIGHT
    assert bench.engine.handle_timers(over) == []
    assert bench.engine.on_message(flight.surb_id, flight.reply) is None
    assert bench.engine.statistics.forgotten == 1
    assert bench.is_empty()


def test_a_message_that_waits_for_its_slot_has_no_timer(bench: Bench) -> None:
    bench.engine.accept(message(surb_id=SURB))
    bench.engine.accept(message(reliable=True))
    assert bench.engine.next_timer() is None


def test_a_reply_to_a_message_that_was_never_sent_matches_nothing(bench: Bench) -> None:
    entry = bench.engine.accept(message(surb_id=SURB))
    assert entry.surb_id is not None
    assert bench.engine.on_message(entry.surb_id, b"anything") is None
    assert (bench.engine.statistics.unmatched, entry.state) == (1, State.WAITING)


def test_a_message_without_surb_ends_when_it_has_left(bench: Bench) -> None:
    entry = bench.engine.accept(message())
    bench.engine.sent_without_surb(entry)
    assert is_ended(entry)
    assert bench.is_empty()


@pytest.mark.parametrize("owner", [ALICE, BOB])
def test_a_surb_id_in_use_is_refused_to_everybody_and_the_first_keeps_it(bench: Bench, owner: AppId) -> None:
    first = bench.engine.accept(message(surb_id=SURB))
    flight = bench.send(first, now=0.0)
    with pytest.raises(SurbIdInUse, match="choose a fresh one"):
        bench.engine.accept(message(owner, surb_id=SURB))
    answered = bench.engine.on_message(flight.surb_id, flight.reply)
    assert answered is not None
    assert answered.owner == ALICE


def test_a_surb_id_may_be_used_again_after_its_reply(bench: Bench) -> None:
    flight = bench.send(bench.engine.accept(message(surb_id=SURB)), now=0.0)
    bench.engine.on_message(flight.surb_id, flight.reply)
    again = bench.send(bench.engine.accept(message(BOB, surb_id=SURB)), now=1.0)
    assert bench.engine.on_message(flight.surb_id, flight.reply) is None, "the first keys are gone"
    answered = bench.engine.on_message(again.surb_id, again.reply)
    assert answered is not None
    assert answered.owner == BOB


def test_an_owner_has_only_so_many_messages_at_once_and_others_are_not_concerned(bench: Bench) -> None:
    entries = [bench.engine.accept(message()) for _ in range(POLICY.most_per_owner)]
    with pytest.raises(TooManyInFlight, match=str(POLICY.most_per_owner)):
        bench.engine.accept(message())
    bench.engine.accept(message(BOB))
    bench.engine.sent_without_surb(entries[0])
    bench.engine.accept(message())


# -- garbage


def test_a_reply_that_does_not_decrypt_changes_nothing_and_the_true_one_still_counts(bench: Bench) -> None:
    _, flight = bench.reliable_in_flight()
    due = bench.engine.next_timer()
    assert bench.engine.on_message(flight.surb_id, b"garbage") is None
    assert bench.engine.statistics.undecryptable == 1
    assert bench.engine.next_timer() == due
    assert bench.engine.on_message(flight.surb_id, flight.reply) is not None


# -- reliable messages


def test_an_unanswered_reliable_message_is_due_after_its_round_trip_and_the_slop(bench: Bench) -> None:
    entry, _ = bench.reliable_in_flight(now=100.0)
    assert bench.engine.next_timer() == 100.0 + AGAIN
    assert bench.engine.handle_timers(100.0 + AGAIN - 0.001) == []
    assert bench.engine.handle_timers(100.0 + AGAIN) == [Due(entry)]
    assert entry.state is State.DUE


def test_a_due_message_is_sent_again_only_when_told_so(bench: Bench) -> None:
    entry, _ = bench.reliable_in_flight()
    bench.engine.handle_timers(AGAIN)
    assert entry.transmissions == 1
    assert bench.engine.next_timer() == END, "only its collection is left"


def test_each_transmission_has_a_fresh_surb_id_and_the_older_ones_match_nothing(bench: Bench) -> None:
    entry, first = bench.reliable_in_flight()
    bench.engine.handle_timers(AGAIN)
    second = bench.send(entry, now=AGAIN)
    assert first.surb_id != second.surb_id
    assert bench.engine.on_message(first.surb_id, first.reply) is None
    answered = bench.engine.on_message(second.surb_id, second.reply)
    assert answered == Answered(ALICE, MESSAGE, second.surb_id, b"answer")
    counts = bench.engine.statistics
    assert (counts.rotated, counts.retransmissions, counts.delivered, counts.unmatched) == (1, 1, 1, 1)
    assert bench.balance() == bench.engine.awaited_surb_ids == 0


def test_a_reply_that_comes_while_its_message_is_due_is_still_good(bench: Bench) -> None:
    entry, flight = bench.reliable_in_flight()
    bench.engine.handle_timers(AGAIN)
    assert bench.engine.on_message(flight.surb_id, flight.reply) is not None
    assert is_ended(entry)


def test_an_answered_message_is_collected_at_the_time_set_by_its_first_packet(bench: Bench) -> None:
    entry, _ = bench.reliable_in_flight()
    bench.engine.handle_timers(AGAIN)
    flight = bench.send(entry, now=AGAIN)
    bench.engine.on_message(flight.surb_id, flight.reply)
    assert bench.engine.next_timer() == END
    assert bench.engine.handle_timers(END) == [Collected(ALICE, MESSAGE)]
    assert bench.is_empty()


def test_an_unanswered_message_is_given_up_and_collected_in_this_order(bench: Bench) -> None:
    entry, _ = bench.reliable_in_flight()
    flight, now = None, AGAIN
    while now < END:
        assert bench.engine.handle_timers(now) == [Due(entry)]
        flight = bench.send(entry, now)
        now += AGAIN
    assert flight is not None
    assert bench.engine.handle_timers(END) == [
        Exhausted(ALICE, MESSAGE, flight.surb_id),
        Collected(ALICE, MESSAGE),
    ]
    assert bench.engine.on_message(flight.surb_id, flight.reply) is None
    assert bench.balance() == 0
    assert bench.is_empty()


def test_after_a_long_suspension_a_message_that_is_given_up_does_not_come_back(bench: Bench) -> None:
    entry, _ = bench.reliable_in_flight()
    bench.engine.handle_timers(AGAIN)
    bench.send(entry, now=END - 1.0)  # its next retransmission is due after its collection
    events = bench.engine.handle_timers(END + 3600.0)
    assert [type(event) for event in events] == [Exhausted, Collected]
    assert is_ended(entry)
    assert bench.is_empty()


def test_what_has_ended_cannot_be_sent(bench: Bench) -> None:
    entry, flight = bench.reliable_in_flight()
    bench.engine.on_message(flight.surb_id, flight.reply)
    bench.send(entry, now=1.0)
    assert is_ended(entry)
    assert (entry.transmissions, bench.engine.statistics.created) == (1, 1)


def test_a_retransmission_that_cannot_be_composed_is_due_again_a_little_later(bench: Bench) -> None:
    entry, _ = bench.reliable_in_flight()
    bench.engine.handle_timers(AGAIN)
    bench.engine.postpone(entry, AGAIN)
    assert bench.engine.next_timer() == AGAIN + POLICY.postponed
    assert bench.engine.handle_timers(AGAIN + POLICY.postponed) == [Due(entry)]


def test_only_what_is_due_can_be_postponed(bench: Bench) -> None:
    entry, flight = bench.reliable_in_flight()
    bench.engine.postpone(entry, 0.0)
    assert bench.engine.next_timer() == AGAIN
    bench.engine.on_message(flight.surb_id, flight.reply)
    bench.engine.postpone(entry, 0.0)
    assert bench.engine.next_timer() == END


# -- a link that breaks under a packet


def test_a_first_packet_that_is_recalled_leaves_the_message_as_it_was(bench: Bench) -> None:
    entry, flight = bench.reliable_in_flight(now=50.0)
    bench.engine.recall(entry)
    assert (entry.state, entry.transmissions, entry.expires) == (State.WAITING, 0, None)
    assert bench.engine.next_timer() is None
    assert bench.engine.on_message(flight.surb_id, flight.reply) is None
    bench.send(entry, now=80.0)
    assert bench.engine.next_timer() == 80.0 + AGAIN
    assert entry.expires == 80.0 + END


def test_a_recalled_plain_message_keeps_its_surb_id_to_itself(bench: Bench) -> None:
    entry = bench.engine.accept(message(surb_id=SURB))
    bench.send(entry, now=0.0)
    bench.engine.recall(entry)
    with pytest.raises(SurbIdInUse):
        bench.engine.accept(message(BOB, surb_id=SURB))
    flight = bench.send(entry, now=1.0)
    assert flight.surb_id == SURB
    assert bench.engine.on_message(flight.surb_id, flight.reply) is not None
    assert bench.is_empty()


def test_a_recalled_retransmission_is_due_again_and_its_end_does_not_move(bench: Bench) -> None:
    entry, _ = bench.reliable_in_flight()
    bench.engine.handle_timers(AGAIN)
    bench.send(entry, now=AGAIN)
    bench.engine.recall(entry)
    assert (entry.state, entry.transmissions, entry.expires) == (State.DUE, 1, END)
    assert bench.engine.statistics.retransmissions == 0
    assert bench.engine.next_timer() == END


def test_a_packet_may_be_recalled_after_its_timer_fired(bench: Bench) -> None:
    entry, _ = bench.reliable_in_flight()
    bench.engine.handle_timers(AGAIN)
    bench.engine.recall(entry)
    assert (entry.state, entry.transmissions) == (State.WAITING, 0)


def test_recalling_what_was_not_sent_or_has_ended_changes_nothing(bench: Bench) -> None:
    waiting = bench.engine.accept(message(reliable=True))
    bench.engine.recall(waiting)
    assert (waiting.state, waiting.transmissions) == (State.WAITING, 0)
    ended, flight = bench.reliable_in_flight()
    bench.engine.on_message(flight.surb_id, flight.reply)
    bench.engine.recall(ended)
    assert is_ended(ended)
    assert bench.balance() == 0


def test_a_recalled_decoy_is_over(bench: Bench) -> None:
    decoy = bench.engine.new_decoy()
    bench.send(decoy, now=0.0)
    bench.engine.recall(decoy)
    assert bench.balance() == 0
    assert bench.is_empty()


# -- decoys


def test_a_decoys_reply_is_counted_and_told_to_nobody(bench: Bench) -> None:
    flight = bench.send(bench.engine.new_decoy(), now=0.0)
    assert bench.engine.in_flight == 0, "it is nobody's message"
    assert bench.engine.awaited_surb_ids == 1
    assert bench.engine.on_message(flight.surb_id, flight.reply) is None
    counts = bench.engine.statistics
    assert (counts.decoys_returned, counts.delivered, counts.unmatched) == (1, 0, 0)
    assert bench.is_empty()


def test_a_lost_decoy_is_forgotten(bench: Bench) -> None:
    bench.send(bench.engine.new_decoy(), now=0.0)
    assert bench.engine.handle_timers(ETA + POLICY.decoy_kept) == []
    assert bench.engine.statistics.forgotten == 1
    assert bench.is_empty()


# -- applications that leave


def test_an_application_that_is_gone_leaves_nothing_and_others_keep_theirs(bench: Bench) -> None:
    _, gone = bench.reliable_in_flight()
    bench.send(bench.engine.accept(message(surb_id=SURB)), now=0.0)
    bench.engine.accept(message(reliable=True))
    kept = bench.send(bench.engine.accept(message(BOB, reliable=True)), now=0.0)
    bench.engine.cancel_owner(ALICE)
    assert bench.engine.on_message(gone.surb_id, gone.reply) is None
    assert bench.engine.statistics.cancelled == 2
    assert bench.engine.on_message(kept.surb_id, kept.reply) is not None
    assert bench.engine.handle_timers(1e6) == [Collected(BOB, None)]
    assert bench.is_empty()


def test_an_answered_message_of_an_application_that_is_gone_is_not_collected(bench: Bench) -> None:
    _, flight = bench.reliable_in_flight()
    bench.engine.on_message(flight.surb_id, flight.reply)
    bench.engine.cancel_owner(ALICE)
    assert bench.engine.handle_timers(1e6) == []
    assert (bench.engine.statistics.cancelled, bench.balance()) == (0, 0)
    assert bench.is_empty()


def test_cancelling_an_unknown_owner_is_no_fault(bench: Bench) -> None:
    bench.engine.cancel_owner(BOB)
    assert bench.is_empty()


def test_an_abandoned_message_ends_and_frees_its_surb_id(bench: Bench) -> None:
    entry = bench.engine.accept(message(surb_id=SURB))
    bench.engine.abandon(entry)
    assert is_ended(entry)
    assert bench.is_empty()
    bench.engine.accept(message(surb_id=SURB))


def test_an_abandoned_message_that_was_sent_is_counted_as_cancelled_and_collected(bench: Bench) -> None:
    entry, _ = bench.reliable_in_flight()
    bench.engine.abandon(entry)
    assert (bench.engine.statistics.cancelled, bench.balance()) == (1, 0)
    assert bench.engine.handle_timers(END) == [Collected(ALICE, MESSAGE)]
    assert bench.is_empty()


# -- what others may see


def test_keys_and_payloads_are_in_no_representation(bench: Bench) -> None:
    entry, flight = bench.reliable_in_flight()
    answered = bench.engine.on_message(flight.surb_id, flight.reply)
    waiting = bench.engine.accept(message(surb_id=SURB))
    bench.send(waiting, now=0.0)
    shown = f"{entry!r} {answered!r} {waiting!r}"
    assert not any(secret in shown for secret in ("keys of packet", "answer", "hello", "+echo"))


def test_messages_in_flight_are_those_sent_and_unanswered(bench: Bench) -> None:
    bench.engine.accept(message(reliable=True))
    _, flight = bench.reliable_in_flight()
    due, _ = bench.reliable_in_flight()
    assert bench.engine.in_flight == 2
    bench.engine.handle_timers(AGAIN)
    assert (due.state, bench.engine.in_flight) == (State.DUE, 2)
    bench.engine.on_message(flight.surb_id, flight.reply)
    assert bench.engine.in_flight == 1
