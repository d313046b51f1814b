"""The wheel that `make dist` built, installed into a fresh environment as a stranger would."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from kpclientd.commands.table import COMMANDS
from kpclientd.version import release

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
COMPILED = ("aes-ni", "portable")


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run something far from the checkout; returns what it printed."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    ended = subprocess.run(
        command, cwd=folder, env={**outer, **environment}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"{command}: {ended.stdout[-2000:]}{ended.stderr[-4000:]}"
    return ended.stdout


def own_wheel() -> Path:
    (path,) = DIST.glob(f"kpclientd-{release()}-*_{os.uname().machine}.whl")
    return path


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir() and "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the locked dependencies."""
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    venv.create(folder, with_pip=True)
    locks = ROOT / "configs" / "locks" / "run.txt"
    install = (folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*install, "--require-hashes", "--only-binary", ":all:", "--requirement", locks, folder=folder)
    return folder


@pytest.fixture(scope="module")
def before(environment: Path) -> set[Path]:
    """What is in the environment without the wheel."""
    return files_of(environment)


@pytest.fixture(scope="module")
def installed(environment: Path, before: set[Path]) -> Path:
    """The environment with the wheel."""
    assert before
    install = (environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*install, "--no-index", "--no-deps", own_wheel(), folder=environment)
    run(environment / "bin" / "python", "-m", "pip", "check", folder=environment)
    return environment


def test_the_programs_start_and_the_engine_is_compiled(installed: Path, tmp_path: Path) -> None:
    told = run(installed / "bin" / "kpclientd", "--version", folder=tmp_path)
    assert release() in told and any(f"packet engine: {name}" in told for name in COMPILED)
    assert run(installed / "bin" / "python", "-m", "kpclientd", "--version", folder=tmp_path) == told
    assert run(installed / "bin" / "loopix-client", "version", folder=tmp_path).strip()


def test_every_command_tells_of_itself(installed: Path, tmp_path: Path) -> None:
    for command in COMMANDS:
        assert command.name in run(installed / "bin" / "kpclientd", command.name, "--help", folder=tmp_path)


def test_a_ping_comes_back_through_a_local_network(installed: Path, tmp_path: Path) -> None:
    told = run(installed / "bin" / "kpclientd", "demo", "--once", "-n", "1", folder=tmp_path)
    assert "1 sent, 1 received" in told
    assert not list(tmp_path.iterdir())


def test_a_configuration_is_begun_and_checked(installed: Path, tmp_path: Path) -> None:
    kpclientd = installed / "bin" / "kpclientd"
    run(kpclientd, "config", "init", "--network", "local", "client.toml", folder=tmp_path)
    checked = subprocess.run(
        [kpclientd, "config", "check", "client.toml"], cwd=tmp_path, capture_output=True, check=False
    )
    assert checked.returncode == 1 and b"placeholder" in checked.stderr


def test_manual_pages_and_completions_are_where_they_are_looked_for(installed: Path, tmp_path: Path) -> None:
    share = installed / "share"
    assert (share / "man/man1/kpclientd.1").is_file() and (share / "man/man5/client.toml.5").is_file()
    completions = {
        "bash": "bash-completion/completions/kpclientd",
        "zsh": "zsh/site-functions/_kpclientd",
        "fish": "fish/vendor_completions.d/kpclientd.fish",
    }
    for shell, place in completions.items():
        printed = run(installed / "bin" / "kpclientd", "completion", shell, folder=tmp_path)
        assert (share / place).read_text(encoding="utf-8") == printed


def test_pipx_installs_it_and_takes_it_away(tmp_path: Path) -> None:
    if subprocess.run([sys.executable, "-m", "pipx", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("pipx is not here")
    places = {
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "man"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
        "HOME": str(tmp_path),
    }
    run(sys.executable, "-m", "pipx", "install", own_wheel(), folder=tmp_path, **places)
    assert release() in run(tmp_path / "bin" / "kpclientd", "--version", folder=tmp_path)
    assert (tmp_path / "man/man1/kpclientd.1").exists() and (tmp_path / "bin/loopix-client").exists()
    run(sys.executable, "-m", "pipx", "uninstall", "kpclientd", folder=tmp_path, **places)
    assert not list((tmp_path / "bin").iterdir()) and not (tmp_path / "man/man1/kpclientd.1").exists()


def test_uninstalling_leaves_nothing(installed: Path, before: set[Path], tmp_path: Path) -> None:
    added = files_of(installed) - before
    assert len(added) > 300
    run(installed / "bin" / "python", "-m", "pip", "uninstall", "--quiet", "--yes", "kpclientd", folder=tmp_path)
    assert files_of(installed) == before
