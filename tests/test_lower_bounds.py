"""The oldest releases that are said to do are the ones that `make lowest` runs the tests with."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
BOUND = re.compile(r"([\w.-]+)(?:\[\w+\])?>=([\d.]+)")
PIN = re.compile(r"^([\w.-]+)==([\d.]+)", re.MULTILINE)
BUILT_FROM_SOURCE = {"hpqc", "highctidh"}
"""They come by a lock of their own, configs/locks/pigeonhole.txt, which has the lowest that will do."""


def test_every_lower_bound_is_run() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    bounds = {(match[1], match[2]) for text in wanted if (match := BOUND.match(text))}
    pins = dict(PIN.findall((ROOT / "configs/locks/lowest.txt").read_text()))
    assert len(bounds) > 30
    for name, version in bounds:
        if name not in BUILT_FROM_SOURCE:
            digits = version.split(".")  # the very first release of a series may have been withdrawn
            assert pins[name].split(".")[: len(digits)] == digits, f"{name}: run make lock, and make lowest"
