"""`make` on a machine that lacks something says in one line what to install, before anything takes time."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 2
"""What is missing, and make's own word that it ends."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what `make` looks at, in which nothing is installed."""
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    for name in ("Makefile", "pyproject.toml", "distribution/compiler.py", "configs/locks/run.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def interpreter(clone: Path, text: str) -> Path:
    """Something that stands for an interpreter."""
    path = clone / "interpreter"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def make(clone: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run make there; returns its status and all that it says."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    ended = subprocess.run(
        ["make", *arguments],
        cwd=clone,
        env={**outer, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout


def refused(clone: Path, *arguments: str) -> str:
    status, told = make(clone, *arguments)
    assert status and len(told.splitlines()) <= MOST_LINES
    return told


def test_an_interpreter_that_is_not_there_is_named(clone: Path) -> None:
    assert "PYTHON=nonesuch does not run" in refused(clone, "run", "PYTHON=nonesuch")


def test_an_interpreter_that_is_too_old_is_named(clone: Path) -> None:
    old = interpreter(clone, 'case "$*" in *version_info*) exit 1;; --version) echo Python 3.9.2;; esac')
    assert "Python 3.9.2 is too old" in refused(clone, "run", f"PYTHON={old}")


def test_what_makes_environments_is_named_where_it_is_missing(clone: Path) -> None:
    bare = interpreter(clone, 'case "$*" in *ensurepip*) exit 1;; esac')
    assert "apt-get install python3-venv" in refused(clone, "run", f"PYTHON={bare}")


def test_no_interpreter_at_all_is_told(clone: Path) -> None:
    assert "needs Python 3.11 or newer" in refused(clone, "run", "PYTHON=")


def test_fuzzing_asks_for_clang_first(clone: Path) -> None:
    (clone / ".venv-test").mkdir()
    (clone / "bin").mkdir()
    found = {name: shutil.which(name) for name in ("sh", "make", "ls", "test", "cat")}
    for name, path in found.items():
        if path is not None:
            (clone / "bin" / name).symlink_to(path)
    told = refused(
        clone, "fuzz", f"PATH={clone / 'bin'}", "--assume-old=.venv-test/.installed", "PYTHON=true", "LACKING="
    )
    assert "apt-get install clang" in told


def compiler(clone: Path, **environment: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, clone / "distribution/compiler.py"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("exit 1", "does not work"),
        ("! grep -q limits.h", "does not find limits.h"),
        ("! grep -q Python.h", "does not find Python.h"),
    ],
)
def test_what_a_compiler_lacks_is_named_with_its_packages(clone: Path, script: str, fault: str) -> None:
    status, told = compiler(clone, CC=str(interpreter(clone, script)))
    assert status == 1 and fault in told
    assert "apt-get install gcc libc6-dev python3-dev" in told and len(told.splitlines()) == 1


def test_no_compiler_is_told_and_a_whole_one_is_not(clone: Path) -> None:
    status, told = compiler(clone, CC="nonesuch")
    assert status == 1 and "there is no C compiler (nonesuch)" in told
    assert compiler(clone, CC=str(interpreter(clone, "exit 0"))) == (0, "")


def installed_by(clone: Path) -> tuple[Path, Path]:
    """An interpreter that makes an environment of nothing, and a program in it; its own file notes each time."""
    notes = clone / "notes"
    script = (
        f'case "$*" in *"-m venv"*) echo made >> {notes}; mkdir -p .venv-run/bin; cp "$0" .venv-run/bin/python; '
        "printf '#!/bin/sh\\n' > .venv-run/bin/kpclientd; chmod +x .venv-run/bin/kpclientd;; "
        "*compiler.py) exit $LACKS;; esac"
    )
    return interpreter(clone, script), notes


def test_what_is_installed_is_made_anew_in_another_folder_and_once_there_is_a_compiler(clone: Path) -> None:
    python, notes = installed_by(clone)
    engine = clone / "sphinx/native/_engine.abi3.so"
    engine.parent.mkdir(parents=True)

    def made(folder: Path, lacks: str) -> int:
        status, told = make(folder, "run", f"PYTHON={python}", LACKS=lacks)
        assert status == 0, told
        assert "Traceback" not in told
        return len(notes.read_text(encoding="utf-8").splitlines())

    assert made(clone, "1") == 1  # without a compiler
    assert made(clone, "1") == 1
    assert made(clone, "0") == 2  # now there is one, with which nothing is built here
    assert made(clone, "0") == 2  # it is not tried again and again
    moved = clone / "moved"
    moved.mkdir()
    for name in (".venv-run", "Makefile", "pyproject.toml", "distribution", "configs", "build", "sphinx"):
        (clone / name).rename(moved / name)
    assert made(moved, "0") == 3
    assert made(moved, "0") == 3
    (moved / ".venv-run/bin/python").unlink()
    assert made(moved, "0") == 4
