"""What is told of when packets left: how many, and whether their gaps are exponential."""

import math

import pytest

from kpclientd.traffic.departures import GAP_RANGES, WINDOW_SECONDS, WINDOWS, Departures
from kpclientd.traffic.schedule import Process, SendSchedule
from sphinx.randomness import seeded

RATES = (0.02, 0.01)
MEANS = (50, 100)
CHI_SQUARED = 43.8
"""With 19 degrees of freedom, exceeded by chance once in a thousand times."""


def chi_squared(counts: tuple[int, ...]) -> float:
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 / expected for count in counts)


def scheduled(number: int, *, now: float = 100.0) -> list[float]:
    """When so many packets leave by a schedule."""
    schedule = SendSchedule(seeded(b"gaps"), cover=True)
    schedule.set_rates(*RATES)
    schedule.start(now)
    return [schedule.take(now).at for _ in range(number) if (now := schedule.next_at())]


def noted(times: list[float], begin: float = 100.0) -> Departures:
    departures = Departures()
    departures.begin(begin, MEANS)
    for at in times:
        departures.left(at)
    return departures


def test_gaps_of_the_schedule_fill_all_ranges_alike() -> None:
    times = scheduled(20_000)
    told = noted(times).status(times[-1])
    assert told.gaps.number == 20_000
    assert len(told.gaps.counts) == GAP_RANGES
    assert chi_squared(told.gaps.counts) < CHI_SQUARED
    assert told.expected == pytest.approx(30.0)


@pytest.mark.parametrize("spoil", [lambda at: math.ceil(at * 10) / 10, lambda at: 100 + (at - 100) * 1.3])
def test_gaps_that_are_not_as_they_should_be_show(spoil: object) -> None:
    assert callable(spoil)
    times = [spoil(at) for at in scheduled(20_000)]
    assert chi_squared(noted(times).status(times[-1]).gaps.counts) > CHI_SQUARED


def test_packets_are_counted_by_windows_and_empty_ones_are_too() -> None:
    departures = noted([101.0, 102.0, 104.9, 105.0, 121.0], begin=96.0)
    assert departures.status(121.0).recent == (3, 1, 0, 0)
    assert departures.status(125.0).recent == (3, 1, 0, 0, 1)


def test_a_window_that_was_not_watched_from_its_beginning_does_not_count() -> None:
    departures = noted([104.0, 106.0], begin=103.0)
    assert departures.status(105.0).recent == ()
    assert departures.status(110.0).recent == (1,)


def test_old_windows_are_forgotten() -> None:
    departures = noted([101.0])
    assert departures.status(100.0 + WINDOW_SECONDS * 10_000).recent == (0,) * WINDOWS
    departures.left(100.0 + WINDOW_SECONDS * 10_000)
    assert departures.status(100.0 + WINDOW_SECONDS * 10_001).recent == (0,) * (WINDOWS - 1) + (1,)


def test_what_lies_between_links_is_no_gap() -> None:
    departures = noted([101.0])
    departures.end()
    departures.begin(500.0, MEANS)
    departures.left(500.01)
    told = departures.status(501.0)
    assert told.gaps.number == 2
    assert sum(told.gaps.counts[:-1]) == 1  # the second was short


def test_a_packet_that_is_noted_after_its_link_has_ended_counts_as_no_gap() -> None:
    departures = noted([101.0], begin=99.0)
    departures.end()
    departures.left(101.5)
    assert departures.status(106.0).gaps.number == 1
    assert sum(departures.status(106.0).recent) == 2


def test_rates_that_are_off_expect_nothing() -> None:
    departures = Departures()
    departures.begin(0.0, dict.fromkeys(Process, 0).values())
    assert departures.status(1.0).expected == 0
