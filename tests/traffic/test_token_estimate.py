"""The client's count of tokens: never more than a model of the gateway's, and not needlessly less."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.gateway.tokens import BUCKET_CAP, TokenEstimate, refill_interval
from kpclientd.localnet import limiter
from kpclientd.traffic.schedule import draw_interval
from sphinx.randomness import seeded

LAMBDA_P, LAMBDA_L = 0.001, 0.0005
INTERVAL_NS = 606_060_607
INTERVAL = INTERVAL_NS / 1e9
UNCERTAINTY = 0.2
LEAST_LATENCY = 1e-5
CONNECTED = 1000.0


@dataclass
class Network:
    """A gateway that has counted for longer than we know, behind a wire of changing latency that keeps the order."""

    interval_ns: int
    head_start: float
    uncertainty: float
    last_arrival: float = 0.0
    dropped: int = 0

    def __post_init__(self) -> None:
        self.gateway = limiter.RateLimiter(self.interval_ns, CONNECTED - self.head_start)
        self.ours = TokenEstimate(CONNECTED, self.uncertainty)
        self.ours.set_interval(self.interval_ns / 1e9, CONNECTED)

    def send(self, now: float, latency: float) -> tuple[bool, bool]:
        """Send a packet; return whether we were sure of a token, and whether there was one."""
        sure = self.ours.has(now)
        self.ours.spend(now)
        self.last_arrival = max(self.last_arrival, now + latency)
        passed = self.gateway.take(self.last_arrival)
        self.dropped += not passed
        return sure, passed


def fractions(most: float = 1.0) -> st.SearchStrategy[float]:
    return st.floats(0, most, allow_nan=False)


@pytest.mark.parametrize("rates", [(LAMBDA_P, LAMBDA_L), (0.01, 0.0), (0.02, 0.02), (1.0, 3.0), (0.0, 0.0)])
def test_the_interval_is_the_gateways(rates: tuple[float, float]) -> None:
    theirs = limiter.refill_interval(*rates)
    assert refill_interval(*rates) == (None if theirs is None else theirs / 1e9)


@pytest.mark.parametrize("rate", [-1.0, math.inf, math.nan, 5e-324])
def test_no_rate_of_a_document_is_a_fault(rate: float) -> None:
    interval = refill_interval(rate, 0.0)
    assert interval is None or 0 < interval < 1e10


@settings(max_examples=300, deadline=None)
@given(
    interval_ns=st.sampled_from([INTERVAL_NS, 45_454_546, 1_000_000]),
    head_start=fractions(0.5),
    sends=st.lists(
        st.tuples(
            st.one_of(fractions(3.0), st.sampled_from([0.0, 1.0, 300.0, 1000.0])), fractions(0.5), st.integers(1, 3)
        ),
        max_size=60,
    ),
)
def test_a_packet_sent_when_a_token_is_sure_finds_one(
    interval_ns: int, head_start: float, sends: list[tuple[float, float, int]]
) -> None:
    """Gaps in intervals, latencies and head start in parts of the uncertainty; some packets leave at once."""
    network = Network(interval_ns, head_start * UNCERTAINTY, UNCERTAINTY)
    now = CONNECTED
    for gap, latency, times in sends:
        now += gap * interval_ns / 1e9
        for _ in range(times):
            sure, passed = network.send(now, LEAST_LATENCY + latency * (UNCERTAINTY - 2 * LEAST_LATENCY))
            assert passed or not sure


@settings(max_examples=60, deadline=None)
@given(
    phase=fractions(),
    burst=st.integers(250, 262),
    latencies=st.lists(fractions(0.5), min_size=4, max_size=4),
    gaps=st.lists(fractions(1.2), min_size=8, max_size=8),
)
def test_a_burst_that_empties_a_full_bucket_finds_no_more_than_is_there(
    phase: float, burst: int, latencies: list[float], gaps: list[float]
) -> None:
    network = Network(INTERVAL_NS, 0.5 * phase * UNCERTAINTY, UNCERTAINTY)
    now = CONNECTED + (2 * BUCKET_CAP + phase) * INTERVAL
    for place in range(burst):
        latency = LEAST_LATENCY + latencies[place % len(latencies)] * (UNCERTAINTY - 2 * LEAST_LATENCY)
        sure, passed = network.send(now, latency)
        assert passed or not sure
    for place, gap in enumerate(gaps):
        now += gap * INTERVAL
        latency = LEAST_LATENCY + latencies[place % len(latencies)] * (UNCERTAINTY - 2 * LEAST_LATENCY)
        sure, passed = network.send(now, latency)
        assert passed or not sure


@pytest.mark.parametrize("seed", range(5))
def test_an_honest_sender_loses_no_message_and_is_soon_sure_nearly_always(seed: int) -> None:
    """The reference, which does not count, loses some four packets in the first minute of a connection."""
    randomness = seeded(b"honest sender %d" % seed)
    network = Network(INTERVAL_NS, 0.05, UNCERTAINTY)
    now, sure_ones, sends = CONNECTED, 0, 3000
    for number in range(sends):
        now += draw_interval(round(1 / (LAMBDA_P + LAMBDA_L)), randomness)
        sure, passed = network.send(now, LEAST_LATENCY + 0.1 * randomness.uniform())
        assert passed or not sure
        sure_ones += sure and number >= sends // 2
    assert sure_ones > 0.9 * sends / 2


def test_the_first_token_is_there_at_once_and_the_second_after_an_interval() -> None:
    estimate = TokenEstimate(CONNECTED, UNCERTAINTY)
    estimate.set_interval(INTERVAL, CONNECTED)
    assert estimate.has(CONNECTED)
    estimate.spend(CONNECTED)
    assert not estimate.has(CONNECTED)
    assert not estimate.has(CONNECTED + 0.99 * INTERVAL)
    assert estimate.has(CONNECTED + 1.01 * INTERVAL)


def test_tokens_count_from_the_connections_beginning_though_the_interval_is_known_later() -> None:
    estimate = TokenEstimate(CONNECTED, UNCERTAINTY)
    estimate.set_interval(INTERVAL, CONNECTED + 2.01 * INTERVAL)
    for _ in range(3):
        assert estimate.has(CONNECTED + 2.01 * INTERVAL)
        estimate.spend(CONNECTED + 2.01 * INTERVAL)
    assert not estimate.has(CONNECTED + 2.01 * INTERVAL)


def test_without_a_limit_every_packet_is_sure() -> None:
    estimate = TokenEstimate(CONNECTED, UNCERTAINTY)
    for _ in range(1000):
        estimate.spend(CONNECTED)
        assert estimate.has(CONNECTED)


def test_packets_that_left_before_a_limit_was_known_leave_the_bucket_empty() -> None:
    estimate = TokenEstimate(CONNECTED, UNCERTAINTY)
    estimate.spend(CONNECTED + 10.0)
    estimate.set_interval(INTERVAL, CONNECTED + 20.0)
    assert not estimate.has(CONNECTED + 20.0 + INTERVAL + 0.99 * UNCERTAINTY)
    assert estimate.has(CONNECTED + 20.0 + 1.01 * INTERVAL + UNCERTAINTY)


def test_a_changed_interval_begins_with_an_empty_bucket() -> None:
    estimate = TokenEstimate(CONNECTED, UNCERTAINTY)
    estimate.set_interval(INTERVAL, CONNECTED)
    now = CONNECTED + 100 * INTERVAL
    estimate.set_interval(INTERVAL, now)
    assert estimate.has(now), "the same interval is no change"
    estimate.set_interval(INTERVAL / 2, now)
    assert not estimate.has(now)
    assert estimate.has(now + INTERVAL + UNCERTAINTY)


def test_a_clock_that_stands_still_or_goes_back_gives_no_tokens() -> None:
    estimate = TokenEstimate(CONNECTED, UNCERTAINTY)
    estimate.set_interval(INTERVAL, CONNECTED)
    estimate.spend(CONNECTED)
    assert not estimate.has(CONNECTED - 1000.0)


def test_a_link_much_slower_than_the_refill_can_still_be_sure() -> None:
    estimate = TokenEstimate(CONNECTED, uncertainty=1.0)
    estimate.set_interval(0.001, CONNECTED)
    for tick in range(2000):
        estimate.spend(CONNECTED + tick * 0.0011)
    assert estimate.has(CONNECTED + 10.0)


@settings(max_examples=200, deadline=None)
@given(
    before=st.lists(fractions(3.0), max_size=20),
    gaps=st.lists(fractions(2.0), min_size=1, max_size=8),
    head_start=fractions(0.5),
)
def test_when_tokens_for_a_whole_line_are_sure_the_last_of_the_line_finds_one(
    before: list[float], gaps: list[float], head_start: float
) -> None:
    """What is asked long before: is a token there at the last of these times, if a packet leaves at each of them?"""
    network = Network(INTERVAL_NS, head_start * UNCERTAINTY, UNCERTAINTY)
    now = CONNECTED
    for gap in before:
        now += gap * INTERVAL
        network.send(now, LEAST_LATENCY)
    times = [now := now + gap * INTERVAL for gap in gaps]
    promised = network.ours.has(times[-1], float(len(times)))
    found = [network.send(at, UNCERTAINTY / 3) for at in times]
    if promised:
        assert found[-1] == (True, True)


def test_as_many_tokens_are_sure_as_there_are_and_no_more() -> None:
    estimate = TokenEstimate(CONNECTED, UNCERTAINTY)
    estimate.set_interval(INTERVAL, CONNECTED)
    now = CONNECTED + 2.5 * INTERVAL
    assert [estimate.has(now, float(tokens)) for tokens in range(1, 5)] == [True, True, True, False]
    level = estimate.level(now)
    assert level is not None
    assert math.isclose(level, 3.5)


def test_without_a_limit_there_is_no_level() -> None:
    estimate = TokenEstimate(CONNECTED, UNCERTAINTY)
    assert estimate.level(CONNECTED) is None
    estimate.set_interval(INTERVAL, CONNECTED)
    assert estimate.level(CONNECTED) == 1.0
    estimate.set_interval(None, CONNECTED)
    assert estimate.level(CONNECTED) is None
    assert estimate.has(CONNECTED, 1e9)


def test_a_full_bucket_is_taken_to_have_been_filled_as_early_as_may_be() -> None:
    estimate = TokenEstimate(CONNECTED, UNCERTAINTY)
    estimate.set_interval(INTERVAL, CONNECTED)
    now = CONNECTED + 1000 * INTERVAL
    slack = UNCERTAINTY / INTERVAL
    level = estimate.level(now)
    assert level is not None
    assert math.isclose(level, BUCKET_CAP - slack)
    for _ in range(BUCKET_CAP):
        estimate.spend(now)
    assert not estimate.has(now + (1 + 0.99 * slack) * INTERVAL)
    assert estimate.has(now + (1 + 1.01 * slack) * INTERVAL)
