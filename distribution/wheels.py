"""Builds wheels with the engine inside, for more processors than this machine's, from the source archive.

`python -m distribution.wheels dist`: Zig's compiler, a package of PyPI, brings what is needed for each of them, glibc
of a chosen age included, so that no wheel depends on what this machine has. Where the engine would be missing, no wheel
is made: the source archive does the same, and better, as it looks for a compiler where it is installed.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZipFile

PROCESSORS: Final = ("x86_64", "aarch64")
GLIBC: Final = (2, 17)
"""The oldest that a wheel runs with, as manylinux_2_17 has it."""

ENGINE: Final = "sphinx/native/_engine.abi3.so"

_COMPILER_FLAGS: Final = "-fno-sanitize=undefined"  # Zig's default is to trap
_FILES_HERE: Final = "pyconfig.h"


def main() -> int:
    """Build a wheel for each processor beside the source archive."""
    parser = argparse.ArgumentParser(description="Build wheels from the source archive.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="has the source archive, and gets the wheels")
    directory: Path = parser.parse_args().directory.resolve()
    (archive,) = directory.glob("*.tar.gz")
    for processor in PROCESSORS:
        print(f"building the wheel for {processor} ...", flush=True)
        print(build(archive, processor, directory), flush=True)
    return 0


def build(archive: Path, processor: str, output: Path) -> Path:
    """Build one wheel and return where it is.

    Args:
        archive: the source archive.
        processor: as the wheel's name has it.
        output: folder for the wheel.

    Raises:
        RuntimeError: the engine is not inside.
    """
    platform = f"manylinux_{GLIBC[0]}_{GLIBC[1]}_{processor}"
    with TemporaryDirectory() as folder:
        subprocess.run(("tar", "-xzf", archive, "-C", folder), check=True)  # what tarfile has for it is not in 3.11.2
        (source,) = Path(folder).iterdir()
        platform_option = f"--config-setting=--build-option=--plat-name={platform}"
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "build",
                "--wheel",
                "--no-isolation",
                "--outdir",
                str(output),
                platform_option,
                source,
            ],
            env={**os.environ, **_compiler(processor, Path(folder))},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    wheels = list(output.glob(f"*-{platform}.whl"))
    if ended.returncode or not wheels or not _has_engine(wheels[0]):
        raise RuntimeError(f"no wheel for {processor}:\n{ended.stdout[-5000:]}\n{ended.stderr[-5000:]}")
    return wheels[0]


def _has_engine(wheel: Path) -> bool:
    with ZipFile(wheel) as content:
        return ENGINE in content.namelist()


def _compiler(processor: str, folder: Path) -> dict[str, str]:
    """The environment that has setuptools compile for a processor."""
    target = f"{processor}-linux-gnu.{GLIBC[0]}.{GLIBC[1]}"
    compiler = f"{sys.executable} -m ziglang cc -target {target} {_COMPILER_FLAGS}"
    return {
        "CC": compiler,
        "LDSHARED": f"{compiler} -shared -s",
        "CFLAGS": f"-I{_headers(processor, folder)}",
        "LDFLAGS": "",
        "_PYTHON_HOST_PLATFORM": f"linux-{processor}",
        "ZIG_GLOBAL_CACHE_DIR": str(folder / "zig"),
        "ZIG_LOCAL_CACHE_DIR": str(folder / "zig"),
    }


def _headers(processor: str, folder: Path) -> Path:
    """Where Debian's `pyconfig.h` looks for the one of a processor.

    There is only this machine's, which says the same as any of 64 bits as far as the stable ABI is concerned.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    place = folder / "headers" / f"{processor}-linux-gnu" / version
    place.mkdir(parents=True, exist_ok=True)
    here = Path(sysconfig.get_config_h_filename())
    of_debian = here.parents[1] / (sysconfig.get_config_var("MULTIARCH") or "") / version / _FILES_HERE
    (place / _FILES_HERE).write_text(f'#include "{of_debian if of_debian.exists() else here}"\n', encoding="utf-8")
    return folder / "headers"


if __name__ == "__main__":
    sys.exit(main())
