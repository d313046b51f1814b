"""The gateway's token bucket, against the figures measured on the reference."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.localnet.limiter import MOST_TOKENS, RateLimiter, refill_interval

LAMBDA_P = 0.001
LAMBDA_L = 0.0005
INTERVAL = 606_060_607  # nanoseconds: ceil(1e6 / (1.1 * 0.0015)), the reference's 606.06 ms
SECONDS_PER_INTERVAL = INTERVAL / 1e9


def _passed(bucket: RateLimiter, packets: int, now: float) -> int:
    return sum(bucket.take(now) for _ in range(packets))


def test_the_interval_of_the_test_networks_rates_is_the_references() -> None:
    assert refill_interval(LAMBDA_P, LAMBDA_L) == INTERVAL


@pytest.mark.parametrize("rates", [(0.0, 0.0), (-1.0, 0.5), (math.inf, 0.0)])
def test_without_rates_nothing_is_limited(rates: tuple[float, float]) -> None:
    assert refill_interval(*rates) is None


def test_an_interval_is_rounded_up_to_whole_nanoseconds_and_no_longer_than_a_duration_can_be() -> None:
    assert refill_interval(0.7, 0.0) == 1_298_702  # 1e6 / 0.77 is 1298701.2987
    assert refill_interval(1e-300, 0.0) == 2**63 - 1


def test_packets_are_let_in_as_reckoned_by_hand_from_the_specification() -> None:
    """0.02 + 0.005 packets per ms: a token each ceil(1e6 / (1.1 * 0.025)) = 36,363,637 ns, at most 256, one at first.

    At 12 s 329 intervals are over, not 330: those are 210 ns longer, as intervals are rounded up.
    """
    interval = refill_interval(0.02, 0.005)
    assert interval == 36_363_637
    bucket = RateLimiter(interval, now=0.0)
    milliseconds_packets_passed = [
        (0, 2, 1),  # the first token
        (36, 1, 0),  # the second comes at 36.36
        (37, 1, 1),
        (72, 1, 0),  # the third at 72.73: what is left over of an interval counts on
        (73, 1, 1),
        (110, 2, 1),  # the fourth at 109.09
        (1000, 30, 24),  # 27 intervals are over, three tokens of them spent
        (12_000, 300, 256),  # 302 more are over: the bucket is full
        (12_001, 1, 1),  # at 12000.0002
        (12_002, 1, 0),
    ]
    for milliseconds, packets, passed in milliseconds_packets_passed:
        assert _passed(bucket, packets, milliseconds / 1000) == passed, milliseconds


@pytest.mark.parametrize(("after", "passed"), [(0.0, 1), (0.5, 1), (0.7, 2), (3.6, 6)])
def test_a_burst_after_some_seconds_passes_as_measured_on_the_reference(after: float, passed: int) -> None:
    bucket = RateLimiter(INTERVAL, now=1000.0)
    assert _passed(bucket, 30, 1000.0 + after) == passed


def test_a_bucket_holds_no_more_than_its_capacity() -> None:
    bucket = RateLimiter(INTERVAL, now=0.0)
    assert _passed(bucket, 2 * MOST_TOKENS, now=1e6) == MOST_TOKENS == 256


def test_the_rest_of_an_interval_counts_towards_the_next_token() -> None:
    bucket = RateLimiter(INTERVAL, now=0.0)
    assert bucket.take(0.0)
    assert not bucket.take(0.9 * SECONDS_PER_INTERVAL)
    assert bucket.take(1.8 * SECONDS_PER_INTERVAL)
    assert not bucket.take(1.9 * SECONDS_PER_INTERVAL)
    assert bucket.take(2.01 * SECONDS_PER_INTERVAL)


def test_a_clock_that_goes_back_gives_and_takes_nothing() -> None:
    bucket = RateLimiter(INTERVAL, now=100.0)
    assert bucket.take(50.0)
    assert not bucket.take(50.0)
    assert not bucket.take(100.0 + 0.9 * SECONDS_PER_INTERVAL)
    assert bucket.take(100.0 + 1.1 * SECONDS_PER_INTERVAL)


@given(st.lists(st.floats(min_value=0, max_value=2.0), max_size=200))
def test_no_more_packets_pass_than_intervals_have_begun_since_authentication(gaps: list[float]) -> None:
    bucket = RateLimiter(INTERVAL, now=0.0)
    now = 0.0
    passed = 0
    for gap in gaps:
        now += gap
        passed += bucket.take(now)
        assert passed <= 1 + now / SECONDS_PER_INTERVAL + 1e-6
