"""Fair queues: the reference's own scenarios, and what becomes of owners that are away."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

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


# -- owners that are away


def test_those_that_are_away_share_one_turn_among_the_present() -> None:
    queues = queues_of(A=4, x=2, y=2, z=2, B=4)
    for owner in "xyz":
        queues.set_away(owner, True)
    served = picks(queues, 12)
    assert served == ["A", "B", "x", "A", "B", "y", "A", "B", "z", "A", "B", "x"]
    assert picks(queues, 3) == ["y", "z", None]


def test_what_an_owner_has_waiting_stays_when_it_goes_and_comes() -> None:
    queues = queues_of(A=2)
    queues.push_resend("A", "again")
    queues.set_away("A", True)
    assert len(queues) == 3
    queues.set_away("A", False)
    assert picks(queues, 4) == ["again", "A", "A", None]


def test_more_can_be_put_for_an_owner_that_is_away() -> None:
    queues = queues_of(A=0)
    queues.set_away("A", True)
    queues.register("A")
    assert queues.push("A", "later")
    assert queues.put_back("A", "first", resend=False)
    assert picks(queues, 3) == ["first", "later", None]


def test_an_owner_that_comes_back_stands_at_the_end_and_has_a_turn_of_its_own() -> None:
    queues = queues_of(A=3, B=3, x=3, y=3)
    queues.set_away("x", True)
    queues.set_away("y", True)
    assert picks(queues, 3) == ["A", "B", "x"]
    queues.set_away("x", False)
    assert picks(queues, 8) == ["A", "B", "y", "x", "A", "B", "y", "x"]


def test_when_the_last_that_was_away_goes_nobody_stands_for_it() -> None:
    queues = queues_of(A=3, x=3)
    queues.set_away("x", True)
    assert queues.remove("x") == ["x", "x", "x"]
    assert picks(queues, 4) == ["A", "A", "A", None]
    queues.register("x")
    queues.push("x", "x")
    assert queues.lengths() == {"A": (0, 0), "x": (1, 0)}
    assert queues.pick() == "x"


def test_saying_the_same_twice_changes_no_turn() -> None:
    queues = queues_of(A=2, x=2, y=2)
    for _ in range(2):
        queues.set_away("x", True)
    queues.set_away("y", True)
    assert picks(queues, 2) == ["A", "x"]
    queues.set_away("x", True)
    queues.set_away("A", False)
    queues.set_away("nobody", True)
    assert picks(queues, 5) == ["A", "y", "x", "y", None]


def test_what_one_owner_has_can_be_anothers_behind_its_own() -> None:
    queues: FairQueues[str, int] = FairQueues()
    for owner, numbers in (("A", (1, 2)), ("B", (3, 4))):
        queues.register(owner)
        for number in numbers:
            queues.push(owner, number)
            queues.push_resend(owner, 10 * number)
    queues.merge("B", into="A")
    assert queues.lengths() == {"A": (4, 4)}
    assert [queues.pick() for _ in range(9)] == [10, 20, 30, 40, 1, 2, 3, 4, None]
    assert not queues.push("B", 5)


def test_an_owner_that_has_nothing_can_be_merged_and_one_that_is_not_there_gets_a_place() -> None:
    queues = queues_of(A=1)
    queues.merge("nobody", into="A")
    assert queues.lengths() == {"A": (1, 0)}
    queues.merge("A", into="B")
    assert queues.lengths() == {"B": (1, 0)}
    assert queues.pick() == "A"


def test_an_owner_is_forgotten_only_where_nothing_of_it_waits() -> None:
    queues = queues_of(A=1, B=0)
    for owner in "ABC":
        queues.forget_idle(owner)
    assert queues.lengths() == {"A": (1, 0)}
    queues.pick()
    queues.forget_idle("A")
    assert queues.lengths() == {}
    assert not queues.push("A", "A")
