"""What an observer of the daemon's work could tell apart: nothing. Messages and decoys go through the same steps."""

import itertools
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from arq import UNNAMED, Operation, RouteNames
from kpclientd.traffic.composer import ComposedPacket, PacketRequest
from kpclientd.traffic.sender import LEAD_SECONDS, MOST_LOOKED_AT, QUIET_SECONDS
from pki import Document
from sphinx import Sphinx
from sphinx.types import NodeId, RecipientId, SurbId
from tests.traffic.sending import ALICE, LAMBDA_P, STEP, Bench, RecordingLink

STEPS = ["SURB id", "compose", "departs", "write", "left"]


class CountedWork:
    """A packet core that counts what it is asked for."""

    def __init__(self, sphinx: Sphinx) -> None:
        self.calls: Counter[str] = Counter()
        self._sphinx = sphinx

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._sphinx, name)


class Trace:
    """The steps of every packet of a bench, with their times, in the order in which they were made."""

    def __init__(self, bench: Bench, outlet: RecordingLink) -> None:
        self.steps: list[tuple[float, str]] = []
        self.lengths: set[tuple[int, int]] = set()
        self.hops: set[tuple[int, int]] = set()
        engine, composer, send = bench.engine, bench.composer, outlet.send_packet
        surb_id_for, departs, left, compose = engine.surb_id_for, engine.departs, engine.left, composer.compose

        def note(step: str) -> None:
            self.steps.append((trio.current_time(), step))

        def choosing(operation: Operation) -> SurbId:
            note("SURB id")
            return surb_id_for(operation)

        def composing(
            document: Document, gateway: NodeId, queue_id: RecipientId, request: PacketRequest, surb_id: SurbId | None
        ) -> ComposedPacket:
            note("compose")
            composed = compose(document, gateway, queue_id, request, surb_id)
            self.lengths.add((len(composed.packet), len(composed.surb_keys)))
            return composed

        def departing(
            operation: Operation,
            surb_id: SurbId | None,
            keys: bytes,
            eta: float,
            now: float,
            route: RouteNames = UNNAMED,
        ) -> bool:
            note("departs")
            self.hops.add((len(route.forward), len(route.back)))
            return departs(operation, surb_id, keys, eta, now, route)

        def leaving(operation: Operation, now: float) -> None:
            note("left")
            left(operation, now)

        async def writing(packet: bytes) -> None:
            note("write")
            await send(packet)

        engine.surb_id_for, engine.departs, engine.left = choosing, departing, leaving  # type: ignore[method-assign]
        composer.compose = composing  # type: ignore[method-assign]
        outlet.send_packet = writing  # type: ignore[method-assign]

    def moments(self) -> Iterator[tuple[float, list[str]]]:
        """The steps that were made at the same time."""
        for at, steps in groupby(self.steps, key=lambda step: step[0]):
            yield at, [name for _, name in steps]


async def traced(*, messages: int, reliable: bool = False) -> tuple[Bench, RecordingLink, Trace]:
    bench = Bench()
    outlet = bench.outlet()
    trace = Trace(bench, outlet)
    bench.sender.set_rates(LAMBDA_P, 0.0)
    for number in range(messages):
        bench.submit(number, reliable=reliable)
    await bench.run_until(outlet, lambda: len(outlet.sent) == 20)
    return bench, outlet, trace


@pytest.mark.parametrize("reliable", [False, True])
async def test_a_message_and_a_decoy_go_through_the_same_steps_at_the_same_times(
    reliable: bool, autojump_clock: MockClock
) -> None:
    begun = trio.current_time()
    with_messages, _, of_messages = await traced(messages=20, reliable=reliable)
    between = trio.current_time()
    with_decoys, _, of_decoys = await traced(messages=0)
    assert with_messages.status.messages == with_decoys.status.decoys_p == 20
    assert [name for _, name in of_messages.steps] == [name for _, name in of_decoys.steps]
    assert [at - begun for at, _ in of_messages.steps] == pytest.approx([at - between for at, _ in of_decoys.steps])
    assert of_messages.lengths == of_decoys.lengths
    assert len(of_messages.lengths) == 1
    assert of_messages.hops == of_decoys.hops
    assert len(of_messages.hops) == 1


async def test_every_packet_has_each_step_once(autojump_clock: MockClock) -> None:
    _, _, trace = await traced(messages=7)
    names = [name for _, name in trace.steps]
    assert [names.count(step) for step in ("departs", "write", "left")] == [20, 20, 20]
    assert names.count("compose") == names.count("SURB id") in (20, 21)
    assert set(names) == set(STEPS)


async def test_a_packet_is_composed_a_lead_before_its_tick_and_written_at_it(autojump_clock: MockClock) -> None:
    _, outlet, trace = await traced(messages=10)
    composed = [at for at, name in trace.steps if name == "compose"]
    ticks = [at for at, _ in outlet.sent]
    for made, tick in zip(composed, ticks, strict=False):
        assert tick - made <= LEAD_SECONDS + 1e-9
    slow = [tick - made for made, tick in zip(composed, ticks, strict=False) if tick - made > LEAD_SECONDS - 1e-9]
    assert len(slow) >= 15, "but those whose tick was drawn within the lead"
    for at, steps in trace.moments():
        if "write" in steps:
            assert at in ticks
            assert steps[:2] == ["departs", "write"]


async def test_that_a_packet_left_is_told_when_no_tick_is_near(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    outlet.tokens.endless = True
    trace = Trace(bench, outlet)
    bench.sender.set_rates(0.5, 0.0)  # every two milliseconds: four in ten follow within one
    for number in range(200):
        bench.submit(number)
    await bench.run_until(outlet, lambda: bench.status.messages == 200)
    writes = [at for at, name in trace.steps if name == "write"]
    told = [at for at, name in trace.steps if name == "left"]
    assert len(told) >= 200
    for at in told:
        later = [write for write in writes if write > at]
        assert not later or later[0] - at > QUIET_SECONDS
    close = sum(later - earlier <= QUIET_SECONDS for earlier, later in itertools.pairwise(writes[:200]))
    assert close > 50, "else the rule was not needed"


async def test_messages_without_surb_are_made_by_the_same_work(autojump_clock: MockClock) -> None:
    bench = Bench()
    work = CountedWork(bench.network.sphinx)
    bench.composer._sphinx = work  # type: ignore[assignment]
    bench.sender.set_rates(LAMBDA_P, 0.0)
    for number in range(5):
        bench.submit(number, with_surb=False)
    await bench.run_until(bench.outlet(), lambda: bench.status.messages == 5)
    assert work.calls["new_surb"] == work.calls["new_packet"] >= 5
    assert bench.engine.surbs.created == bench.status.decoys_p, "those of messages are thrown away"


async def test_many_messages_that_cannot_be_sent_hold_up_nothing(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(LAMBDA_P, 0.0)
    for number in range(5 * MOST_LOOKED_AT):
        bench.submit(number, destination=b"x" * 32)
    bench.submit(1000)
    refused: list[int] = []
    send = outlet.send_packet

    async def sending(packet: bytes) -> None:
        refused.append(len(bench.refused()))
        await send(packet)

    outlet.send_packet = sending  # type: ignore[method-assign]
    await bench.run_until(outlet, lambda: bench.status.messages == 1)
    assert all(later - earlier <= 2 * MOST_LOOKED_AT for earlier, later in itertools.pairwise([0, *refused]))
    assert refused[-1] == 5 * MOST_LOOKED_AT
    assert bench.sent_numbers() == [1000]
    assert bench.status.decoys_p >= 4


async def test_what_messages_wait_does_not_change_when_packets_leave(autojump_clock: MockClock) -> None:
    times = []
    for pattern in ((), (0.0,), (0.5, 3.0, 3.0, 9.9), tuple(number / 10 for number in range(100))):
        bench = Bench(seed=b"one schedule")
        outlet = bench.outlet()
        bench.sender.set_rates(0.005, 0.0025)
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.run, outlet, 20.0)
            for number, at in enumerate(pattern):
                await trio.sleep_until(begun + at)
                bench.submit(number, with_surb=number % 2 == 0)
        assert bench.status.messages == len(pattern)
        times.append([round(at - begun, 6) for at, _ in outlet.sent])
    assert times[0] == times[1] == times[2] == times[3]
    assert len(times[0]) > 100


# -- rates that change between composing and the tick


async def prepare(bench: Bench, outlet: RecordingLink, nursery: trio.Nursery, messages: int) -> list[float]:
    """Wait until at least three packets stand in line, and give their ticks."""
    for number in range(messages):
        bench.submit(number)
    outlet.tokens.endless = True
    nursery.start_soon(bench.sender.run, outlet)
    while len(bench.sender._prepared) < 3:
        await trio.sleep(STEP / 10)
    assert all(packet.operation.is_cover == (not messages) for packet in bench.sender._prepared)
    return [packet.tick.at for packet in bench.sender._prepared]


async def test_new_rates_put_prepared_messages_back_at_once_and_decoys_take_their_ticks(
    autojump_clock: MockClock,
) -> None:
    bench = Bench()
    outlet = bench.outlet()
    trace = Trace(bench, outlet)
    bench.sender.set_rates(0.2, 0.0)
    async with trio.open_nursery() as nursery:
        line = await prepare(bench, outlet, nursery, 40)
        composed, sent, changed = len(trace.steps), len(outlet.sent), trio.current_time()
        bench.sender.set_rates(0.00001, 0.0)  # one in 100 s: nothing else leaves soon
        await trio.testing.wait_all_tasks_blocked()
        at_once = trace.steps[composed:]
        assert at_once == [(changed, "SURB id"), (changed, "compose")] * len(line), "and not at the ticks"
        assert [packet.tick.at for packet in bench.sender._prepared] == line
        assert all(packet.operation.is_cover for packet in bench.sender._prepared)
        assert bench.queues.lengths() == {ALICE: (40 - sent, 0)}
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert [at for at, _ in outlet.sent[sent:]] == line
    assert (bench.status.messages, bench.status.decoys_p, bench.status.put_back) == (sent, len(line), len(line))
    assert bench.waiting_numbers() == list(range(sent, 40))


async def test_decoys_in_line_are_made_anew_for_new_rates_as_messages_are(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    trace = Trace(bench, outlet)
    bench.sender.set_rates(0.2, 0.0)
    async with trio.open_nursery() as nursery:
        ticks = await prepare(bench, outlet, nursery, 0)
        composed, sent, changed = len(trace.steps), len(outlet.sent), trio.current_time()
        bench.sender.set_rates(0.00001, 0.0)
        await trio.testing.wait_all_tasks_blocked()
        assert trace.steps[composed:] == [(changed, "SURB id"), (changed, "compose")] * len(ticks)
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert [at for at, _ in outlet.sent[sent:]] == ticks
    assert bench.status.put_back == 0


async def test_without_cover_the_ticks_of_messages_put_back_stay_empty(autojump_clock: MockClock) -> None:
    bench = Bench(cover=False)
    outlet = bench.outlet()
    bench.sender.set_rates(0.2, 0.0)
    async with trio.open_nursery() as nursery:
        await prepare(bench, outlet, nursery, 40)
        sent = len(outlet.sent)
        bench.sender.set_rates(0.00001, 0.0)
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert len(outlet.sent) == sent
    assert bench.waiting_numbers() == list(range(sent, 40))
