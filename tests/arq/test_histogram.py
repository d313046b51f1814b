"""Histograms count in ranges and do not grow."""

from hypothesis import given
from hypothesis import strategies as st

from arq import DOUBLING_SECONDS, Histogram


def test_a_bound_is_within_its_range() -> None:
    histogram = Histogram([1.0, 2.0])
    for value in (0.5, 1.0, 1.5, 2.0, 2.5, 1000.0):
        histogram.add(value)
    told = histogram.distribution()
    assert told.counts == (2, 2, 2)
    assert told.total == 1007.5


def test_the_ranges_are_the_references() -> None:
    assert DOUBLING_SECONDS[:3] == (0.05, 0.1, 0.2)
    assert (len(DOUBLING_SECONDS), DOUBLING_SECONDS[-1]) == (12, 102.4)


@given(st.lists(st.floats(0, 1e6)))
def test_every_value_is_counted_once(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    told = histogram.distribution()
    assert told.number == len(values)
    for bound, counted in zip(told.bounds, range(1, len(told.counts)), strict=True):
        assert sum(told.counts[:counted]) == sum(value <= bound for value in values)


def test_what_was_told_does_not_change() -> None:
    histogram = Histogram()
    before = histogram.distribution()
    histogram.add(1.0)
    assert before.number == 0
