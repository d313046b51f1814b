"""Compiles sources of the engine by themselves, for tests of functions that the package does not show."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

import sphinx
from sphinx.native import base_table

HERE: Final = Path(__file__).parent
NATIVE: Final = Path(sphinx.__file__).parent / "native"
OPTIONS: Final = ("-O2", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}")

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler here")


class Cpu(ctypes.Structure):
    """What cpu.h says of the processor."""

    _fields_ = [(name, ctypes.c_int) for name in ("aes", "sha", "adx", "avx2")]


def ran(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """What came of a command, without what the tests themselves may have loaded before all else."""
    clean = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return subprocess.run(command, env=clean, capture_output=True, text=True, check=False)


def compiled(out: Path, sources: Sequence[Path], *options: str) -> Path:
    """A program, or with -shared a library, of some sources; warnings are errors."""
    (out.parent / "base_table.h").write_text(base_table.header())
    done = ran("cc", *OPTIONS, *options, f"-I{out.parent}", "-o", out, *sources)
    assert done.returncode == 0, done.stderr
    return out


def shared_library(folder: Path, sources: Sequence[Path], *options: str) -> tuple[ctypes.CDLL, Cpu]:
    """The functions of some sources, and what this processor has; cpu.c comes with them."""
    made = compiled(folder / "functions.so", [*sources, NATIVE / "cpu.c"], "-fPIC", "-shared", *options)
    library = ctypes.CDLL(str(made))
    library.kp_cpu_features.restype = Cpu
    return library, library.kp_cpu_features()
