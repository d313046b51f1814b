"""All engines give the same bytes and the same verdicts; `make soak` runs the same cases by the million."""

import pytest

from sphinx.native import engine_names
from tests.sphinx.differential import Case, Disagreement, check

SEED = 1
CASES = 2000
AT_ONCE = 250


@pytest.mark.parametrize("start", range(0, CASES, AT_ONCE))
def test_all_engines_agree_on_random_packets_replies_and_corruptions(start: int) -> None:
    for number in range(start, start + AT_ONCE):
        check(SEED, number)


def test_where_there_is_a_compiled_engine_there_is_the_portable_one() -> None:
    pytest.importorskip("sphinx.native._engine")
    assert "portable" in engine_names()


def test_engines_that_differ_are_told_apart() -> None:
    if len(engine_names()) < 2:
        pytest.skip("only one engine works here")
    answers = iter(range(len(engine_names())))
    with pytest.raises(Disagreement, match=f"{engine_names()[0]} and {engine_names()[1]} differ"):
        Case(SEED, 0).agreed(lambda sphinx: next(answers))


def test_a_case_follows_from_its_number_alone() -> None:
    first, second = (Case(SEED, 7) for _ in range(2))
    assert first.geometry == second.geometry
    assert first.draws.random() == second.draws.random()
