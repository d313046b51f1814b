"""The arithmetic of the timing measurement; the times themselves are a benchmark's, not a test's."""

import math
import random

import pytest

from benchmarks.timing_leaks import Work, changed, copied, cropped, early_exit, growth, leaks, measure, welch_t, works


def test_t_is_that_of_a_worked_example() -> None:
    # Means 3 and 6, variances 2.5 and 2.5, five values each: t = -3 / sqrt(2 * 2.5 / 5).
    assert welch_t([1, 2, 3, 4, 5], [4, 5, 6, 7, 8]) == pytest.approx(-3.0)


def test_t_of_unequal_samples_takes_each_ones_own_variance() -> None:
    expected = (2 - 20) / math.sqrt(1 / 3 + 200 / 3 / 4)
    assert welch_t([1, 2, 3], [10, 20, 20, 30]) == pytest.approx(expected)


def test_t_of_too_few_or_constant_samples_is_defined() -> None:
    assert welch_t([1.0], [2.0, 3.0]) == 0.0
    assert welch_t([2, 2], [2, 2]) == 0.0
    assert welch_t([2, 2], [3, 3]) == -math.inf


def test_the_slowest_tenth_does_not_count() -> None:
    first, second = cropped([1, 2, 3, 4, 1000], [1, 2, 3, 4, 5])
    assert 1000 not in first
    assert second == [1, 2, 3, 4, 5]


def test_a_difference_that_grows_with_the_samples_is_a_leak_and_noise_is_none() -> None:
    draws = random.Random(7)
    noise = [[draws.gauss(100, 10) for _ in range(4000)] for _ in range(2)]
    assert not leaks(growth((noise[0], noise[1])))
    slower = [value + 2 for value in noise[1]]
    assert leaks(growth((noise[0], slower)))


def test_a_single_excursion_is_no_leak() -> None:
    assert not leaks([0.1, 0.2, 1.0, 5.0])
    assert not leaks([6.0, 6.0, 5.5, 4.6])
    assert leaks([-3.0, -6.0, -7.5, -9.0])


def test_every_input_is_measured_in_its_class() -> None:
    made: list[int] = []

    def make(kind: int, draws: random.Random) -> int:
        made.append(kind)
        return kind

    ran: list[int] = []
    times = measure(Work("nothing", make, ran.append), 512, random.Random(1))
    assert ran == made
    assert (len(times[0]), len(times[1])) == (made.count(0), made.count(1))


def test_classes_differ_in_content_alone() -> None:
    data = bytes(range(40))
    assert copied(data) == data
    assert copied(data) is not data
    assert changed(data, 0, 39)[1:] == data[1:]
    assert changed(data, 1, 39)[:39] == data[:39]
    assert not early_exit(data, changed(data, 1, 39))


def test_every_work_runs_on_inputs_of_both_classes() -> None:
    draws = random.Random(3)
    for work in works():
        for kind in (0, 1):
            work.run(work.make(kind, draws))
