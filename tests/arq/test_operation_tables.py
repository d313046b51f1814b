"""The tables of transitions: complete, and what their drawing says."""

import itertools

import pytest

from arq import Input, Kind, Operation, Policy, State
from arq.operations import TRANSITIONS, Action
from sphinx.randomness import seeded
from tests.arq.engine_bench import ALICE, message


def reachable(kind: Kind) -> set[State]:
    """The states that a table leads to from the first one."""
    found = {State.WAITING}
    while True:
        more = {target for (state, _), (target, _) in TRANSITIONS[kind].items() if state in found} - found
        if not more:
            return found
        found |= more


@pytest.mark.parametrize("kind", Kind)
def test_every_state_of_a_table_is_reached_from_the_first(kind: Kind) -> None:
    assert {state for state, _ in TRANSITIONS[kind]} | {State.ENDED} == reachable(kind)


@pytest.mark.parametrize("kind", Kind)
def test_every_state_leads_to_the_end_by_time_or_by_a_write_that_ends(kind: Kind) -> None:
    """Nothing stays for ever: what does not wait for its slot has a deadline, or a write that has one.

    What is polled asks for ever, and ends by the reply that is the last.
    """
    by_themselves = {Input.LEFT, Input.LAPSED, Input.EXPIRED}
    if kind is Kind.POLLED:
        by_themselves = {Input.LEFT, Input.RETRY, Input.DEPARTS, Input.REPLIED, Input.CONCLUDED}
    for state in reachable(kind) - {State.WAITING, State.DUE, State.ENDED}:
        seen, now = set(), {state}
        while now:
            seen |= now
            targets = {TRANSITIONS[kind].get((one, happened)) for one in now for happened in by_themselves}
            now = {target[0] for target in targets if target is not None} - seen
        assert State.ENDED in seen, state


@pytest.mark.parametrize("kind", Kind)
def test_nothing_happens_after_the_end(kind: Kind) -> None:
    assert not any((State.ENDED, happened) in TRANSITIONS[kind] for happened in Input)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.DECOY])
def test_an_application_may_go_at_any_time(kind: Kind) -> None:
    for state in reachable(kind) - {State.ENDED}:
        assert TRANSITIONS[kind][state, Input.CANCELLED] == (State.ENDED, ())


def test_what_is_polled_is_judged_after_each_reply_and_fails_only_before_the_first_packet() -> None:
    for (state, happened), (target, actions) in TRANSITIONS[Kind.POLLED].items():
        assert (target is State.JUDGED) == (happened is Input.REPLIED) == (Action.ASK_JUDGEMENT in actions)
        assert (Action.TELL_FAILED in actions) == (happened is Input.REFUSED and state is State.WAITING)
        assert not {Action.TELL_SENT, Action.TELL_REPLY, Action.TELL_GAVE_UP, Action.TELL_COLLECTED} & set(actions)


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.RELIABLE])
def test_a_reply_is_told_at_most_once_and_never_before_the_sending(kind: Kind) -> None:
    """Walk every path through the table of up to eight inputs."""

    def walk(state: State, told: tuple[Action, ...], steps: int) -> None:
        assert told.count(Action.TELL_SENT) <= 1
        finals = [told.count(action) for action in (Action.TELL_REPLY, Action.TELL_REFUSED, Action.TELL_GAVE_UP)]
        assert sum(finals) <= 1
        assert told.count(Action.TELL_COLLECTED) <= 1
        if Action.TELL_REPLY in told:
            assert Action.TELL_SENT in told[: told.index(Action.TELL_REPLY)]
        if Action.TELL_COLLECTED in told:
            assert told[-1] is Action.TELL_COLLECTED
        if steps:
            for happened in Input:
                target = TRANSITIONS[kind].get((state, happened))
                if target is not None and target[0] is not state:
                    walk(target[0], told + tuple(one for one in target[1] if one.name.startswith("TELL")), steps - 1)

    walk(State.WAITING, (), 8)


@pytest.mark.parametrize(("kind", "state", "happened"), list(itertools.product(Kind, State, Input)))
def test_what_is_not_in_the_table_changes_nothing(kind: Kind, state: State, happened: Input) -> None:
    operation = Operation(1, kind, message=None if kind is Kind.DECOY else message(reliable=True), state=state)
    actions = operation.handle(happened, 5.0, Policy(), seeded(b"table"))
    expected = TRANSITIONS[kind].get((state, happened), (state, ()))
    assert (operation.state, actions) == expected


def test_a_deadline_goes_before_a_retransmission() -> None:
    operation = Operation(1, Kind.RELIABLE, retry_at=10.0, expires_at=10.0)
    assert operation.next_timer() == 10.0
    assert operation.due_input(9.999) is None
    assert operation.due_input(10.0) is Input.EXPIRED


def test_a_retransmission_is_due_between_twenty_and_forty_seconds_after_the_estimated_reply() -> None:
    randomness, policy = seeded(b"spread"), Policy()
    waits = []
    for _ in range(400):
        operation = Operation(1, Kind.RELIABLE, ALICE, message(reliable=True), State.LEAVING, eta=3.0)
        operation.handle(Input.LEFT, 100.0, policy, randomness)
        assert operation.retry_at is not None
        waits.append(operation.retry_at - 103.0)
    assert 20.0 < min(waits) < 21.0
    assert 39.0 < max(waits) <= 40.0
    assert abs(sum(waits) / len(waits) - 30.0) < 1.0
