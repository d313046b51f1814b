"""Fair queues: the reference's own scenarios, and every order of calls against a plain model."""

from collections import Counter, deque

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kpclientd.traffic.queues import FairQueues


def queues_of(**waiting: int) -> FairQueues[str, str]:
    """Owners in this order, with as many requests each; a request is named by its owner."""
    queues: FairQueues[str, str] = FairQueues()
    for owner, count in waiting.items():
        queues.register(owner)
        for _ in range(count):
            assert queues.push(owner, owner)
    return queues


def picks(queues: FairQueues[str, str], count: int) -> list[str | None]:
    return [queues.pick() for _ in range(count)]


def test_a_burst_of_one_owner_does_not_hold_up_another() -> None:
    assert picks(queues_of(A=100, B=1), 4) == ["A", "B", "A", "A"]


def test_without_owners_nothing_is_picked() -> None:
    assert queues_of().pick() is None


def test_where_nothing_waits_nothing_is_picked() -> None:
    assert picks(queues_of(A=0, B=0), 3) == [None, None, None]


def test_owners_with_nothing_to_send_are_passed_over() -> None:
    assert picks(queues_of(A=0, B=1, C=1), 3) == ["B", "C", None]


def test_a_retransmission_goes_before_the_requests_of_its_owner() -> None:
    queues = queues_of(A=1)
    queues.push_resend("A", "again")
    assert picks(queues, 3) == ["again", "A", None]


def test_a_retransmission_does_not_go_before_anothers_turn() -> None:
    queues = queues_of(A=1, B=1)
    queues.push_resend("B", "again")
    assert picks(queues, 4) == ["A", "again", "B", None]


def test_turns_stay_in_order_when_an_owner_goes() -> None:
    queues = queues_of(A=1, B=1, C=2)
    assert queues.pick() == "A"
    assert queues.remove("B") == ["B"]
    assert picks(queues, 3) == ["C", "C", None]


def test_the_last_owner_may_go_and_others_come() -> None:
    queues = queues_of(A=2)
    assert queues.pick() == "A"
    assert queues.remove("A") == ["A"]
    assert queues.remove("A") == []
    queues.register("B")
    queues.push("B", "B")
    assert queues.pick() == "B"


def test_registering_twice_keeps_place_and_items() -> None:
    queues = queues_of(A=1, B=1)
    queues.register("A")
    assert picks(queues, 3) == ["A", "B", None]


def test_what_was_put_back_goes_first_again() -> None:
    queues = queues_of(A=2)
    assert queues.pick() == "A"
    assert queues.put_back("A", "back", resend=False)
    assert picks(queues, 3) == ["back", "A", None]


def test_nothing_is_taken_from_owners_that_are_not_registered() -> None:
    queues = queues_of(A=1)
    assert not queues.push("X", "x")
    assert not queues.push_resend("X", "x")
    assert not queues.put_back("X", "x", resend=True)
    assert len(queues) == 1


@given(st.dictionaries(st.sampled_from("ABCDE"), st.integers(1, 6), min_size=1))
def test_no_owner_is_served_twice_while_another_waits(waiting: dict[str, int]) -> None:
    queues = queues_of(**waiting)
    left, served = Counter(waiting), []
    while (owner := queues.pick()) is not None:
        served.append(owner)
        left[owner] -= 1
        for other in waiting:
            if left[other]:
                since = len(served) - 1 - served[::-1].index(other) if other in served else -1
                assert max(Counter(served[since + 1 :]).values(), default=0) <= 1
    assert Counter(served) == waiting


class FairQueuesMachine(RuleBasedStateMachine):
    """The model keeps whose turn is next by name instead of by place."""

    @initialize()
    def start(self) -> None:
        self.queues: FairQueues[str, int] = FairQueues()
        self.waiting: dict[str, tuple[deque[int], deque[int]]] = {}  # in the order of registration
        self.next: str | None = None
        self.serial = 0

    def _after(self, owner: str) -> str:
        order = list(self.waiting)
        return order[(order.index(owner) + 1) % len(order)]

    owners = st.sampled_from("ABCD")

    @rule(owner=owners)
    def register(self, owner: str) -> None:
        self.queues.register(owner)
        self.waiting.setdefault(owner, (deque(), deque()))
        self.next = self.next or owner

    @rule(owner=owners)
    def remove(self, owner: str) -> None:
        if owner == self.next:
            self.next = self._after(owner) if len(self.waiting) > 1 else None
        resends, requests = self.waiting.pop(owner, (deque(), deque()))
        assert self.queues.remove(owner) == [*resends, *requests]

    @rule(owner=owners, resend=st.booleans(), first=st.booleans())
    def put(self, owner: str, resend: bool, first: bool) -> None:
        self.serial += 1
        if first:
            taken = self.queues.put_back(owner, self.serial, resend=resend)
        elif resend:
            taken = self.queues.push_resend(owner, self.serial)
        else:
            taken = self.queues.push(owner, self.serial)
        assert taken == (owner in self.waiting)
        if taken:
            lane = self.waiting[owner][not resend]
            lane.appendleft(self.serial) if first else lane.append(self.serial)

    @rule()
    def pick(self) -> None:
        expected = None
        if self.next is not None:
            for _ in self.waiting:
                resends, requests = self.waiting[self.next]
                lane = resends or requests
                self.next = self._after(self.next)
                if lane:
                    expected = lane.popleft()
                    break
            else:
                self.next = self._after(self.next)
        assert self.queues.pick() == expected

    @invariant()
    def as_much_waits_as_in_the_model(self) -> None:
        assert len(self.queues) == sum(len(lane) for lanes in self.waiting.values() for lane in lanes)


TestFairQueuesMachine = FairQueuesMachine.TestCase
TestFairQueuesMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
