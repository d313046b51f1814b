"""The timer queue, by cases and against a plain dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from arq import TimerQueue


def test_an_empty_queue_has_no_next_deadline() -> None:
    timers: TimerQueue[str] = TimerQueue()
    assert timers.next() is None
    assert list(timers.pop_due(1e9)) == []


def test_keys_fire_in_the_order_of_their_deadlines_and_ties_in_the_order_of_setting() -> None:
    timers: TimerQueue[str] = TimerQueue()
    for key, deadline in (("late", 9.0), ("first", 3.0), ("second", 3.0), ("early", 1.0)):
        timers.set(key, deadline)
    assert timers.next() == 1.0
    assert list(timers.pop_due(3.0)) == ["early", "first", "second"]
    assert timers.next() == 9.0


def test_a_deadline_that_is_set_again_moves() -> None:
    timers: TimerQueue[str] = TimerQueue()
    timers.set("key", 5.0)
    timers.set("key", 2.0)
    assert list(timers.pop_due(4.0)) == ["key"]
    assert list(timers.pop_due(9.0)) == []


def test_a_cancelled_key_never_fires_and_cancelling_tells_whether_it_would_have() -> None:
    timers: TimerQueue[str] = TimerQueue()
    timers.set("key", 5.0)
    assert timers.cancel("key")
    assert not timers.cancel("key")
    assert "key" not in timers
    assert timers.next() is None
    assert list(timers.pop_due(9.0)) == []


def test_a_key_cancelled_by_an_earlier_one_of_the_same_pass_does_not_fire() -> None:
    timers: TimerQueue[str] = TimerQueue()
    timers.set("first", 1.0)
    timers.set("second", 2.0)
    fired = []
    for key in timers.pop_due(9.0):
        fired.append(key)
        timers.cancel("second")
    assert fired == ["first"]


def test_cancelled_keys_do_not_stay_in_memory() -> None:
    timers: TimerQueue[int] = TimerQueue()
    for key in range(1000):
        timers.set(key, 1e6 + key)
    for key in range(999):
        timers.cancel(key)
    assert len(timers) == 1
    assert len(timers._heap) <= 3


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 5), st.integers(0, 50)),
        st.tuples(st.just("cancel"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("pop"), st.just(0), st.integers(0, 50)),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_queue_behaves_as_a_dictionary_of_deadlines(steps: list[tuple[str, int, int]]) -> None:
    timers: TimerQueue[int] = TimerQueue()
    model: dict[int, int] = {}
    for verb, key, when in steps:
        if verb == "set":
            timers.set(key, when)
            model[key] = when
        elif verb == "cancel":
            assert timers.cancel(key) == (model.pop(key, None) is not None)
        else:
            due = list(timers.pop_due(when))
            assert [model[fired] for fired in due] == sorted(at for at in model.values() if at <= when)
            for fired in due:
                del model[fired]
        assert timers.next() == min(model.values(), default=None)
        assert len(timers) == len(model)
        assert len(timers._heap) <= 2 * len(timers) + 1
