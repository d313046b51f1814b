"""Finds test data: the recorded vectors of this repository, and upstream's beside it where they exist."""

import json
from pathlib import Path
from typing import Any

import pytest

RECORDED = Path(__file__).parent.parent / "vectors"
UPSTREAM = Path(__file__).parents[3] / "shared" / "vectors"


def recorded(name: str) -> Any:
    """The parsed content of `tests/vectors/NAME`."""
    return json.loads((RECORDED / name).read_text())


def upstream(name: str) -> Any:
    """The parsed content of upstream's own data file; the test is skipped where there is none."""
    path = UPSTREAM / name
    if not path.exists():
        pytest.skip(f"upstream's {name} is not beside this checkout, and was not copied")
    return json.loads(path.read_text())
