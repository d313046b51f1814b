"""The two processes on a virtual clock: what takes which slot, and that nothing is ever lost."""

import pytest
import trio
from trio.testing import MockClock

from arq import State
from kpclientd.traffic.composer import Origin
from kpclientd.traffic.sender import NotSent, Sent
from sphinx.types import NODE_ID_LENGTH, NodeId
from tests.traffic.sending import ALICE, BOB, LAMBDA_L, LAMBDA_P, Bench


async def test_before_a_document_gave_rates_nothing_is_sent(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.submit(1)
    await bench.run(outlet, 1000.0)
    assert outlet.sent == []
    assert bench.waiting_numbers() == [1]


async def test_an_idle_daemon_sends_decoys_of_one_length_at_both_rates(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    await bench.run(outlet, 200.0)
    counts = bench.statistics
    assert counts.decoys_p + counts.decoys_l == len(outlet.sent)
    assert 150 < counts.decoys_p < 250
    assert 70 < counts.decoys_l < 130
    assert {length for _, length in outlet.sent} == {bench.network.geometry.packet_length}
    assert bench.engine.statistics.created == len(outlet.sent)
    assert (counts.messages, bench.outcomes) == (0, [])


async def test_messages_take_the_slots_of_one_process_and_decoys_those_of_the_other(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    for number in range(20):
        bench.submit(number)
    await bench.run_until(outlet, lambda: bench.statistics.messages == 20)
    assert bench.sent_numbers() == list(range(20))
    assert bench.statistics.decoys_l > 0
    assert bench.statistics.decoys_p == bench.statistics.held_for_token == 0
    assert len(outlet.sent) == 20 + bench.statistics.decoys_l
    assert bench.engine.in_flight == 20


async def test_a_sent_message_is_reported_with_its_surb_id_and_the_replys_estimate(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    entry = bench.submit(7)
    await bench.run_until(bench.outlet(), lambda: bench.outcomes)
    (sent,) = bench.outcomes
    assert isinstance(sent, Sent)
    assert (sent.entry, sent.surb_id) == (entry, (7).to_bytes(16, "big"))
    assert 0 < sent.eta < 60
    assert entry.state is State.IN_FLIGHT


async def test_a_message_without_surb_ends_when_it_has_left(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    entry = bench.submit(7, with_surb=False)
    await bench.run_until(bench.outlet(), lambda: bench.statistics.messages)
    assert entry.state is State.ENDED
    assert bench.sent_numbers() == [7]
    assert bench.engine.awaited_surb_ids == 0


async def test_applications_take_turns(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    for number in range(4):
        bench.submit(number, ALICE)
    bench.submit(10, BOB)
    await bench.run_until(bench.outlet(), lambda: bench.statistics.messages == 5)
    assert bench.sent_numbers() == [0, 10, 1, 2, 3]


# -- tokens


async def test_without_a_sure_token_cover_takes_the_slot_and_the_message_stays(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    outlet.tokens.withheld = True
    bench.sender.set_rates(LAMBDA_P, 0.0)
    bench.submit(1)
    bench.submit(2)
    await bench.run_until(outlet, lambda: len(outlet.sent) == 10)
    counts = bench.statistics
    assert (counts.messages, counts.decoys_p, counts.held_for_token) == (0, 10, 10)
    outlet.tokens.withheld = False
    await bench.run_until(outlet, lambda: counts.messages == 2)
    assert bench.sent_numbers() == [1, 2]


async def test_a_token_taken_after_composing_puts_the_message_back_and_cover_in_its_slot(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    for number in range(3):
        bench.submit(number)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        while len(bench.queues) == 3:
            await trio.sleep(0.001)
        outlet.tokens.withheld = True  # the first message is composed now, and has not left
        while not outlet.sent:
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    assert (bench.statistics.decoys_p, bench.statistics.held_for_token, bench.statistics.put_back) == (1, 1, 1)
    assert bench.waiting_numbers() == [0, 1, 2]


async def test_a_young_connection_holds_messages_back_until_their_tokens_are_there(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    outlet.limited = True
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    for number in range(30):
        bench.submit(number)
    await bench.run_until(outlet, lambda: bench.statistics.messages == 30)
    assert bench.statistics.held_for_token > 0
    assert bench.sent_numbers() == list(range(30))


# -- rates


async def test_new_rates_count_at_once(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(1e-6, 0.0)  # one in 17 minutes
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        await trio.sleep(5.0)
        sent_before = len(outlet.sent)
        bench.sender.set_rates(0.01, 0.0)
        await trio.sleep(5.0)
        nursery.cancel_scope.cancel()
    assert sent_before == 0
    assert 25 < len(outlet.sent) < 80


async def test_a_rate_that_is_not_positive_changes_nothing(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    bench.sender.set_rates(0.0, 0.01)
    bench.sender.set_rates(LAMBDA_P, 0.0)
    await bench.run(outlet, 100.0)
    assert 70 < bench.statistics.decoys_p < 130
    assert 30 < bench.statistics.decoys_l < 75


async def test_a_second_process_that_never_had_a_rate_stays_off(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    await bench.run(bench.outlet(), 50.0)
    assert bench.statistics.decoys_p > 0
    assert bench.statistics.decoys_l == 0


async def test_without_decoys_only_messages_are_sent_and_new_rates_start_none(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(decoys=False)
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        await trio.sleep(30.0)
        assert outlet.sent == []
        for rate in (0.002, 0.003, 0.004):
            bench.sender.set_rates(rate, rate)
            await trio.sleep(1.0)
        bench.submit(1)
        await trio.sleep(30.0)
        nursery.cancel_scope.cancel()
    assert len(outlet.sent) == 1
    assert bench.sent_numbers() == [1]
    assert (bench.statistics.decoys_p, bench.statistics.decoys_l) == (0, 0)


async def test_without_decoys_a_message_without_a_token_waits(autojump_clock: MockClock) -> None:
    bench = Bench(decoys=False)
    outlet = bench.outlet()
    outlet.tokens.withheld = True
    bench.sender.set_rates(LAMBDA_P, 0.0)
    bench.submit(1)
    await bench.run(outlet, 20.0)
    assert outlet.sent == []
    assert bench.waiting_numbers() == [1]


async def test_after_a_stall_nothing_is_caught_up_in_a_burst(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    outlet.seconds = 100.0
    bench.sender.set_rates(LAMBDA_P, 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        await trio.sleep(50.0)  # the first packet is being written
        outlet.seconds = 0.0
        await trio.sleep(100.0)
        nursery.cancel_scope.cancel()
    resumed = outlet.sent[0][0]
    assert resumed > 100.0
    assert sum(at <= resumed + 1.0 for at, _ in outlet.sent) <= 5, "of some hundred ticks that passed meanwhile"
    assert len(outlet.sent) > 20


# -- documents and messages that cannot be composed


async def test_without_a_document_the_slots_stay_empty_and_messages_wait(autojump_clock: MockClock) -> None:
    bench = Bench(document=False)
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    bench.submit(1)
    await bench.run(outlet, 20.0)
    assert outlet.sent == []
    assert bench.statistics.slots_without_packet > 10
    assert bench.waiting_numbers() == [1]


async def test_a_message_to_nowhere_is_refused_and_the_next_takes_its_slot(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    lost = bench.submit(1, destination=b"x" * NODE_ID_LENGTH)
    bench.submit(2)
    await bench.run_until(outlet, lambda: outlet.sent)
    refused, sent = bench.outcomes
    assert isinstance(refused, NotSent)
    assert (refused.entry, lost.state) == (lost, State.ENDED)
    assert refused.reason
    assert isinstance(sent, Sent)
    assert bench.statistics.messages == 1


async def test_a_message_to_nowhere_alone_leaves_its_slot_to_a_decoy(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    bench.submit(1, destination=b"x" * NODE_ID_LENGTH)
    await bench.run_until(outlet, lambda: outlet.sent)
    assert (len(bench.outcomes), bench.statistics.decoys_p) == (1, 1)


async def test_a_retransmission_that_cannot_be_composed_is_kept_and_tried_again(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    entry = bench.submit(1, reliable=True)
    await bench.run_until(bench.outlet(), lambda: bench.statistics.messages == 1)
    await trio.sleep(60.0)
    bench.handle_timers()
    assert entry.state is State.DUE
    stranger = bench.outlet()
    stranger.origin = Origin(NodeId(b"x" * NODE_ID_LENGTH), stranger.origin.queue_id)  # not in the document
    await bench.run_until(stranger, lambda: not len(bench.queues), 60.0)
    assert (len(bench.outcomes), entry.state) == (1, State.DUE)
    await trio.sleep(2.0)
    bench.handle_timers()
    await bench.run_until(bench.outlet(), lambda: bench.statistics.messages == 2)
    assert entry.transmissions == 2


# -- links that end


@pytest.mark.parametrize("milliseconds", range(0, 3000, 97))
async def test_nothing_is_lost_or_disordered_wherever_a_link_ends(milliseconds: int, autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    outlet.seconds = 0.05
    bench.sender.set_rates(0.004, 0.002)
    for number in range(8):
        bench.submit(number, with_surb=number % 3 != 0)
    await bench.run(outlet, milliseconds / 1000)
    assert bench.sent_numbers() + bench.waiting_numbers() == list(range(8))
    counts = bench.engine.statistics
    assert counts.created - counts.cancelled == bench.engine.awaited_surb_ids


async def test_a_packet_that_the_broken_link_did_not_take_leaves_by_the_next_one(autojump_clock: MockClock) -> None:
    bench = Bench()
    broken = bench.outlet()
    broken.breaks_after = 2
    bench.sender.set_rates(LAMBDA_P, 0.0)
    for number in range(4):
        bench.submit(number)
    await bench.run(broken, 30.0)
    assert bench.sent_numbers() == [0, 1]
    await bench.run_until(bench.outlet(), lambda: bench.statistics.messages == 4)
    assert bench.sent_numbers() == [0, 1, 2, 3]


async def test_a_packet_stalled_past_its_retransmission_timer_is_taken_back_whole(autojump_clock: MockClock) -> None:
    bench = Bench()
    stalled = bench.outlet()
    stalled.seconds = 1e6
    bench.sender.set_rates(LAMBDA_P, 0.0)
    entry = bench.submit(1, reliable=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, stalled)
        while entry.state is not State.DUE:
            await trio.sleep(1.0)
            bench.handle_timers()
        nursery.cancel_scope.cancel()
    assert entry.transmissions == 0
    outlet = bench.outlet()
    await bench.run_until(outlet, lambda: len(outlet.sent) == 5)
    assert bench.statistics.messages == 1, "it was in both queues, and left once"
    assert bench.sent_numbers() == [1]
    assert bench.statistics.decoys_p == 4


async def test_a_message_answered_before_its_retransmission_leaves_is_not_sent_again(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    entry = bench.submit(1, reliable=True)
    await bench.run_until(bench.outlet(), lambda: bench.statistics.messages == 1)
    await trio.sleep(60.0)
    bench.handle_timers()
    bench.engine.abandon(entry)
    outlet = bench.outlet()
    await bench.run_until(outlet, lambda: outlet.sent)
    assert (bench.statistics.messages, bench.statistics.decoys_p) == (1, 1)


async def test_a_message_cancelled_between_composing_and_the_tick_leaves_as_cover(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    bench.submit(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        while len(bench.queues):
            await trio.sleep(0.001)
        assert outlet.sent == []
        bench.engine.cancel_owner(ALICE)
        bench.queues.remove(ALICE)
        while not outlet.sent:
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    assert (bench.statistics.messages, bench.statistics.decoys_p, bench.outcomes) == (0, 1, [])
    assert bench.engine.awaited_surb_ids == 0


async def test_what_was_put_back_for_an_application_that_is_gone_is_dropped(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    outlet.seconds = 100.0
    bench.sender.set_rates(LAMBDA_P, 0.0)
    entry = bench.submit(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        while entry.state is State.WAITING:
            await trio.sleep(0.01)
        bench.engine.cancel_owner(ALICE)
        bench.queues.remove(ALICE)
        nursery.cancel_scope.cancel()
    assert (len(bench.queues), bench.engine.awaited_surb_ids, bench.outcomes) == (0, 0, [])
