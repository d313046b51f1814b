"""The statistics themselves: they accept what is so, and notice what is not."""

import random
from itertools import pairwise

import pytest

from tests.support.significance import exponential_p_value, independence_p_value, two_sample_p_value

ROUNDS = 400
SAMPLES = 400
SIGNIFICANCE = 0.05


def drawn(draws: random.Random, mean: float, samples: int = SAMPLES) -> list[float]:
    return [draws.expovariate(1 / mean) for _ in range(samples)]


def test_samples_of_one_distribution_are_told_apart_as_rarely_as_the_level_says() -> None:
    draws = random.Random(1)
    rejected = sum(two_sample_p_value(drawn(draws, 3), drawn(draws, 3, 300)) < SIGNIFICANCE for _ in range(ROUNDS))
    assert 0.5 * SIGNIFICANCE * ROUNDS < rejected < 1.6 * SIGNIFICANCE * ROUNDS


def test_samples_of_two_distributions_are_told_apart() -> None:
    draws = random.Random(2)
    assert two_sample_p_value(drawn(draws, 3), drawn(draws, 5)) < 1e-4
    assert exponential_p_value(drawn(draws, 3), 5) < 1e-4


def test_independent_samples_are_taken_for_dependent_as_rarely_as_the_level_says() -> None:
    draws = random.Random(4)
    rejected = sum(independence_p_value(drawn(draws, 3)) < SIGNIFICANCE for _ in range(ROUNDS))
    assert 0.4 * SIGNIFICANCE * ROUNDS < rejected < 1.8 * SIGNIFICANCE * ROUNDS


def test_samples_that_depend_on_the_one_before_are_noticed() -> None:
    independent = drawn(random.Random(5), 3, 2000)
    assert independence_p_value([later + 0.2 * earlier for earlier, later in pairwise(independent)]) < 1e-4


def test_an_interval_below_zero_is_no_error() -> None:
    draws = random.Random(3)
    assert exponential_p_value([-0.01, *drawn(draws, 3)], 3) > SIGNIFICANCE


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [([1.0, 2.0, 2.0, 3.0] * 50, [1.0, 2.0, 2.0, 3.0] * 50, 1.0), ([1.0] * 100, [2.0] * 100, 0.0)],
    ids=["equal, with ties", "apart"],
)
def test_the_extremes(first: list[float], second: list[float], p: float) -> None:
    assert two_sample_p_value(first, second) == pytest.approx(p, abs=1e-9)
