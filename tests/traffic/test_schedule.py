"""The schedule: means, the cap, the law of the intervals, and the ticks of two processes drawn ahead."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.traffic.schedule import (
    LAG_SECONDS,
    Process,
    SendSchedule,
    Tick,
    draw_interval,
    interval_cap_ms,
    mean_interval_ms,
)
from sphinx.randomness import Randomness, seeded
from tests.support.significance import exponential_p_value, p_value

DRAWS = 20_000
SIGNIFICANCE = 0.01


@pytest.mark.parametrize(("rate", "mean"), [(0.001, 1000), (0.0005, 2000), (0.005, 200), (0.003, 333), (1.0, 1)])
def test_the_mean_is_the_rates_inverse_in_whole_milliseconds(rate: float, mean: int) -> None:
    assert mean_interval_ms(rate) == mean


@pytest.mark.parametrize("rate", [0.0, -0.001, 2.0, math.inf, -math.inf, math.nan, 5e-324])
def test_a_rate_that_gives_no_mean_keeps_the_process_off(rate: float) -> None:
    assert mean_interval_ms(rate) == 0


@given(st.floats())
def test_no_rate_of_a_document_is_a_fault(rate: float) -> None:
    mean = mean_interval_ms(rate)
    assert mean >= 0
    if mean:
        assert 0 <= draw_interval(mean, seeded(b"any")) < 1e12


@pytest.mark.parametrize(("mean", "cap"), [(1000, 27632), (2000, 55263), (200, 5527)])
def test_the_cap_is_the_references(mean: int, cap: int) -> None:
    assert interval_cap_ms(mean) == cap


def test_the_longest_draw_is_cut_to_the_cap() -> None:
    least_uniform = Randomness(bytes)  # zeros: the rarest draw of all
    assert least_uniform.exponential(1000) > interval_cap_ms(1000)
    assert draw_interval(1000, least_uniform) == interval_cap_ms(1000) / 1000


def test_the_shortest_draw_is_no_time_at_all() -> None:
    assert draw_interval(1000, Randomness(lambda length: b"\xff" * length)) == pytest.approx(0.0, abs=1e-9)


def test_draws_are_of_the_exponential_distribution_and_on_no_grid_of_milliseconds() -> None:
    randomness = seeded(b"intervals")
    draws = [draw_interval(1000, randomness) for _ in range(DRAWS)]
    assert p_value([draw * 1000 % 1 for draw in draws], lambda part: part) > SIGNIFICANCE
    assert abs(sum(draws) / DRAWS - 1) < 0.02
    assert exponential_p_value(draws, 1.0) > SIGNIFICANCE


def test_the_test_of_the_law_rejects_another_law() -> None:
    randomness = seeded(b"intervals")
    draws = [draw_interval(1000, randomness) for _ in range(DRAWS)]
    assert exponential_p_value(draws, 1.05) < SIGNIFICANCE
    assert exponential_p_value([2 * randomness.uniform() for _ in range(DRAWS)], 1.0) < SIGNIFICANCE


# -- two processes


def schedule_of(lambda_p: float, lambda_l: float, *, cover: bool = True, seed: bytes = b"schedule") -> SendSchedule:
    schedule = SendSchedule(seeded(seed), cover=cover)
    schedule.set_rates(lambda_p, lambda_l)
    return schedule


def ticks(schedule: SendSchedule, count: int, now: float = 0.0) -> list[Tick]:
    return [schedule.take(now) for _ in range(count)]


def intervals(begin: float, taken: list[Tick], process: Process) -> list[float]:
    times = [begin, *(tick.at for tick in taken if tick.process is process)]
    return [later - earlier for earlier, later in pairwise(times)]


def test_before_the_start_and_without_rates_there_is_no_tick() -> None:
    schedule = SendSchedule(seeded(b"schedule"), cover=True)
    schedule.start(0.0)
    assert schedule.next_at() == math.inf
    schedule.set_rates(0.001, 0.001)
    assert schedule.next_at() == math.inf


def test_ticks_are_drawn_ahead_and_taken_earliest_first() -> None:
    schedule = schedule_of(0.001, 0.002)
    schedule.start(100.0)
    taken = []
    for _ in range(2000):
        announced = schedule.next_at()
        taken.append(schedule.take(100.0))
        assert taken[-1].at == announced
    times = [tick.at for tick in taken]
    assert times == sorted(times)
    assert times[0] >= 100.0
    assert times[-1] > 600.0, "they were taken long before their time"
    assert {tick.process for tick in taken} == set(Process)


@pytest.mark.parametrize(("process", "mean"), [(Process.P, 1.0), (Process.L, 0.5)])
def test_each_process_keeps_its_own_law_whatever_the_other_does(process: Process, mean: float) -> None:
    schedule = schedule_of(0.001, 0.002)
    schedule.start(0.0)
    drawn = intervals(0.0, ticks(schedule, 12_000), process)
    assert len(drawn) > 3000
    assert exponential_p_value(drawn, mean) > SIGNIFICANCE


def test_the_draws_of_one_process_do_not_depend_on_the_rate_of_the_other() -> None:
    one, other = schedule_of(0.001, 0.002), schedule_of(0.001, 0.0005)
    for schedule in (one, other):
        schedule.start(0.0)
    first = [tick.at for tick in ticks(one, 300) if tick.process is Process.P][:90]
    second = [tick.at for tick in ticks(other, 300) if tick.process is Process.P][:90]
    assert first == second
    assert len(first) == 90


def test_a_start_forgets_what_was_drawn_and_waits_from_then_on_as_at_the_first() -> None:
    """Memoryless: the time from a restart to the next tick has the law of the intervals, however long it had waited."""
    schedule = schedule_of(0.001, 0.0)
    schedule.start(0.0)
    now, waits = 0.0, []
    for _ in range(4000):
        now += 0.7
        schedule.start(now)
        waits.append(schedule.next_at() - now)
    assert exponential_p_value(waits, 1.0) > SIGNIFICANCE


def test_new_rates_count_from_the_next_start_on() -> None:
    schedule = schedule_of(1e-6, 0.0)
    schedule.start(0.0)
    assert schedule.set_rates(0.001, 0.0)
    schedule.start(10.0)
    taken = ticks(schedule, 1000, now=10.0)
    assert 10.0 <= taken[0].at < 40.0
    assert abs(taken[-1].at - 1010.0) < 150.0


def test_rates_are_new_only_where_a_mean_changes() -> None:
    schedule = SendSchedule(seeded(b"schedule"), cover=True)
    assert schedule.set_rates(0.001, 0.002)
    assert not schedule.set_rates(0.001, 0.002)
    assert not schedule.set_rates(0.001, 0.0019999999)
    assert schedule.set_rates(0.002, 0.002)


@pytest.mark.parametrize(
    ("rates", "means"),
    [
        ((0.002, 0.004), (500, 250)),
        ((0.002, 0.0), (500, 2000)),
        ((0.002, -1.0), (500, 2000)),
        ((0.0, 0.004), (1000, 2000)),
        ((-1.0, 0.004), (1000, 2000)),
        ((math.nan, 0.004), (1000, 2000)),
        ((2.0, 0.004), (0, 250)),
    ],
)
def test_rates_that_are_not_positive_leave_the_reference_means(
    rates: tuple[float, float], means: tuple[int, int]
) -> None:
    schedule = schedule_of(0.001, 0.0005)
    schedule.set_rates(*rates)
    assert schedule.means_ms == {Process.P: means[0], Process.L: means[1]}


def test_without_cover_the_second_process_never_runs() -> None:
    schedule = schedule_of(0.001, 0.01, cover=False)
    schedule.start(0.0)
    assert schedule.means_ms[Process.L] == 0
    assert {tick.process for tick in ticks(schedule, 200)} == {Process.P}


def test_a_process_that_lags_goes_on_from_the_present_and_the_other_is_not_touched() -> None:
    schedule = schedule_of(0.001, 1e-9)
    schedule.start(0.0)
    first = schedule.next_at()
    late = schedule.take(first + 500.0)
    assert late.at == first + 500.0
    assert schedule.next_at() >= first + 500.0
    following = ticks(schedule, 50, now=first + 500.0)
    assert following[0].at >= first + 500.0
    assert {tick.process for tick in following} == {Process.P}
    assert sum(tick.at <= first + 501.0 for tick in following) < 8, "of some five hundred that passed meanwhile"


@pytest.mark.parametrize(("lateness", "kept"), [(0.0, True), (LAG_SECONDS / 2, True), (LAG_SECONDS * 1.01, False)])
def test_a_tick_keeps_its_time_if_it_is_late_by_no_more_than_the_lag(lateness: float, kept: bool) -> None:
    schedule = schedule_of(0.001, 0.0)
    schedule.start(0.0)
    drawn = schedule.next_at()
    assert schedule.take(drawn + lateness).at == (drawn if kept else drawn + lateness)
