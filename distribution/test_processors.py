"""The engine compiled for other processors than this one makes the same of the same: run here by an emulator."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from distribution.wheels import PROCESSORS
from sphinx.native import base_table

ROOT = Path(__file__).resolve().parents[1]
NATIVE = ROOT / "sphinx" / "native"
SOURCES = [ROOT / "tests" / "sphinx" / "engine_outputs.c", *sorted(NATIVE.glob("*.c"))]


def outputs(processor: str, engine: str, folder: Path, *emulator: str) -> str:
    """What the program prints; "" where the processor has not what the engine needs."""
    program = folder / f"engine_outputs-{processor}"
    if not program.exists():
        (folder / "base_table.h").write_text(base_table.header())
        compiler = (sys.executable, "-m", "ziglang", "cc", "-target", f"{processor}-linux-musl", "-static")
        options = ("-O3", "-Wall", "-Wextra", "-Werror", f"-I{NATIVE}", f"-I{folder}", "-o", program)
        made = subprocess.run([*compiler, *options, *SOURCES], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
    ended = subprocess.run([*emulator, program, engine], capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 3), ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processors")


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_engine_of_each_wheel_makes_the_same(processor: str, folder: Path) -> None:
    here = os.uname().machine
    expected = outputs(here, "portable", folder)
    assert expected.count("\n") > 500
    emulator = []
    if processor != here:
        emulator = [name for name in (f"qemu-{processor}", f"qemu-{processor}-static") if shutil.which(name)][:1]
        if not emulator:
            pytest.skip(f"there is no emulator of {processor}: on Debian, apt-get install qemu-user")
    assert outputs(processor, "portable", folder, *emulator) == expected
    assert outputs(processor, "aes-ni", folder, *emulator) in (expected, "")
