import math

import pytest

from kpclientd.loopix.schedule import (
    DEFAULT_RATE,
    FIRST_BACKOFF,
    LONGEST_BACKOFF,
    node_delays,
    pause,
    pause_after_failures,
    stream_rate,
)
from sphinx.randomness import seeded
from tests.support.significance import exponential_p_value


@pytest.mark.parametrize("rate", [10.0, 0.5])
def test_pauses_are_exponential(rate: float) -> None:
    randomness = seeded(b"pauses")
    assert exponential_p_value([pause(rate, randomness) for _ in range(20_000)], 1 / rate) > 0.01


def test_delays_are_exponential_with_a_mean_of_a_fifth_of_a_second_and_one_for_each_node() -> None:
    randomness = seeded(b"delays")
    drawn = [node_delays(5, randomness) for _ in range(4_000)]
    assert all(len(delays) == 5 for delays in drawn)
    assert exponential_p_value([delay for delays in drawn for delay in delays], 0.2) > 0.01


def test_a_rate_of_zero_is_the_default_and_a_negative_one_none() -> None:
    assert [stream_rate(configured) for configured in (0.0, -0.0, 2.5, -1.0)] == [DEFAULT_RATE, DEFAULT_RATE, 2.5, None]


def test_failures_in_a_row_lengthen_the_pause_up_to_some_seconds() -> None:
    pauses = [pause_after_failures(1e9, failures, seeded(b"x")) for failures in range(12)]
    assert pauses[0] == pause(1e9, seeded(b"x"))
    assert pauses[1] == FIRST_BACKOFF
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_BACKOFF
    assert pause_after_failures(1e9, 10**6, seeded(b"x")) == LONGEST_BACKOFF


def test_a_slow_stream_keeps_its_own_pauses_after_failures() -> None:
    drawn = pause_after_failures(1e-9, 5, seeded(b"x"))
    assert drawn == pause(1e-9, seeded(b"x")) > LONGEST_BACKOFF
    assert math.isfinite(drawn)
