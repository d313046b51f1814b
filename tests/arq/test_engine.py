"""The engine, one rule at a time."""

import pytest

from arq import (
    AppId,
    Collected,
    Engine,
    GaveUp,
    Kind,
    MessageRefused,
    MessageSent,
    Policy,
    ReplyDrop,
    ReplyReceived,
    RouteNames,
    SlotWanted,
    State,
    SurbEnd,
    SurbIdInUse,
    TooManyInFlight,
    TooMuchHeld,
)
from arq.operations import OVERHEAD
from sphinx.randomness import Randomness
from tests.arq.engine_bench import AGAIN, ALICE, BOB, END, ETA, MESSAGE, POLICY, SURB, Bench, message, open_reply

# -- plain messages


def test_a_plain_message_goes_out_under_the_applications_surb_id(bench: Bench) -> None:
    operation = bench.accept(message(surb_id=SURB))
    assert (operation.kind, operation.state, operation.wants_slot) == (Kind.PLAIN, State.WAITING, True)
    assert bench.engine.surb_id_for(operation) == SURB


def test_a_plain_message_is_told_as_sent_when_it_has_left_and_not_before(bench: Bench) -> None:
    operation = bench.accept(message(message_id=MESSAGE, surb_id=SURB))
    bench.depart(operation, now=0.0)
    assert bench.events() == []
    bench.engine.left(operation, now=0.5)
    assert bench.events() == [MessageSent(ALICE, MESSAGE, operation.surb_id, ETA)]


def test_a_message_is_told_as_sent_by_the_way_of_the_packet_that_left(bench: Bench) -> None:
    operation = bench.accept(message(message_id=MESSAGE, surb_id=SURB))
    for name in ("recalled", "left"):
        bench.engine.departs(operation, bench.engine.surb_id_for(operation), b"keys", ETA, 0.0, RouteNames((name,)))
        getattr(bench.engine, name)(operation, 0.5)
    assert bench.events() == [MessageSent(ALICE, MESSAGE, operation.surb_id, ETA, RouteNames(("left",)))]


def test_a_plain_messages_reply_is_delivered_once_with_its_ids(bench: Bench) -> None:
    operation = bench.accept(message(message_id=MESSAGE, surb_id=SURB))
    packet = bench.send(operation, now=0.0)
    bench.events()
    assert bench.reply(packet) == [ReplyReceived(ALICE, MESSAGE, packet.surb_id, b"answer")]
    assert operation.has_ended
    assert bench.reply(packet) == []
    assert bench.engine.drops[ReplyDrop.UNMATCHED] == 1
    assert bench.is_empty()


def test_a_plain_message_is_forgotten_in_silence_when_its_time_is_over(bench: Bench) -> None:
    operation = bench.accept(message(surb_id=SURB))
    packet = bench.send(operation, now=10.0)
    bench.events()
    over = 10.0 + ETA + POLICY.reply_kept
    assert bench.engine.next_timer() == over
    assert bench.at(over - 0.001) == []
    assert operation.state is State.IN_FLIGHT
    assert bench.at(over) == []
    assert bench.reply(packet) == []
    assert bench.ended(SurbEnd.COLLECTED) == 1
    assert bench.is_empty()


def test_a_message_that_waits_for_its_slot_has_no_timer(bench: Bench) -> None:
    bench.accept(message(surb_id=SURB))
    bench.accept(message(reliable=True))
    assert bench.engine.next_timer() is None


def test_a_reply_to_a_message_that_was_never_sent_matches_nothing(bench: Bench) -> None:
    operation = bench.accept(message(surb_id=SURB))
    assert operation.surb_id is not None
    bench.engine.receive(operation.surb_id, b"anything", 0.0)
    assert bench.events() == []
    assert (bench.engine.drops[ReplyDrop.UNMATCHED], operation.state) == (1, State.WAITING)


def test_a_message_without_surb_ends_when_it_has_left_and_nothing_is_told(bench: Bench) -> None:
    operation = bench.accept(message())
    bench.send(operation, now=0.0)
    assert operation.has_ended
    assert bench.events() == []
    assert bench.engine.surbs.created == 0
    assert bench.is_empty()


@pytest.mark.parametrize("owner", [ALICE, BOB])
def test_a_surb_id_in_use_is_refused_to_everybody_and_the_first_keeps_it(bench: Bench, owner: AppId) -> None:
    packet = bench.send(bench.accept(message(surb_id=SURB)), now=0.0)
    bench.events()
    with pytest.raises(SurbIdInUse, match="choose a fresh one"):
        bench.engine.accept(message(owner, surb_id=SURB))
    (received,) = bench.reply(packet)
    assert isinstance(received, ReplyReceived)
    assert received.owner == ALICE


def test_a_surb_id_may_be_used_again_after_its_reply(bench: Bench) -> None:
    packet = bench.send(bench.accept(message(surb_id=SURB)), now=0.0)
    bench.reply(packet)
    again = bench.send(bench.accept(message(BOB, surb_id=SURB)), now=1.0)
    bench.events()
    assert bench.reply(packet) == [], "the first keys are gone"
    (received,) = bench.reply(again)
    assert isinstance(received, ReplyReceived)
    assert received.owner == BOB


def test_no_fresh_surb_id_is_one_that_an_application_has_reserved() -> None:
    drawn = iter([SURB, SURB, b"u" * 16])
    engine = Engine(open_reply, Randomness(lambda length: next(drawn)), POLICY)
    engine.accept(message(surb_id=SURB))
    assert engine.surb_id_for(engine.new_decoy()) == b"u" * 16


# -- bounds


def test_an_owner_has_only_so_many_messages_at_once_and_others_are_not_concerned(bench: Bench) -> None:
    operations = [bench.accept(message()) for _ in range(POLICY.most_per_owner)]
    with pytest.raises(TooManyInFlight, match=str(POLICY.most_per_owner)):
        bench.engine.accept(message())
    bench.accept(message(BOB))
    bench.send(operations[0], now=0.0)
    bench.accept(message())


def test_an_owner_has_only_so_many_bytes(bench: Bench) -> None:
    bench.engine.policy = Policy(most_bytes_per_owner=2 * (OVERHEAD + 100))
    for _ in range(2):
        bench.accept(message(payload=bytes(100)))
    with pytest.raises(TooManyInFlight):
        bench.engine.accept(message(payload=b""))
    bench.accept(message(BOB))


def test_all_owners_together_have_only_so_many_bytes_and_room_comes_back(bench: Bench) -> None:
    bench.engine.policy = Policy(most_bytes=2 * (OVERHEAD + 100))
    bench.accept(message(payload=bytes(100)))
    first = bench.accept(message(BOB, payload=bytes(100)))
    assert bench.engine.bytes_held == 2 * (OVERHEAD + 100)
    with pytest.raises(TooMuchHeld, match="all applications"):
        bench.engine.accept(message(BOB))
    bench.send(first, now=0.0)
    bench.accept(message(BOB, payload=bytes(100)))


def test_what_is_refused_leaves_nothing_behind(bench: Bench) -> None:
    bench.engine.policy = Policy(most_bytes=0)
    with pytest.raises(TooMuchHeld):
        bench.engine.accept(message(surb_id=SURB))
    assert bench.is_empty()


# -- garbage


def test_a_reply_that_does_not_decrypt_changes_nothing_and_the_true_one_still_counts(bench: Bench) -> None:
    _, packet = bench.reliable_in_flight()
    due = bench.engine.next_timer()
    bench.engine.receive(packet.surb_id, b"garbage", 0.0)
    assert bench.events() == []
    assert bench.engine.drops[ReplyDrop.UNDECRYPTABLE] == 1
    assert bench.engine.next_timer() == due
    assert len(bench.reply(packet)) == 1


# -- reliable messages


def test_an_unanswered_reliable_message_is_due_after_its_round_trip_and_the_slop(bench: Bench) -> None:
    operation, _ = bench.reliable_in_flight(now=100.0)
    assert bench.engine.next_timer() == 100.0 + AGAIN
    assert bench.at(100.0 + AGAIN - 0.001) == []
    assert bench.at(100.0 + AGAIN) == [SlotWanted(operation, again=True)]
    assert (operation.state, operation.wants_slot) == (State.DUE, True)


def test_a_due_message_is_sent_again_only_when_told_so(bench: Bench) -> None:
    operation, _ = bench.reliable_in_flight()
    bench.at(AGAIN)
    assert operation.transmissions == 1
    assert bench.engine.next_timer() == END, "only its end is left"


def test_each_transmission_has_a_fresh_surb_id_and_the_older_ones_match_nothing(bench: Bench) -> None:
    operation, first = bench.reliable_in_flight()
    bench.at(AGAIN)
    second = bench.send(operation, now=AGAIN)
    assert bench.events() == [], "of a retransmission nothing is told"
    assert first.surb_id != second.surb_id
    assert bench.reply(first) == []
    assert bench.reply(second) == [ReplyReceived(ALICE, MESSAGE, second.surb_id, b"answer")]
    assert (bench.ended(SurbEnd.ROTATED), bench.ended(SurbEnd.DELIVERED)) == (1, 1)
    assert (bench.engine.retransmissions, bench.engine.drops[ReplyDrop.UNMATCHED]) == (1, 1)
    assert bench.balance() == len(bench.engine.surbs) == 0


def test_a_reply_that_comes_while_its_message_is_due_is_still_good(bench: Bench) -> None:
    operation, packet = bench.reliable_in_flight()
    bench.at(AGAIN)
    assert len(bench.reply(packet)) == 1
    assert (operation.state, operation.wants_slot) == (State.ANSWERED, False)


def test_an_answered_message_is_collected_at_the_time_set_by_its_first_packet(bench: Bench) -> None:
    operation, _ = bench.reliable_in_flight()
    bench.at(AGAIN)
    bench.reply(bench.send(operation, now=AGAIN))
    assert bench.engine.next_timer() == END
    assert bench.at(END) == [Collected(ALICE, MESSAGE)]
    assert bench.is_empty()


def test_an_unanswered_message_is_given_up_and_collected_in_this_order(bench: Bench) -> None:
    operation, _ = bench.reliable_in_flight()
    packet, now = None, AGAIN
    while now < END:
        assert bench.at(now) == [SlotWanted(operation, again=True)]
        packet = bench.send(operation, now)
        now += AGAIN
    assert packet is not None
    assert bench.at(END) == [GaveUp(ALICE, MESSAGE, packet.surb_id), Collected(ALICE, MESSAGE)]
    assert bench.reply(packet) == []
    assert bench.balance() == 0
    assert bench.is_empty()


def test_after_a_long_suspension_a_message_that_is_given_up_does_not_come_back(bench: Bench) -> None:
    operation, _ = bench.reliable_in_flight()
    bench.at(AGAIN)
    bench.send(operation, now=END - 1.0)  # its next retransmission is due after its end
    assert [type(event) for event in bench.at(END + 3600.0)] == [GaveUp, Collected]
    assert operation.has_ended
    assert bench.is_empty()


def test_what_is_answered_cannot_be_sent(bench: Bench) -> None:
    operation, packet = bench.reliable_in_flight()
    bench.reply(packet)
    assert not bench.engine.departs(operation, packet.surb_id, b"keys", ETA, 1.0)
    assert (operation.transmissions, bench.engine.surbs.created) == (1, 1)


def test_a_retransmission_that_cannot_be_composed_is_due_again_a_little_later(bench: Bench) -> None:
    operation, packet = bench.reliable_in_flight()
    bench.at(AGAIN)
    bench.engine.refused(operation, "the service is gone", AGAIN)
    assert bench.events() == [], "it was sent once, and may be answered"
    assert bench.engine.next_timer() == AGAIN + POLICY.try_later
    assert bench.at(AGAIN + POLICY.try_later) == [SlotWanted(operation, again=True)]
    assert len(bench.reply(packet)) == 1


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.RELIABLE, Kind.ONE_WAY])
def test_a_first_packet_that_cannot_be_composed_ends_its_message_with_the_reason(bench: Bench, kind: Kind) -> None:
    wanted = message(surb_id=SURB if kind is Kind.PLAIN else None, reliable=kind is Kind.RELIABLE, message_id=MESSAGE)
    operation = bench.accept(wanted)
    bench.engine.refused(operation, "no such service", 0.0)
    told = [MessageRefused(ALICE, MESSAGE, wanted.surb_id, "no such service")]
    assert bench.events() == ([] if kind is Kind.ONE_WAY else told)
    assert bench.is_empty()


# -- a link that breaks under a packet


def test_a_first_packet_that_is_recalled_leaves_the_message_as_it_was(bench: Bench) -> None:
    operation = bench.accept(message(message_id=MESSAGE, reliable=True))
    packet = bench.depart(operation, now=50.0)
    bench.engine.recalled(operation, 51.0)
    assert (operation.state, operation.transmissions, operation.expires_at) == (State.WAITING, 0, None)
    assert bench.engine.next_timer() is None
    assert bench.reply(packet) == []
    assert bench.ended(SurbEnd.FAILED) == 1
    bench.send(operation, now=80.0)
    assert bench.engine.next_timer() == 80.0 + AGAIN
    assert operation.expires_at == 80.0 + END


def test_a_recalled_plain_message_keeps_its_surb_id_to_itself(bench: Bench) -> None:
    operation = bench.accept(message(surb_id=SURB))
    bench.depart(operation, now=0.0)
    bench.engine.recalled(operation, 0.0)
    with pytest.raises(SurbIdInUse):
        bench.engine.accept(message(BOB, surb_id=SURB))
    packet = bench.send(operation, now=1.0)
    bench.events()
    assert packet.surb_id == SURB
    assert len(bench.reply(packet)) == 1
    assert bench.is_empty()


def test_a_recalled_retransmission_is_due_again_and_its_end_does_not_move(bench: Bench) -> None:
    operation, _ = bench.reliable_in_flight()
    bench.at(AGAIN)
    bench.depart(operation, now=AGAIN)
    bench.engine.recalled(operation, AGAIN)
    assert (operation.state, operation.transmissions, operation.expires_at) == (State.DUE, 1, END)
    assert bench.engine.retransmissions == 0
    assert bench.engine.next_timer() == END


def test_a_reply_that_comes_before_its_write_has_ended_is_told_after_the_sending(bench: Bench) -> None:
    for wanted in (message(surb_id=SURB), message(message_id=MESSAGE, reliable=True)):
        operation = bench.accept(wanted)
        packet = bench.depart(operation, now=0.0)
        assert [type(event) for event in bench.reply(packet)] == [MessageSent, ReplyReceived]
        bench.engine.left(operation, 1.0)
        bench.engine.recalled(operation, 1.0)
        assert bench.events() == []
        assert not operation.wants_slot


def test_recalling_what_has_not_departed_or_has_left_changes_nothing(bench: Bench) -> None:
    waiting = bench.accept(message(reliable=True))
    bench.engine.recalled(waiting, 0.0)
    assert (waiting.state, waiting.transmissions) == (State.WAITING, 0)
    sent, _ = bench.reliable_in_flight()
    bench.engine.recalled(sent, 0.0)
    assert sent.state is State.IN_FLIGHT
    assert bench.balance() == 0


def test_a_recalled_decoy_is_over(bench: Bench) -> None:
    decoy = bench.engine.new_decoy()
    bench.depart(decoy, now=0.0)
    bench.engine.recalled(decoy, 0.0)
    assert bench.balance() == 0
    assert bench.is_empty()


# -- decoys


def test_a_decoys_reply_is_counted_and_told_to_nobody(bench: Bench) -> None:
    packet = bench.send(bench.engine.new_decoy(), now=0.0)
    assert bench.engine.in_flight == 0, "it is nobody's message"
    assert len(bench.engine.surbs) == 1
    assert bench.reply(packet) == []
    assert (bench.engine.decoys_returned, bench.engine.drops.total()) == (1, 0)
    assert bench.is_empty()


def test_a_decoy_that_never_departs_leaves_nothing(bench: Bench) -> None:
    bench.engine.surb_id_for(bench.engine.new_decoy())
    assert bench.is_empty()


def test_a_lost_decoy_is_forgotten(bench: Bench) -> None:
    bench.send(bench.engine.new_decoy(), now=0.0)
    assert bench.at(ETA + POLICY.decoy_kept) == []
    assert bench.ended(SurbEnd.COLLECTED) == 1
    assert bench.is_empty()


# -- round trips


def test_the_round_trip_of_each_packet_is_counted_from_its_own_departure(bench: Bench) -> None:
    operation, first = bench.reliable_in_flight(now=0.0)
    bench.at(AGAIN)
    second = bench.send(operation, now=AGAIN)
    bench.reply(first, now=AGAIN + 1.0)
    bench.reply(second, now=AGAIN + 3.0)
    told = bench.engine.round_trips.distribution()
    assert told.number == 1
    assert told.total == pytest.approx(3.0)
    assert bench.engine.arq_round_trips.distribution() == told


def test_only_what_is_sent_again_until_it_is_answered_counts_as_such(bench: Bench) -> None:
    decoy = bench.engine.new_decoy()
    for operation, seconds in ((decoy, 1.0), (bench.accept(message(surb_id=SURB)), 2.0)):
        bench.reply(bench.send(operation, now=0.0), now=seconds)
    assert bench.engine.round_trips.distribution().total == pytest.approx(3.0)
    assert bench.engine.arq_round_trips.distribution().number == 0
    bench.reply(bench.send(bench.accept(message(polled=True)), now=0.0), now=4.0)
    assert bench.engine.arq_round_trips.distribution().total == pytest.approx(4.0)


def test_a_reply_that_cannot_be_opened_is_no_round_trip(bench: Bench) -> None:
    packet = bench.send(bench.accept(message(surb_id=SURB)), now=0.0)
    bench.engine.receive(packet.surb_id, b"garbage", 1.0)
    assert bench.engine.round_trips.distribution().number == 0
