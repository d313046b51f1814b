"""The race between several ways to one gateway, on a virtual clock."""

import math
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from kpclientd.transports.errors import DialError
from kpclientd.transports.race import STAGGER_SECONDS, Race

Begun = dict[str, float]


class Way:
    """An attempt that takes its time, and then succeeds or fails; it knows what became of it."""

    def __init__(self, seconds: float, error: DialError | None = None) -> None:
        self.seconds = seconds
        self.error = error
        self.began = math.nan
        self.was_cancelled = False
        self.ours, self.theirs = trio.testing.memory_stream_pair()

    async def __call__(self) -> trio.abc.Stream:
        self.began = trio.current_time()
        try:
            await trio.sleep(self.seconds)
        except trio.Cancelled:
            self.was_cancelled = True
            raise
        if self.error is not None:
            raise self.error
        return self.ours

    async def is_closed(self) -> bool:
        with trio.move_on_after(1):
            return await self.theirs.receive_some(1) == b""
        return False


def attempts(**ways: Way) -> dict[str, Callable[[], Awaitable[trio.abc.Stream]]]:
    return dict(ways)


NEVER = math.inf


async def test_the_first_way_that_is_good_is_the_only_one(autojump_clock: trio.testing.MockClock) -> None:
    good, other = Way(STAGGER_SECONDS / 2), Way(0)
    assert await Race(attempts(good=good, other=other)).run() is good.ours
    assert trio.current_time() == STAGGER_SECONDS / 2
    assert math.isnan(other.began)


async def test_a_way_that_does_not_answer_costs_the_next_a_quarter_of_a_second(
    autojump_clock: trio.testing.MockClock,
) -> None:
    holes = [Way(NEVER), Way(NEVER)]
    good = Way(0.1)
    assert await Race(attempts(a=holes[0], b=holes[1], c=good)).run() is good.ours
    assert [way.began for way in (*holes, good)] == [0.0, 0.25, 0.5]
    assert all(hole.was_cancelled for hole in holes)
    assert trio.current_time() == 0.6


async def test_a_way_that_fails_costs_the_next_nothing(autojump_clock: trio.testing.MockClock) -> None:
    refused = [Way(0.01, DialError("refused", is_refused=True)) for _ in range(3)]
    good = Way(0.1)
    race = Race(attempts(a=refused[0], b=refused[1], c=refused[2], d=good))
    assert await race.run() is good.ours
    assert good.began == pytest.approx(0.03)


async def test_a_late_failure_brings_the_next_forward_too(autojump_clock: trio.testing.MockClock) -> None:
    slow, hole, good = Way(0.3, DialError("reset")), Way(NEVER), Way(0)
    await Race(attempts(a=slow, b=hole, c=good)).run()
    assert hole.began == 0.25
    assert good.began == pytest.approx(0.3)


async def test_an_earlier_way_still_wins_while_later_ones_are_tried(autojump_clock: trio.testing.MockClock) -> None:
    slow, hole = Way(0.4), Way(NEVER)
    assert await Race(attempts(a=slow, b=hole)).run() is slow.ours
    assert hole.was_cancelled


async def test_of_two_that_succeed_at_once_the_other_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    ways = {"a": Way(0), "b": Way(0)}
    now = trio.Event()

    def attempt(name: str) -> Callable[[], Awaitable[trio.abc.Stream]]:
        async def succeed_with_the_other() -> trio.abc.Stream:
            await now.wait()
            return ways[name].ours

        return succeed_with_the_other

    async def let_both_succeed() -> None:
        await trio.sleep(1)
        now.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_both_succeed)
        winner = await Race({name: attempt(name) for name in ways}).run()
    (loser,) = (way for way in ways.values() if way.ours is not winner)
    assert await loser.is_closed()


async def test_one_that_succeeds_as_the_race_is_called_off_is_closed() -> None:
    way = Way(0)
    with trio.CancelScope() as scope:

        async def succeed_when_cancelled() -> trio.abc.Stream:
            scope.cancel()
            return way.ours

        await Race({"a": succeed_when_cancelled}).run()
    assert scope.cancelled_caught
    assert await way.is_closed()


async def test_where_all_fail_each_is_told_with_its_reason(autojump_clock: trio.testing.MockClock) -> None:
    race = Race(attempts(a=Way(0.1, DialError("refused", is_refused=True)), b=Way(0.1, DialError("no route"))))
    with pytest.raises(DialError) as caught:
        await race.run()
    assert str(caught.value) == "a: refused; b: no route"
    assert not caught.value.is_refused


async def test_only_where_all_were_refused_nobody_listens(autojump_clock: trio.testing.MockClock) -> None:
    race = Race({name: Way(0.1, DialError("refused", is_refused=True)) for name in "ab"})
    with pytest.raises(DialError) as caught:
        await race.run()
    assert caught.value.is_refused


async def test_what_was_called_off_tells_who_did_not_answer_and_who_was_not_tried(
    autojump_clock: trio.testing.MockClock,
) -> None:
    race = Race(attempts(a=Way(0.1, DialError("refused", is_refused=True)), b=Way(NEVER), c=Way(0)))
    with trio.move_on_after(0.2):
        await race.run()
    error = race.error("no answer within 0.2 s")
    assert str(error) == "a: refused; b: no answer within 0.2 s; c: not tried"
    assert not error.is_refused


async def test_a_race_of_nobody_is_lost_at_once() -> None:
    with pytest.raises(DialError) as caught:
        await Race({}).run()
    assert not caught.value.is_refused
