"""The budget of unfinished frames: who is ended when too much is held, and who never is."""

import math
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kpclientd.thin.budget import BUDGET, FrameBudget
from kpclientd.thin.framing import MAX_FRAME


@dataclass(eq=False)
class Holder:
    closed: list[str] = field(default_factory=list)

    def close(self, reason: str) -> None:
        self.closed.append(reason)


def test_the_longest_frame_fits_beside_what_others_have_begun() -> None:
    assert BUDGET >= MAX_FRAME + 4 * 1024 * 1024


def test_of_too_much_the_frame_that_began_first_is_ended_however_small_it_is() -> None:
    budget = FrameBudget(100)
    old, fast, third = Holder(), Holder(), Holder()
    budget.hold(old, 10, since=1.0)
    budget.hold(third, 20, since=3.0)
    budget.hold(fast, 70, since=2.0)
    assert (budget.held, old.closed, fast.closed, third.closed) == (100, [], [], [])
    budget.hold(fast, 71, since=2.0)
    assert (old.closed, fast.closed, third.closed) == (
        ["the 10 bytes of its unfinished frame are too many beside those of others"],
        [],
        [],
    )
    assert (budget.held, budget.ended, budget.oldest()) == (91, 1, 2.0)


def test_as_many_are_ended_as_have_to_be() -> None:
    budget = FrameBudget(100)
    holders = [Holder() for _ in range(5)]
    for number, holder in enumerate(holders):
        budget.hold(holder, 20, since=float(number))
    newcomer = Holder()
    budget.hold(newcomer, 50, since=9.0)
    assert [len(holder.closed) for holder in holders] == [1, 1, 1, 0, 0]
    assert (newcomer.closed, budget.held, budget.ended) == ([], 90, 3)


def test_a_frame_alone_over_the_budget_is_ended() -> None:
    budget = FrameBudget(100)
    only = Holder()
    budget.hold(only, 101, since=1.0)
    assert (len(only.closed), budget.held) == (1, 0)


def test_what_is_finished_is_held_no_longer() -> None:
    budget = FrameBudget(100)
    holder = Holder()
    budget.hold(holder, 60, since=1.0)
    budget.hold(holder, 0, since=math.inf)
    assert (budget.held, budget.oldest()) == (0, math.inf)
    budget.hold(Holder(), 100, since=2.0)
    assert (holder.closed, budget.ended) == ([], 0)


def test_who_has_ended_holds_nothing_and_is_not_ended_again() -> None:
    budget = FrameBudget(100)
    holder = Holder()
    budget.hold(holder, 100, since=1.0)
    budget.forget(holder)
    budget.forget(holder)
    assert budget.held == 0
    budget.hold(Holder(), 100, since=2.0)
    assert holder.closed == []


def test_a_sender_that_is_read_as_fast_as_it_sends_is_never_ended_by_slow_ones() -> None:
    """Each frame of the fast one begins after all that stall, however long it is."""
    budget = FrameBudget(1000)
    slow = [Holder() for _ in range(200)]
    fast = Holder()
    for number, holder in enumerate(slow):
        now = float(number)
        budget.hold(holder, 50, since=now)
        for size in range(0, 901, 100):
            budget.hold(fast, size, since=now + 0.5)
        budget.hold(fast, 0, since=math.inf)
        assert fast.closed == []
        assert budget.held <= 1000
    assert budget.ended >= 190


class BudgetMachine(RuleBasedStateMachine):
    """Against a plain map of what everybody holds since when."""

    @initialize()
    def start(self) -> None:
        self.budget = FrameBudget(100)
        self.holders = [Holder() for _ in range(5)]
        self.held: dict[Holder, tuple[int, float]] = {}
        self.clock = 0.0
        self.ended: list[Holder] = []

    @rule(place=st.integers(0, 4), size=st.integers(0, 60))
    def hold(self, place: int, size: int) -> None:
        holder = self.holders[place]
        self.clock += 1.0
        since = self.held[holder][1] if holder in self.held else self.clock
        self.budget.hold(holder, size, since)
        self.held[holder] = (size, since)
        if not size:
            del self.held[holder]
        while sum(size for size, _ in self.held.values()) > 100:
            oldest = min(self.held, key=lambda holder: self.held[holder][1])
            del self.held[oldest]
            self.ended.append(oldest)

    @rule(place=st.integers(0, 4))
    def forget(self, place: int) -> None:
        self.budget.forget(self.holders[place])
        self.held.pop(self.holders[place], None)

    @invariant()
    def what_is_held_is_what_the_model_holds(self) -> None:
        assert self.budget.held == sum(size for size, _ in self.held.values()) <= 100
        assert self.budget.oldest() == min((since for _, since in self.held.values()), default=math.inf)
        assert [len(holder.closed) for holder in self.holders] == [self.ended.count(one) for one in self.holders]
        assert self.budget.ended == len(self.ended)


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
