"""The turn: one in each pass of the loop, handed round fairly, ended by time or by count."""

from collections import Counter
from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from kpclientd.thin.turns import FRESH_IN_A_ROW, STEPS_IN_A_TURN, TURN_SECONDS, AppTurns


class Passes(trio.abc.Instrument):
    """Counts the passes of the event loop."""

    def __init__(self) -> None:
        self.number = 0

    def before_io_wait(self, timeout: float) -> None:
        self.number += 1


class Bench:
    def __init__(self, nursery: trio.Nursery, turns: AppTurns | None = None) -> None:
        self.nursery = nursery
        self.turns = turns or AppTurns()
        self.order: list[str] = []
        self.passes = Passes()
        self.taken_in: list[int] = []
        trio.lowlevel.add_instrument(self.passes)
        nursery.start_soon(self.turns.run)

    def note(self, name: str) -> None:
        self.order.append(name)
        self.taken_in.append(self.passes.number)

    async def once(self, name: str) -> None:
        await self.turns.take()
        self.note(name)
        self.turns.give()

    async def again_and_again(self, name: str, times: int) -> None:
        """As a connection does it: the turn is given back whatever happens."""
        await self.turns.take()
        try:
            for number in range(times):
                self.note(name)
                if number < times - 1:
                    await self.turns.again()
        finally:
            self.turns.give()


async def passes(count: int) -> None:
    """Let the loop go round so often; tasks are never all blocked while somebody holds the turn."""
    for _ in range(count):
        await trio.lowlevel.checkpoint()


async def test_who_takes_it_first_has_it_at_once() -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        await wait_all_tasks_blocked()
        before = bench.passes.number
        await bench.once("only")
        assert bench.passes.number == before, "no pass of the loop was waited for"
        nursery.cancel_scope.cancel()


async def test_of_many_that_are_ready_one_has_its_turn_in_each_pass_of_the_loop() -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        for number in range(50):
            nursery.start_soon(bench.once, str(number))
        await wait_all_tasks_blocked()
        assert sorted(bench.order, key=int) == [str(number) for number in range(50)]
        assert len(set(bench.taken_in)) == 50
        assert max(bench.taken_in) - min(bench.taken_in) < 110, "and not many passes later"
        assert bench.turns.taken == 50
        nursery.cancel_scope.cancel()


async def test_others_have_their_own_between_two_turns() -> None:
    ran: list[int] = []

    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)

        async def other() -> None:
            while True:
                ran.append(bench.passes.number)
                await trio.lowlevel.checkpoint()

        nursery.start_soon(other)
        await trio.lowlevel.checkpoint()
        await bench.again_and_again("application", 10)
        nursery.cancel_scope.cancel()
    taken = bench.taken_in
    assert len(set(taken)) == 10
    assert ran.count(taken[0]) <= 1
    assert [ran.count(number) for number in range(taken[0] + 1, taken[-1])] == [1] * (taken[-1] - taken[0] - 1)


async def test_two_turns_of_one_task_are_in_two_passes_even_where_nobody_else_waits() -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        for _ in range(5):
            await bench.once("same")
        assert len(set(bench.taken_in)) == 5
        nursery.cancel_scope.cancel()


async def test_those_that_are_fresh_go_before_those_that_need_it_again() -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        await bench.turns.take()
        nursery.start_soon(bench.again_and_again, "long", 4)
        await passes(5)
        for number in range(FRESH_IN_A_ROW):
            nursery.start_soon(bench.once, str(number))
        await passes(5)
        await bench.turns.again()
        bench.note("main")
        bench.turns.give()
        await wait_all_tasks_blocked()
        assert bench.order[0] == "long", "which came first"
        fresh, again = bench.order[1:FRESH_IN_A_ROW], bench.order[FRESH_IN_A_ROW:]
        assert all(name.isdigit() for name in fresh)
        assert [name for name in again if not name.isdigit()] == ["main", "long", "long", "long"]
        nursery.cancel_scope.cancel()


async def test_those_that_need_it_again_are_not_starved_by_those_that_are_fresh() -> None:
    async def come_for_ever(name: str) -> None:
        while True:
            await bench.once(name)

    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        nursery.start_soon(bench.again_and_again, "long", 5)
        for number in range(3):
            nursery.start_soon(come_for_ever, f"fresh {number}")
        while bench.order.count("long") < 5:
            assert len(bench.order) < 100
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    places = [place for place, name in enumerate(bench.order) if name == "long"]
    gaps = [later - earlier - 1 for earlier, later in pairwise(places)]
    assert max(gaps) == FRESH_IN_A_ROW


async def test_all_that_need_it_again_have_it_in_turns() -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        for name in "abc":
            nursery.start_soon(bench.again_and_again, name, 4)
        await wait_all_tasks_blocked()
        rounds = [bench.order[place : place + 3] for place in range(0, 12, 3)]
        assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
        assert rounds[1] == rounds[2] == rounds[3]
        nursery.cancel_scope.cancel()


async def test_who_is_cancelled_while_waiting_leaves_the_line_and_holds_nobody_up() -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        scopes = [trio.CancelScope() for _ in range(5)]

        async def waiter(number: int) -> None:
            with scopes[number]:
                await bench.once(str(number))

        await bench.turns.take()
        for number in range(5):
            nursery.start_soon(waiter, number)
        await passes(10)
        assert bench.order == []
        for number in (0, 2, 4):
            scopes[number].cancel()
        await passes(10)
        assert bench.order == []
        bench.turns.give()
        await wait_all_tasks_blocked()
        assert sorted(bench.order) == ["1", "3"]
        await bench.once("later")
        nursery.cancel_scope.cancel()
    assert bench.order[-1] == "later"


async def test_who_is_cancelled_while_asking_again_leaves_the_line_too() -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        scope = trio.CancelScope()

        async def doomed() -> None:
            await bench.turns.take()
            with scope:
                scope.cancel()
                await bench.turns.again()
            bench.note("not again")
            bench.turns.give()

        nursery.start_soon(doomed)
        await wait_all_tasks_blocked()
        await bench.once("next")
        assert bench.order == ["not again", "next"]
        nursery.cancel_scope.cancel()


async def test_nobody_has_it_while_somebody_holds_it_over_a_wait() -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        await bench.turns.take()
        nursery.start_soon(bench.once, "other")
        await passes(20)
        assert bench.order == []
        bench.turns.give()
        await wait_all_tasks_blocked()
        assert bench.order == ["other"]
        nursery.cancel_scope.cancel()


# -- how long a turn is


async def test_where_the_clock_stands_still_a_turn_ends_by_count(mock_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        for _ in range(3):
            await bench.turns.take()
            answers = [bench.turns.is_over() for _ in range(STEPS_IN_A_TURN + 1)]
            assert answers == [False] * (STEPS_IN_A_TURN - 1) + [True, True]
            bench.turns.give()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("seconds", "over"), [(0.0, False), (TURN_SECONDS * 0.9, False), (TURN_SECONDS * 1.1, True)])
async def test_a_turn_ends_by_time(seconds: float, over: bool, mock_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery)
        mock_clock.jump(1000.0)
        await bench.turns.take()
        mock_clock.jump(seconds)
        assert bench.turns.is_over() == over
        await bench.turns.again()
        assert not bench.turns.is_over(), "and the next one is as long"
        nursery.cancel_scope.cancel()


async def test_a_turn_may_be_of_another_length(mock_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, AppTurns(seconds=5.0, steps=3))
        await bench.turns.take()
        mock_clock.jump(4.9)
        assert not bench.turns.is_over()
        mock_clock.jump(0.2)
        assert bench.turns.is_over()
        await bench.turns.again()
        assert [bench.turns.is_over() for _ in range(3)] == [False, False, True]
        nursery.cancel_scope.cancel()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.integers(0, 6), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_whoever_comes_when_and_is_cancelled_or_not_everybody_else_has_all_turns(
    tasks: list[tuple[int, int, bool]],
) -> None:
    """Each task comes after some passes, and needs some turns; some are cancelled when they have waited for one."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            bench = Bench(nursery)

            async def come(name: str, turns: int, after: int, doomed: bool) -> None:
                await passes(after)
                with trio.CancelScope() as scope:
                    if doomed:
                        nursery.start_soon(end, scope)
                    await bench.again_and_again(name, turns)

            async def end(scope: trio.CancelScope) -> None:
                await trio.lowlevel.checkpoint()
                scope.cancel()

            for number, (turns, after, doomed) in enumerate(tasks):
                nursery.start_soon(come, str(number), turns, after, doomed)
            await wait_all_tasks_blocked()
            for number, (turns, _, doomed) in enumerate(tasks):
                if not doomed:
                    assert bench.order.count(str(number)) == turns
            # Two where one waited, ended before the usher looked, and the other came behind the usher; never more.
            assert max(Counter(bench.taken_in).values()) <= 2
            nursery.cancel_scope.cancel()

    trio.run(main)
