import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.epoch import (
    GENESIS,
    PERIOD_VARIABLE,
    EpochClock,
    EpochPeriod,
    check_configured_period,
    epoch_period,
    format_duration,
    parse_duration,
)
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
    assert epoch_period({}) == epoch_period({PERIOD_VARIABLE: ""}) == EpochPeriod(1200.0, "the default")
    assert epoch_period({PERIOD_VARIABLE: "10s"}) == EpochPeriod(10.0, f"by {PERIOD_VARIABLE}")
    for bad in ("ten", "0", "-5s"):
        with pytest.raises(EpochError, match=PERIOD_VARIABLE):
            epoch_period({PERIOD_VARIABLE: bad})


def test_a_period_that_a_configuration_could_have_is_advised() -> None:
    advice = f'{PERIOD_VARIABLE} is deprecated, set EpochDuration = "2m0s" in the config file instead'
    assert epoch_period({PERIOD_VARIABLE: "120s"}).advice == advice


@pytest.mark.parametrize("environ", [{}, {PERIOD_VARIABLE: ""}, {PERIOD_VARIABLE: "180s"}])
def test_a_configured_period_holds_where_the_environment_says_the_same_or_nothing(environ: dict[str, str]) -> None:
    assert epoch_period(environ, 180.0) == EpochPeriod(180.0, "by EpochDuration")


@pytest.mark.parametrize("text", ["4m", "soon", "0"])
def test_a_configured_period_and_another_one_contradict_each_other(text: str) -> None:
    with pytest.raises(EpochError) as caught:
        epoch_period({PERIOD_VARIABLE: text}, 180.0)
    assert f'EpochDuration 3m0s contradicts {PERIOD_VARIABLE}="{text}"' in str(caught.value)


@pytest.mark.parametrize("seconds", [120.0, 121.0, 1200.0, 604_800.0])
def test_periods_that_may_be_configured(seconds: float) -> None:
    check_configured_period(seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (90.0, "1m30s"),
        (120.5, "2m0.5s"),
        (-180.0, "-3m0s"),
        (608_400.0, "169h0m0s"),
        (3601.0 / 2, "30m0.5s"),
    ],
)
def test_and_that_may_not(seconds: float, text: str) -> None:
    expected = f"epochtime: epoch duration {text} must be whole seconds from 2m0s to 168h0m0s"
    with pytest.raises(EpochError) as caught:
        check_configured_period(seconds)
    assert str(caught.value) == expected


@given(st.integers(0, 10**12))
def test_a_written_duration_is_read_as_what_it_was(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)
