"""Each fuzz target over the inputs that are kept for it, as they are, cut short, and with a byte changed."""

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import C_TARGETS, CORPUS, TARGETS, corpus_of

LARGEST_INPUT = 40_000
LARGEST_CORPUS = 1_000_000
CHANGED = 3


@pytest.mark.parametrize("name", TARGETS)
def test_no_kept_input_breaks_its_target(name: str) -> None:
    inputs = corpus_of(name)
    assert inputs, f"the target {name} has no corpus"
    for path in inputs:
        TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_no_changed_input_breaks_its_target(name: str) -> None:
    draws = random.Random(name)
    for path in corpus_of(name):
        data = path.read_bytes()
        TARGETS[name](data[: draws.randint(0, len(data))])
        for _ in range(CHANGED):
            changed = bytearray(data)
            if changed:
                changed[draws.randrange(len(changed))] ^= 1 << draws.randrange(8)
            TARGETS[name](bytes(changed))


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_at_all_breaks_no_target(name: str) -> None:
    TARGETS[name](b"")


def test_the_corpus_stays_small_and_belongs_to_targets() -> None:
    folders = {path.name for path in CORPUS.iterdir()}
    assert folders == {*TARGETS, *C_TARGETS}
    sizes = {path: path.stat().st_size for path in Path(CORPUS).rglob("*") if path.is_file()}
    assert max(sizes.values()) <= LARGEST_INPUT
    assert sum(sizes.values()) <= LARGEST_CORPUS
