"""The examples of docs/applications.md and docs/pigeonhole.md, run as they stand there."""

import inspect
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import kpclientd.client
from tests.interop.network import Running
from tests.pigeonhole.installed import needs_libraries

DOCS = Path(__file__).parents[2] / "docs"
PATIENCE_SECONDS = 60.0
STORAGE_PATIENCE_SECONDS = 300.0


def examples(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def prints(example: str, config: str, folder: Path, patience: float) -> str:
    """What an example prints; it must not complain."""
    script = folder / "example.py"
    script.write_text(example)
    command = [sys.executable, "-W", "error", str(script), config]
    environment = os.environ | {"PYTHONPATH": str(DOCS.parent)}  # these sources, wherever others are installed
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience, env=environment)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_documented_example_prints_its_answer(running: Running, kind: str, tmp_path: Path) -> None:
    [example] = examples("applications.md")
    assert prints(example, running.thinclient(kind), tmp_path, PATIENCE_SECONDS) == "hello\n"


@needs_libraries
def test_the_example_of_our_library_prints_what_was_stored(running: Running, tmp_path: Path) -> None:
    ours, _ = examples("pigeonhole.md")
    told = prints(ours, running.thinclient("tcp"), tmp_path, STORAGE_PATIENCE_SECONDS)
    assert told == "hello\nwritten once\nover any number of boxes\n"


@needs_libraries
def test_the_example_of_the_pypi_client_prints_what_was_stored(running: Running, tmp_path: Path) -> None:
    _, theirs = examples("pigeonhole.md")
    assert prints(theirs, running.thinclient("unix"), tmp_path, STORAGE_PATIENCE_SECONDS) == "written once\n"


def test_the_library_shows_the_same_example_as_the_page() -> None:
    ours, _ = examples("pigeonhole.md")
    told = inspect.getdoc(kpclientd.client)
    assert told is not None
    assert textwrap.indent(ours, "    ", lambda line: bool(line.strip())) in told
