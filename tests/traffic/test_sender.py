"""The two processes on a virtual clock: what takes which slot, by whose tokens, at which rates."""

import logging

import pytest
import trio
from trio.testing import MockClock

from arq import MessageSent, State
from kpclientd.traffic.sender import LEAD_SECONDS
from sphinx.types import NODE_ID_LENGTH, NodeId
from tests.traffic.sending import ALICE, BOB, LAMBDA_L, LAMBDA_P, STEP, Bench


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
    status = bench.status
    assert status.decoys_p + status.decoys_l == len(outlet.sent)
    assert 150 < status.decoys_p < 250
    assert 70 < status.decoys_l < 130
    assert {length for _, length in outlet.sent} == {bench.network.geometry.packet_length}
    assert bench.engine.surbs.created == len(outlet.sent)
    assert (status.messages, bench.events) == (0, [])


async def test_messages_take_the_slots_of_one_process_and_decoys_those_of_the_other(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    for number in range(20):
        bench.submit(number)
    await bench.run_until(outlet, lambda: bench.status.messages == 20)
    assert bench.sent_numbers() == list(range(20))
    assert bench.status.decoys_l > 0
    assert bench.status.decoys_p == bench.status.held_for_token == 0
    assert len(outlet.sent) == 20 + bench.status.decoys_l
    assert bench.engine.in_flight == 20


async def test_a_sent_message_is_reported_with_its_surb_id_and_the_replys_estimate(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    operation = bench.submit(7)
    await bench.run_until(bench.outlet(), lambda: bench.events)
    (sent,) = bench.events
    assert isinstance(sent, MessageSent)
    assert (sent.owner, sent.message_id, sent.surb_id) == (ALICE, (7).to_bytes(16, "big"), (7).to_bytes(16, "big"))
    assert 0 < sent.eta < 60
    assert operation.route == sent.route
    assert operation.state is State.IN_FLIGHT


async def test_a_sent_message_is_reported_with_the_names_of_the_nodes_on_its_way(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    bench.submit(7)
    await bench.run_until(bench.outlet(), lambda: bench.events)
    (sent,) = bench.events
    assert isinstance(sent, MessageSent)
    document = bench.network.authorities.document(bench.network.epoch)
    layers = [{node.name for node in layer} for layer in document.topology]
    gateways = {node.name for node in document.gateway_nodes}
    services = {node.name for node in document.service_nodes}
    for route, stations in (
        (sent.route.forward, [gateways, *layers, services]),
        (sent.route.back, [*layers, gateways]),
    ):
        assert [name in names for name, names in zip(route, stations, strict=True)] == [True] * len(stations)


async def test_a_message_without_surb_ends_when_it_has_left(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    operation = bench.submit(7, with_surb=False)
    await bench.run_until(bench.outlet(), lambda: bench.status.messages)
    assert operation.has_ended
    assert bench.sent_numbers() == [7]
    assert (bench.engine.surbs.created, bench.events) == (0, [])


async def test_applications_take_turns(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    for number in range(4):
        bench.submit(number, ALICE)
    bench.submit(10, BOB)
    await bench.run_until(bench.outlet(), lambda: bench.status.messages == 5)
    assert bench.sent_numbers() == [0, 10, 1, 2, 3]


async def test_the_status_tells_what_rules_the_slots(autojump_clock: MockClock) -> None:
    bench = Bench()
    assert (bench.status.refill_seconds, bench.status.lead_seconds) == (None, LEAD_SECONDS)
    assert bench.status.mean_interval_ms == {"λP": 0, "λL": 0}
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    assert bench.status.mean_interval_ms == {"λP": 1000, "λL": 2000}
    assert bench.status.refill_seconds == 0.606060607


# -- tokens


async def test_without_a_sure_token_cover_takes_the_slot_and_the_message_stays(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    outlet.tokens.withheld = True
    bench.sender.set_rates(LAMBDA_P, 0.0)
    bench.submit(1)
    bench.submit(2)
    await bench.run_until(outlet, lambda: len(outlet.sent) == 10)
    status = bench.status
    assert (status.messages, status.decoys_p) == (0, 10)
    assert status.held_for_token in (10, 11), "one more may be composed and not have left"
    outlet.tokens.withheld = False
    await bench.run_until(outlet, lambda: bench.status.messages == 2)
    assert bench.sent_numbers() == [1, 2]


async def test_whether_a_message_may_take_a_slot_is_decided_when_it_is_composed(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    for number in range(3):
        bench.submit(number)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        while len(bench.queues) == 3:
            await trio.sleep(STEP)
        assert outlet.sent == []
        outlet.tokens.withheld = True  # the first message is composed now, and has not left
        while len(outlet.sent) < 5:
            await trio.sleep(STEP)
        nursery.cancel_scope.cancel()
    assert bench.sent_numbers() == [0]
    assert (bench.status.messages, bench.status.decoys_p, bench.status.put_back) == (1, 4, 0)
    assert bench.waiting_numbers() == [1, 2]


async def test_packets_that_stand_in_line_count_before_a_message_may_have_a_token(autojump_clock: MockClock) -> None:
    asked: list[tuple[float, float]] = []
    bench = Bench()
    outlet = bench.outlet()
    has = outlet.tokens.has

    def asking(now: float, tokens: float = 1.0) -> bool:
        asked.append((now, tokens))
        return has(now, tokens)

    outlet.tokens.has = asking  # type: ignore[method-assign]
    bench.sender.set_rates(0.2, 0.0)  # every five milliseconds, so that some are composed before one leaves
    await bench.run_until(outlet, lambda: len(outlet.sent) == 200)
    assert max(tokens for _, tokens in asked) >= 4.0
    sent_at = [at for at, _ in outlet.sent]
    for number, (tick, tokens) in enumerate(asked[:200]):
        assert sent_at[number] == tick
        assert tokens >= 1.0
    ticks = [tick for tick, _ in asked]
    assert ticks == sorted(ticks)


async def test_a_young_connection_holds_messages_back_until_their_tokens_are_there(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    outlet.limited = True
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    for number in range(30):
        bench.submit(number)
    await bench.run_until(outlet, lambda: bench.status.messages == 30)
    assert bench.status.held_for_token > 0
    assert bench.sent_numbers() == list(range(30))


async def test_each_link_counts_tokens_at_the_rates_that_are_known(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    for _ in range(2):
        outlet = bench.outlet()
        await bench.run(outlet, 1.0)
        level = outlet.tokens.level(trio.current_time())
        assert level is not None
        assert 2.0 < level < 3.0, "one at the beginning, and one each 606 ms"


async def test_a_link_counts_tokens_at_new_rates_from_when_they_are_known(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(1e-6, 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.sender.run, outlet)
        await trio.sleep(10.0)
        bench.sender.set_rates(0.001, 0.0)
        await trio.sleep(10.0)
        nursery.cancel_scope.cancel()
    level = outlet.tokens.level(trio.current_time())
    assert level is not None
    assert 10.5 < level <= 11.1, "none when the rate changed, and one each 909 ms since"


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


async def test_a_rate_that_is_not_positive_is_said(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    assert caplog.records == []
    bench.sender.set_rates(0.0, 0.01)
    assert [record.getMessage() for record in caplog.records] == [
        "The document's LambdaP is 0.0: packets are sent at the rates of the one before."
    ]


async def test_a_rate_that_is_not_positive_changes_nothing(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, LAMBDA_L)
    bench.sender.set_rates(0.0, 0.01)
    bench.sender.set_rates(LAMBDA_P, 0.0)
    await bench.run(outlet, 100.0)
    assert 70 < bench.status.decoys_p < 130
    assert 30 < bench.status.decoys_l < 75


async def test_a_second_process_that_never_had_a_rate_stays_off(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    await bench.run(bench.outlet(), 50.0)
    assert bench.status.decoys_p > 0
    assert bench.status.decoys_l == 0


async def test_without_decoys_only_messages_are_sent_and_new_rates_start_none(
    autojump_clock: MockClock,
) -> None:
    bench = Bench(cover=False)
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
    assert (bench.status.decoys_p, bench.status.decoys_l, bench.status.slots_without_packet) == (0, 0, 0)


async def test_without_decoys_a_message_without_a_token_waits(autojump_clock: MockClock) -> None:
    bench = Bench(cover=False)
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
    assert bench.status.slots_without_packet > 10
    assert bench.waiting_numbers() == [1]


async def test_a_message_to_nowhere_is_refused_and_the_next_takes_its_slot(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    lost = bench.submit(1, destination=b"x" * NODE_ID_LENGTH)
    bench.submit(2)
    await bench.run_until(outlet, lambda: outlet.sent)
    (refused,) = bench.refused()
    assert (refused.message_id, lost.has_ended) == ((1).to_bytes(16, "big"), True)
    assert refused.reason
    assert bench.sent_numbers() == [2]
    assert (bench.status.messages, bench.status.decoys_p) == (1, 0)


async def test_a_message_to_nowhere_alone_leaves_its_slot_to_a_decoy(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    bench.submit(1, destination=b"x" * NODE_ID_LENGTH)
    await bench.run_until(outlet, lambda: outlet.sent)
    assert (len(bench.refused()), len(bench.events), bench.status.decoys_p) == (1, 1, 1)


async def test_a_retransmission_that_cannot_be_composed_is_kept_and_tried_again(autojump_clock: MockClock) -> None:
    bench = Bench()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    operation = bench.submit(1, reliable=True)
    await bench.until_in_flight(operation)
    await trio.sleep(60.0)
    bench.handle_timers()
    assert operation.state is State.DUE
    stranger = bench.outlet()
    stranger.gateway = NodeId(b"x" * NODE_ID_LENGTH)  # not in the document
    await bench.run_until(stranger, lambda: not len(bench.queues), 60.0)
    assert (bench.refused(), operation.state) == ([], State.IN_FLIGHT)
    await trio.sleep(2.0)
    bench.handle_timers()
    assert operation.state is State.DUE
    await bench.run_until(bench.outlet(), lambda: bench.status.messages == 2)
    assert operation.transmissions == 2


async def test_that_there_is_no_cover_is_said_once(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="client/sender")
    bench = Bench(document=False)
    bench.sender.set_rates(LAMBDA_P, 0.0)
    await bench.run(bench.outlet(), 20.0)
    assert bench.status.slots_without_packet > 5
    assert [record.getMessage() for record in caplog.records] == ["No cover traffic: there is no current document"]
