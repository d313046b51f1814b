"""What an observer of the daemon's work could tell apart: nothing. Messages and decoys go through the same steps."""

from collections.abc import Iterator
from itertools import groupby

import pytest
import trio
from trio.testing import MockClock

from arq import UNNAMED, Operation, RouteNames
from kpclientd.traffic.composer import ComposedPacket, PacketRequest
from kpclientd.traffic.sender import LEAD_SECONDS
from pki import Document
from sphinx.types import NodeId, RecipientId, SurbId
from tests.traffic.sending import ALICE, LAMBDA_P, STEP, Bench, RecordingLink

STEPS = ["SURB id", "compose", "departs", "write", "left"]


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
            assert steps[:3] == ["departs", "write", "left"]


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


async def test_decoys_that_are_prepared_keep_their_ticks_when_rates_change(autojump_clock: MockClock) -> None:
    bench = Bench()
    outlet = bench.outlet()
    bench.sender.set_rates(0.2, 0.0)
    async with trio.open_nursery() as nursery:
        ticks = await prepare(bench, outlet, nursery, 0)
        line, sent = list(bench.sender._prepared), len(outlet.sent)
        bench.sender.set_rates(0.00001, 0.0)
        await trio.testing.wait_all_tasks_blocked()
        assert list(bench.sender._prepared) == line
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
