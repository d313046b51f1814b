"""Whatever a user can cause ends any program in a line or in silence, never in a traceback."""

import errno
import os
import pwd
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kpclientd.cli import main
from kpclientd.program import program
from sphinx.errors import MixnetError
from tests.config.samples import literal_toml, written

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60
SIGNS_OF_A_TRACE = ("Traceback", "Exception Group", "Logging error", "Exception ignored", "lost sys.stderr")

Capture = pytest.CaptureFixture[str]


def ending(error: BaseException) -> Callable[[], int]:
    @program("prog")
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (MixnetError("no luck"), 1, "prog: no luck\n"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), 1, "prog: /x: No such file\n"),
        (OSError(errno.EMFILE, "Too many open files"), 1, "prog: Too many open files\n"),
        (ImportError("no module"), 1, "prog: no module; the installation is not complete, or cannot be read\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0, ""),
        (KeyboardInterrupt(), 130, ""),
        (ExceptionGroup("", [BrokenPipeError(), ExceptionGroup("", [BrokenPipeError()])]), 0, ""),
        (ExceptionGroup("", [BrokenPipeError(), MixnetError("one")]), 1, "prog: one\n"),
        (ExceptionGroup("", [MixnetError("one"), MixnetError("two"), MixnetError("one")]), 1, "prog: one\nprog: two\n"),
        (BaseExceptionGroup("", [KeyboardInterrupt(), OSError(errno.EIO, "x")]), 130, ""),
    ],
)
def test_what_a_user_can_cause_is_told_in_a_line(error: BaseException, status: int, told: str, capsys: Capture) -> None:
    assert ending(error)() == status
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize("error", [RuntimeError("bug"), ExceptionGroup("", [OSError(), RuntimeError("bug")])])
def test_faults_of_the_program_keep_their_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        ending(error)()


def test_a_warning_that_no_log_takes_begins_as_errors_do() -> None:
    work = "import logging, sys; from kpclientd.program import program; "
    work += "sys.exit(program('prog')(lambda: logging.getLogger('module').warning('careful') or 3)())"
    done = subprocess.run([sys.executable, "-c", work], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "prog: careful\n")


def test_an_exit_passes_through() -> None:
    with pytest.raises(SystemExit) as ended:
        ending(SystemExit(7))()
    assert ended.value.code == 7


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a configuration, and nobody to speak to."""
    written(tmp_path, literal_toml())
    (tmp_path / "thinclient.toml").write_text('[Dial]\n  [Dial.Unix]\n    Address = "/nowhere/kpclientd.sock"\n')
    return tmp_path


def run(line: str, place: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A command line as a shell runs it, in `place`; KP and LX stand for the programs."""
    programs = {
        "KP": f"{sys.executable} -m kpclientd.cli",
        "LX": f"{sys.executable} -m kpclientd.loopix.commands",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=place,
        env=os.environ | programs | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def traceless(done: "subprocess.CompletedProcess[str]") -> bool:
    said = done.stdout + done.stderr
    return done.returncode >= 0 and done.returncode < 120 and not any(sign in said for sign in SIGNS_OF_A_TRACE)


@pytest.mark.parametrize(
    "command",
    [
        "$KP --version",
        "$KP --help",
        "$KP config show client.toml",
        "$KP ping",
        "$KP localnet --do status .",
        "$LX help init",
    ],
)
def test_wherever_standard_output_leads_there_is_no_trace(command: str, place: Path) -> None:
    streams = ("| head -c0", ">/dev/full", ">/dev/full 2>/dev/full", "<&- >&- 2>&-")
    done = run("; ".join(f"{command} {where} || (($? < 120)) || exit 1" for where in streams), place)
    assert traceless(done) and done.returncode == 0, done


def test_names_that_are_no_text_are_told_as_they_can_be(place: Path) -> None:
    for command in ("$KP --config", "$KP config show", "$KP localnet --do status", "$LX run --customCfg"):
        done = run(f"{command} $'\\xff.toml'", place)
        assert traceless(done) and done.returncode in (1, 78) and "xff.toml" in done.stderr.replace("\\udc", "x"), done


def test_a_full_disk_behind_standard_output_is_told(place: Path) -> None:
    done = run("$KP config init - >/dev/full", place)
    assert done.returncode == 1
    assert re.fullmatch(r"kpclientd: No space left on device \(in \w+\.py, line \d+\)\n", done.stderr)


def test_a_reader_who_leaves_hears_nothing(place: Path) -> None:
    done = run("$KP config show client.toml | head -c0", place)
    heard = [
        line for line in done.stderr.splitlines() if "compiled Sphinx engine" not in line
    ]  # where it was not built
    assert (done.returncode, done.stdout, heard) == (0, "", [])


def test_names_that_the_locale_cannot_write_are_written_all_the_same(place: Path) -> None:
    name = "\N{SNOWMAN}.toml"
    (place / name).write_bytes((place / "client.toml").read_bytes())
    for command in (f"$KP -c {name} --validate-only", f"$KP config check {name}", f"$KP config show {name}"):
        done = run(command, place, PYTHONIOENCODING="ascii")
        assert traceless(done) and done.returncode == 0, done
        assert "\\u2603.toml" in done.stdout


@pytest.mark.parametrize(
    "line",
    [
        *(f"{command} {name}" for command in ("$KP box new", "$KP box write", "$KP pipe send") for name in ("''",)),
        "$KP pipe send --state '' client.toml",
        "$KP pipe receive -o ''",
        "$KP pipe receive -o x --state ''",
        "$KP box read b --box $(printf '9%.0s' $(seq 5000))",
        "$KP localnet . --thin-port 0.5",
    ],
)
def test_words_that_cannot_be_meant_are_wrong_usage(line: str, place: Path) -> None:
    done = run(line, place)
    assert traceless(done) and done.returncode == 2, done


NAMES = ("folder", "binary", "n" * 300, "", "/dev/full", "client.toml/x")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "command",
    [
        "--config",
        "config check",
        "config show",
        "config init --from",
        "config init",
        "ping -c",
        "box read -c thinclient.toml",
        "pipe send -c thinclient.toml",
        "localnet --do status",
        "loopix run --customCfg",
    ],
)
def test_no_file_is_so_odd_that_there_is_a_trace(
    command: str, name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (place / "folder").mkdir()
    (place / "binary").write_bytes(bytes(range(256)))
    monkeypatch.chdir(place)
    try:
        status: object = main([*command.split(), name])
    except SystemExit as ended:
        status = ended.code
    assert status in (1, 2, 78)
    assert capsys.readouterr().err.strip(), "it says why"


def test_a_user_whom_the_system_does_not_know_needs_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert main(["ping"]) == 2
    assert "say where it is by --config" in capsys.readouterr().err
    assert main(["loopix", "init", "--local"]) == 1
    assert "set HOME" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "$KP config check client.toml",
        "$KP --config client.toml",
        "$KP ping",
        "$KP localnet net --replicas 0 --thin-port 0",
        "$KP demo --once",
        "$LX init --local",
    ],
)
def test_too_few_descriptors_are_told_in_a_line(line: str, place: Path) -> None:
    done = run(f"ulimit -n 8; {line}", place, HOME=str(place))
    assert traceless(done), done


@pytest.mark.parametrize(
    "line", ["$KP --version", "$KP localnet net --replicas 0", "$KP demo --once", "$KP --config client.toml"]
)
def test_an_engine_that_is_not_there_is_told_in_a_line(line: str, place: Path) -> None:
    done = run(line, place, KPCLIENTD_SPHINX_ENGINE="turbo")
    assert traceless(done) and done.returncode == 1
    assert "there is no engine 'turbo' here, only " in done.stderr
