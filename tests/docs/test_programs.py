"""The first programs of docs/first-application.md, in every language, are answered."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.interop.network import Running, running_network

PAGE = "first-application.md"
ANSWER = "hello"
PATIENCE_SECONDS = 120
BUILD_SECONDS = 900

CHECKOUT = "KATZENPOST_CHECKOUT"
"""Where the reference's sources are: its module is not to be had from module proxies."""

COMPILES = "KPCLIENTD_TEST_COMPILES"
"""Set by `make interop`, which takes the time to fetch and compile what foreign programs need."""

COMPILED = ROOT / "build" / "first-application"
"""Where what Rust compiles is kept: a hundred crates take a minute or two, the first time."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_network(tmp_path_factory.mktemp("network")) as running:
        yield running


def program(language: str, number: int = 0) -> str:
    return blocks(PAGE, language)[number].text


def prints(command: list[str], running: Running, kind: str, folder: Path) -> str:
    done = subprocess.run(
        [*command, running.thinclient(kind)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("number", [0, 1], ids=["asyncio", "trio"])
def test_python_is_answered(running: Running, tmp_path: Path, number: int, kind: str) -> None:
    script = tmp_path / "first.py"
    script.write_text(program("python", number))
    assert prints([sys.executable, "-W", "error", str(script)], running, kind, tmp_path) == f"{ANSWER}\n"


def test_there_are_two_programs_in_python() -> None:
    assert len(blocks(PAGE, "python")) == 2


def test_rust_is_answered(running: Running, tmp_path: Path) -> None:
    if shutil.which("cargo") is None:
        pytest.skip("there is no cargo")
    if not os.environ.get(COMPILES):
        pytest.skip("make interop compiles the program in Rust, and the crates under it")
    build(["cargo", "init", "--quiet", "--vcs", "none", "--name", "first", "."], tmp_path)
    [added] = [block.text for block in blocks(PAGE, "sh") if block.text.startswith("cargo add")]
    for command in (added.split(), ["cargo", "fetch"]):
        if (fetched := run(command, tmp_path)).returncode != 0:
            pytest.skip(f"crates are not to be had: {fetched.stderr.strip().splitlines()[-1:]}")
    (tmp_path / "src" / "main.rs").write_text(program("rust"))
    build(["cargo", "build", "--quiet", "--target-dir", str(COMPILED)], tmp_path)
    printed = prints([str(COMPILED / "debug" / "first")], running, "unix", tmp_path)
    assert printed.splitlines()[-1] == ANSWER  # the crate says something itself before


def test_go_is_answered(running: Running, tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("there is no go")
    if not os.environ.get(COMPILES):
        pytest.skip("make interop compiles the program in Go, where it has the reference's sources")
    if not (checkout := os.environ.get(CHECKOUT)):
        pytest.skip(f"the reference's sources are taken from where {CHECKOUT} says")
    shutil.copy(Path(checkout) / "go.sum", tmp_path)
    module = "github.com/katzenpost/katzenpost"
    required = (Path(checkout) / "go.mod").read_text().replace(f"module {module}", "module first")
    (tmp_path / "go.mod").write_text(f"{required}\nrequire {module} v0.0.0\nreplace {module} => {checkout}\n")
    (tmp_path / "main.go").write_text(program("go"))
    build(["go", "build", "-mod=mod", "-o", "first", "."], tmp_path)
    assert prints([str(tmp_path / "first")], running, "unix", tmp_path) == f"{ANSWER}\n"


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS)


def build(command: list[str], folder: Path) -> None:
    done = run(command, folder)
    assert done.returncode == 0, done.stderr
