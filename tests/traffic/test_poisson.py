"""Poisson intervals: means, the cap, and the law itself."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.traffic.poisson import draw_interval, interval_cap_ms, mean_interval_ms
from sphinx.randomness import Randomness, seeded
from tests.support.kolmogorov import exponential_p_value

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
    assert draw_interval(1000, Randomness(lambda length: b"\xff" * length)) == 0.0


def test_draws_are_whole_milliseconds_of_the_exponential_distribution() -> None:
    randomness = seeded(b"intervals")
    draws = [draw_interval(1000, randomness) for _ in range(DRAWS)]
    assert all(draw == round(draw * 1000) / 1000 for draw in draws)
    assert abs(sum(draws) / DRAWS - 1) < 0.02
    assert exponential_p_value(draws, 1.0) > SIGNIFICANCE


def test_the_test_of_the_law_rejects_another_law() -> None:
    randomness = seeded(b"intervals")
    draws = [draw_interval(1000, randomness) for _ in range(DRAWS)]
    assert exponential_p_value(draws, 1.05) < SIGNIFICANCE
    assert exponential_p_value([2 * randomness.uniform() for _ in range(DRAWS)], 1.0) < SIGNIFICANCE
