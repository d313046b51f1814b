"""Packets that are composed in a thread: they leave when they would, and nothing is lost with what is under way."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import trio
from trio.testing import MockClock

from kpclientd.traffic.sender import LEAD_SECONDS
from tests.traffic.sending import ALICE, BOB, LAMBDA_L, LAMBDA_P, Bench

Result = TypeVar("Result")

SECONDS = 0.05
"""What a packet takes: twice the lead at the beginning."""


class Elsewhere:
    """A thread that takes its time, on a virtual clock."""

    def __init__(self) -> None:
        self.seconds = SECONDS
        self.running = 0
        self.most_running = 0

    async def __call__(self, work: Callable[[], Result], /) -> Result:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await trio.sleep(self.seconds)
            return work()
        finally:
            self.running -= 1


def bench(*, cover: bool = True) -> Bench:
    made = Bench(offload=Elsewhere(), cover=cover)
    made.sender.set_rates(LAMBDA_P, LAMBDA_L)
    return made


async def times(made: Bench, seconds: float) -> list[float]:
    outlet = made.outlet()
    began = trio.current_time()
    await made.run(outlet, seconds)
    return [round(at - began, 6) for at, _ in outlet.sent]


async def test_packets_leave_when_they_would_if_they_took_no_time(autojump_clock: MockClock) -> None:
    quick = Bench()
    quick.sender.set_rates(LAMBDA_P, LAMBDA_L)
    slow = bench()
    for number in range(100):
        quick.submit(number)
        slow.submit(number)
    expected, seen = await times(quick, 600.0), await times(slow, 600.0)
    assert len(seen) == pytest.approx(len(expected), abs=2)
    late = [at for at, tick in zip(seen, expected, strict=False) if at != tick]
    assert len(late) <= len(expected) // 50, "but for the first, and where many come at once"
    assert isinstance(slow.sender._offload, Elsewhere)
    assert slow.sender._offload.most_running == 1
    assert slow.status.lead_seconds == pytest.approx(3 * SECONDS)


async def test_one_packet_that_took_long_does_not_make_all_later_ones_wait(autojump_clock: MockClock) -> None:
    made = bench()
    thread = made.sender._offload
    assert isinstance(thread, Elsewhere)
    thread.seconds = 0.3
    await times(made, 30.0)
    assert made.status.lead_seconds == pytest.approx(0.9)
    thread.seconds = 0.001
    await times(made, 600.0)
    assert made.status.lead_seconds == LEAD_SECONDS


async def test_where_packets_are_made_at_once_a_busy_machine_changes_no_lead(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Bench()
    made.sender.set_rates(LAMBDA_P, LAMBDA_L)
    compose = made.composer.compose

    def slowly(*arguments: Any) -> Any:
        autojump_clock.jump(0.2)  # the processor was another program's
        return compose(*arguments)

    monkeypatch.setattr(made.composer, "compose", slowly)
    await times(made, 60.0)
    assert made.status.lead_seconds == LEAD_SECONDS


@pytest.mark.parametrize("milliseconds", range(500, 2500, 97))
async def test_nothing_is_lost_or_disordered_wherever_a_link_ends(milliseconds: int, autojump_clock: MockClock) -> None:
    made = bench()
    for number in range(10):
        made.submit(number)
    await made.run(made.outlet(), milliseconds / 1000)
    assert [*made.sent_numbers(), *made.waiting_numbers()] == list(range(10))
    assert made.are_surbs_balanced()


async def until_composing(made: Bench, nursery: trio.Nursery) -> None:
    nursery.start_soon(made.sender.run, made.outlet())
    thread = made.sender._offload
    assert isinstance(thread, Elsewhere)
    while not thread.running:
        await trio.sleep(0.001)


async def test_what_is_composed_for_an_application_that_is_gone_is_dropped(autojump_clock: MockClock) -> None:
    made = bench(cover=False)
    made.submit(1)
    made.submit(2, BOB)
    async with trio.open_nursery() as nursery:
        await until_composing(made, nursery)
        made.forget(ALICE)
        nursery.cancel_scope.cancel()
    assert made.waiting_numbers() == [2]


async def test_a_message_that_is_composed_when_the_rates_change_goes_back_and_a_decoy_takes_its_tick(
    autojump_clock: MockClock,
) -> None:
    made = bench()
    made.sender.set_rates(LAMBDA_P, LAMBDA_L / 1000)
    for number in range(200):
        made.submit(number)
    async with trio.open_nursery() as nursery:
        await until_composing(made, nursery)
        assert not made.sender._prepared
        made.sender.set_rates(LAMBDA_P / 2, LAMBDA_L / 1000)
        await trio.sleep(SECONDS)
        assert made.status.put_back == 1
        assert made.status.decoys_p == 0
        await trio.sleep(SECONDS)
        assert made.status.decoys_p == 1
        await trio.sleep(60.0)
        nursery.cancel_scope.cancel()
    assert [*made.sent_numbers(), *made.waiting_numbers()] == list(range(200))
