"""Links that break, stall and end while packets are prepared or leave: nothing is lost, disordered or sent twice."""

import pytest
import trio
from trio.testing import MockClock

from arq import Collected, GaveUp, State, SurbEnd
from tests.traffic.sending import ALICE, LAMBDA_P, STEP, Bench


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
    assert bench.are_surbs_balanced()
    assert len(bench.engine.surbs) == sum(operation.surb_id is not None for operation in bench.engine.left_messages) + (
        bench.status.decoys_p + bench.status.decoys_l
    )


async def test_a_packet_that_the_broken_link_did_not_take_leaves_by_the_next_one(autojump_clock: MockClock) -> None:
    bench = Bench()
    broken = bench.outlet()
    broken.breaks_after = 2
    bench.sender.set_rates(LAMBDA_P, 0.0)
    for number in range(4):
        bench.submit(number)
    await bench.run(broken, 30.0)
    assert bench.sent_numbers() == [0, 1]
    assert bench.engine.surbs.ends[SurbEnd.FAILED] > 0
    await bench.run_until(bench.outlet(), lambda: bench.status.messages == 4)
    assert bench.sent_numbers() == [0, 1, 2, 3]
    assert bench.are_surbs_balanced()


async def test_a_packet_stalled_past_its_links_end_is_taken_back_whole(autojump_clock: MockClock) -> None:
    bench = Bench()
    stalled = bench.outlet()
    stalled.seconds = 1e6
    bench.sender.set_rates(LAMBDA_P, 0.0)
    operation = bench.submit(1, reliable=True)
    await bench.run_until(stalled, lambda: operation.state is State.LEAVING)
    assert (operation.state, operation.transmissions, operation.expires_at) == (State.WAITING, 0, None)
    assert len(bench.engine.surbs) == 0
    outlet = bench.outlet()
    await bench.run_until(outlet, lambda: len(outlet.sent) == 5)
    assert bench.status.messages == 1
    assert bench.sent_numbers() == [1]
    assert bench.status.decoys_p == 4


async def test_a_retransmission_stalled_past_its_links_end_waits_as_one_and_leaves_once(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    operation = bench.submit(1, reliable=True)
    await bench.until_in_flight(operation)
    await trio.sleep(60.0)
    bench.handle_timers()
    stalled = bench.outlet()
    stalled.seconds = 1e6
    await bench.run_until(stalled, lambda: operation.state is State.LEAVING_AGAIN)
    assert (operation.state, operation.transmissions) == (State.DUE, 1)
    assert bench.queues.lengths() == {ALICE: (0, 1)}
    outlet = bench.outlet()
    await bench.run_until(outlet, lambda: len(outlet.sent) == 5)
    assert (operation.transmissions, bench.engine.retransmissions, bench.status.decoys_p) == (2, 1, 4)
    assert bench.are_surbs_balanced()


async def test_a_packet_stalled_past_its_messages_time_is_not_put_back(autojump_clock: MockClock) -> None:
    bench = Bench()
    stalled = bench.outlet()
    stalled.seconds = 1e6
    bench.sender.set_rates(LAMBDA_P, 0.0)
    operation = bench.submit(1, reliable=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, stalled)
        while not operation.has_ended:
            await trio.sleep(1.0)
            bench.handle_timers()
        nursery.cancel_scope.cancel()
    assert [type(event) for event in bench.events] == [GaveUp, Collected]
    assert (len(bench.queues), len(bench.engine), len(bench.engine.surbs)) == (0, 0, 0)
    assert bench.status.put_back == 0


async def test_a_message_answered_before_its_retransmission_leaves_is_not_sent_again(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    operation = bench.submit(1, reliable=True)
    await bench.until_in_flight(operation)
    await trio.sleep(60.0)
    bench.handle_timers()
    assert len(bench.queues) == 1
    assert operation.surb_id is not None
    bench.engine.receive(operation.surb_id, b"answer", trio.current_time())
    assert operation.state is State.ANSWERED
    outlet = bench.outlet()
    await bench.run_until(outlet, lambda: len(outlet.sent) == 2)
    assert (bench.status.messages, bench.status.decoys_p, bench.engine.retransmissions) == (1, 2, 0)


async def test_a_message_cancelled_between_composing_and_the_tick_leaves_as_cover(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    bench.submit(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        while len(bench.queues):
            await trio.sleep(STEP)
        assert outlet.sent == []
        bench.forget(ALICE)
        while not outlet.sent:
            await trio.sleep(STEP)
        nursery.cancel_scope.cancel()
    assert (bench.status.messages, bench.status.decoys_p, bench.events) == (0, 1, [])
    assert bench.engine.surbs.created == 0
    assert bench.engine.left_messages == []


async def test_what_was_put_back_for_an_application_that_is_gone_is_dropped(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    outlet.seconds = 100.0
    bench.sender.set_rates(LAMBDA_P, 0.0)
    operation = bench.submit(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        while operation.state is State.WAITING:
            await trio.sleep(STEP)
        assert operation.state is State.LEAVING
        bench.forget(ALICE)
        nursery.cancel_scope.cancel()
    assert (len(bench.queues), len(bench.engine.surbs), bench.events) == (0, 0, [])


@pytest.mark.parametrize("breaks", [False, True], ids=["cancelled", "broken"])
async def test_packets_that_are_prepared_when_a_link_ends_go_back_in_their_order(
    breaks: bool, autojump_clock: MockClock
) -> None:
    bench = Bench()
    outlet = bench.outlet()
    outlet.tokens.endless = True
    bench.sender.set_rates(0.2, 0.0)  # every five milliseconds: some are prepared at a time
    for number in range(50):
        bench.submit(number)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        while len(bench.sender._prepared) < 4:
            await trio.sleep(STEP / 10)
        sent = len(outlet.sent)
        if breaks:
            outlet.breaks_after = sent
        else:
            outlet.seconds = 1e6
        while bench.engine.surbs.created == sent:  # until the next packet departs
            await trio.sleep(STEP / 10)
        nursery.cancel_scope.cancel()
    assert bench.status.put_back >= 4, "the one that was being written, and those behind it"
    assert bench.sent_numbers() + bench.waiting_numbers() == list(range(50))
    assert bench.engine.surbs.ends[SurbEnd.FAILED] >= 1
    assert len(bench.engine.surbs) == sent
