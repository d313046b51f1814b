"""What is in the archives that `make dist` leaves in dist/."""

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from distribution.wheels import ENGINE, GLIBC, PROCESSORS
from kpclientd.version import release

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
ARCHIVE = DIST / f"kpclientd-{release()}.tar.gz"

ELF_MACHINES = {"x86_64": 62, "aarch64": 183}


def wheel(processor: str) -> ZipFile:
    (path,) = DIST.glob(f"kpclientd-{release()}-cp311-abi3-*_{processor}.whl")
    return ZipFile(path)


def kept_files() -> list[Path]:
    """What git keeps, by its path in the repository."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no clone")
    told = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in told.splitlines() if (ROOT / name).exists()]


def unpacked(folder: Path) -> Path:
    subprocess.run(("tar", "-xzf", ARCHIVE, "-C", folder), check=True)
    return folder / f"kpclientd-{release()}"


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_engine_is_for_the_processor_and_for_no_newer_glibc_than_the_name_says(processor: str) -> None:
    with wheel(processor) as content:
        engine = content.read(ENGINE)
        tags = next(content.read(name) for name in content.namelist() if name.endswith(".dist-info/WHEEL"))
    assert int.from_bytes(engine[18:20], "little") == ELF_MACHINES[processor]
    wanted = {tuple(map(int, version.split(b"."))) for version in re.findall(rb"GLIBC_([0-9.]+)", engine)}
    assert wanted and max(wanted) <= GLIBC
    assert f"Tag: cp311-abi3-manylinux_{GLIBC[0]}_{GLIBC[1]}_{processor}".encode() in tags


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_wheel_has_what_users_want_and_no_sources_of_the_engine(processor: str) -> None:
    with wheel(processor) as content:
        names = content.namelist()
    assert not [name for name in names if name.endswith((".c", ".h", ".o"))]
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "distribution/"))]
    for package in ("kpclientd", "sphinx", "pki", "arq"):
        assert f"{package}/py.typed" in names
    for path in kept_files():
        if path.name.endswith("LICENSE.txt"):
            assert [name for name in names if name.endswith(f".dist-info/licenses/{path}")]
        elif path.parts[0] in ("kpclientd", "sphinx", "pki", "arq") and path.suffix not in (".c", ".h"):
            assert str(path) in names
    data = {name.partition(".data/data/")[2] for name in names}
    for page in (ROOT / "docs" / "man").iterdir():
        assert f"share/man/man{page.suffix[1:]}/{page.name}" in data
    for script in ("bash-completion/completions", "zsh/site-functions", "fish/vendor_completions.d"):
        assert sum(name.startswith(f"share/{script}/") for name in data) == 2


def test_the_source_archive_has_every_file_of_the_repository() -> None:
    with tarfile.open(ARCHIVE) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {str(path) for path in kept_files()} <= packed
    assert not [name for name in packed if name.endswith((".so", ".pyc"))]


def test_tests_run_in_the_unpacked_source_archive(tmp_path: Path) -> None:
    source = unpacked(tmp_path)
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-n0",
            "-q",
            "tests/sphinx/test_packet_vectors.py",
            "tests/cli",
            "tests/config",
        ],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert shutil.which("make") is None or "make run" in (source / "Makefile").read_text(encoding="utf-8")
