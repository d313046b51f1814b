"""A package of ours that is another project's is named before anything else happens."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kpclientd.own_packages import PACKAGES, foreign_package

ROOT = Path(__file__).resolve().parents[2]


def start(site: Path, *arguments: str, code: str = "", flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Start the program as it is installed in a folder."""
    return subprocess.run(
        [sys.executable, *flags, *(("-c", code) if code else ("-m", "kpclientd")), *arguments],
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Our packages, installed in a folder of their own."""
    for name in ("kpclientd", *PACKAGES):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.c", "*.h"))
    return tmp_path


def test_our_own_packages_are_ours() -> None:
    assert foreign_package() is None


def test_python_runs_the_package_as_the_program(site: Path) -> None:
    ended = start(site, "--version")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("kpclientd version ")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_written_over_by_another_project_is_named_in_one_line(site: Path, name: str) -> None:
    (site / name / "__init__.py").write_text("raise RuntimeError('this is executed')\n", encoding="utf-8")
    for ended in (
        start(site, "--version"),
        start(site, code="from kpclientd.cli import loopix_client as f; exit(f())"),
    ):
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert line.startswith("kpclientd: ") and f"'{name}' is another project's" in line and "pipx" in line


def test_a_package_of_another_folder_that_comes_first_is_named(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(site / "sphinx", other / "sphinx")
    code = (
        f"import sys; sys.path.insert(0, {str(other)!r}); from kpclientd.cli import main; sys.exit(main(['--version']))"
    )
    ended = start(site, code=code)
    assert ended.returncode == 1 and "another project's" in ended.stderr and str(other) in ended.stderr


def test_a_package_that_is_gone_is_named(site: Path) -> None:
    shutil.rmtree(site / "arq")
    ended = start(site, "--version", flags=("-S",))  # else the checkout's own is found
    assert ended.returncode == 1 and "'arq' is missing" in ended.stderr
