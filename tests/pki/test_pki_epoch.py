import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.epoch import GENESIS, EpochClock, parse_duration, period_from_environment
from pki.errors import EpochError, PkiError

HOUR = 3600.0
periods = st.integers(min_value=250_000, max_value=10**11).map(lambda microseconds: microseconds / 1e6)
times = st.floats(min_value=GENESIS, max_value=GENESIS + 10**9)


def test_the_reference_s_example_date_is_epoch_242064() -> None:
    clock = EpochClock()
    assert clock.epoch(1_786_752_000) == 242_064  # 2026-08-15T00:00:00Z
    assert clock.elapsed(1_786_752_000) == 0
    assert clock.till_next(1_786_752_000) == 1200


@given(periods, times)
def test_an_epoch_begins_at_its_start_and_not_before(period: float, now: float) -> None:
    clock = EpochClock(period)
    epoch = clock.epoch(now)
    start = clock.start(epoch)
    assert clock.epoch(start) == epoch
    assert clock.epoch(start + period / 2) == epoch
    if epoch:
        assert clock.epoch(start - 2e-6) == epoch - 1


@given(periods, times)
def test_elapsed_and_remaining_time_make_one_period(period: float, now: float) -> None:
    clock = EpochClock(period)
    assert 0 <= clock.elapsed(now) < period
    assert 0 < clock.till_next(now) <= period
    assert clock.elapsed(now) + clock.till_next(now) == pytest.approx(period)
    assert clock.start(clock.epoch(now)) + clock.elapsed(now) == pytest.approx(now, abs=1e-5)


def test_replica_epochs_are_weeks_whatever_the_period_is() -> None:
    for period in (10.0, 1200.0):
        clock = EpochClock(period)
        assert clock.replica_epoch(GENESIS) == 0
        assert clock.replica_epoch(GENESIS + 604_800 - 1) == 0
        assert clock.replica_epoch(GENESIS + 604_800) == 1


def test_a_clock_before_epoch_0_is_refused() -> None:
    with pytest.raises(EpochError, match="before epoch 0"):
        EpochClock().epoch(GENESIS - 1)


@pytest.mark.parametrize("period", [0.0, -1.0, 1e-7, float("nan"), float("inf")])
def test_an_impossible_period_is_refused(period: float) -> None:
    with pytest.raises(EpochError, match="positive"):
        EpochClock(period)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2m", 120.0),
        ("90s", 90.0),
        ("1h30m", 1.5 * HOUR),
        ("1m30.5s", 90.5),
        (".5s", 0.5),
        ("1.s", 1.0),
        ("+3s", 3.0),
        ("-1.5h", -1.5 * HOUR),
        ("0", 0.0),
        ("10ms", 0.01),
        ("7us", 7e-6),
        ("7µs", 7e-6),
        ("1ns", 1e-9),
        ("20m0s", 1200.0),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "-", "5", "1x", "s", ".s", "1 m", "1m ", "1e3s", "10000000h", "1" * 200 + "s"])
def test_what_go_would_not_read_as_a_duration_is_refused(text: str) -> None:
    with pytest.raises(EpochError, match="not a duration"):
        parse_duration(text)


@given(st.text(max_size=30))
def test_any_text_is_a_duration_or_an_error_of_ours(text: str) -> None:
    try:
        parse_duration(text)
    except PkiError:
        pass


def test_the_period_comes_from_the_environment_or_is_20_minutes() -> None:
    assert period_from_environment({}) == 1200.0
    assert period_from_environment({"KATZENPOST_EPOCH_DURATION": ""}) == 1200.0
    assert period_from_environment({"KATZENPOST_EPOCH_DURATION": "10s"}) == 10.0
    for bad in ("ten", "0", "-5s"):
        with pytest.raises(EpochError, match="KATZENPOST_EPOCH_DURATION"):
            period_from_environment({"KATZENPOST_EPOCH_DURATION": bad})
