"""The command line: texts and exit statuses as the reference has them, and no import that is not needed."""

import logging
import socket
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from kpclientd.cli import main
from kpclientd.commands.table import COMMANDS, Command
from kpclientd.config.model import ClientConfig
from kpclientd.errors import KpclientdError
from kpclientd.thin.errors import ListenError
from sphinx.native import engine_name
from tests.config.samples import client_toml, literal_toml, written

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return written(tmp_path, literal_toml())


def install_daemon(monkeypatch: pytest.MonkeyPatch, run: Callable[[ClientConfig], int]) -> None:
    module = types.ModuleType("kpclientd.service")
    module.run = lambda config, _, dbus_name: run(config)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kpclientd.service", module)


def test_a_good_file_is_valid_and_nothing_is_started(
    config: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_daemon(monkeypatch, lambda _: pytest.fail("the daemon was started"))
    for arguments in (["--config", str(config), "--validate-only"], ["--validate-only", "-c", str(config)]):
        assert main(arguments) == 0
        assert capsys.readouterr() == (f"configuration file '{config}' is valid\n", "")


def test_unknown_keys_are_refused_by_validation_and_only_warned_of_at_start(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, client_toml(top="Colour = 1"))
    assert main(["--config", str(path), "--validate-only"]) == 1
    first = capsys.readouterr().err.splitlines()[0]
    assert first == f"kpclientd: config file '{path}': unrecognised configuration keys: Colour"
    install_daemon(monkeypatch, lambda _: 0)
    assert main(["--config", str(path)]) == 0
    assert "WARN katzenpost/client: " in (out := capsys.readouterr().out)
    assert "unrecognised configuration keys are ignored: Colour" in out


def test_a_period_that_the_start_refuses_is_refused_by_validation(
    config: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KATZENPOST_EPOCH_DURATION", "soon")
    assert main(["--config", str(config), "--validate-only"]) == 1
    assert "KATZENPOST_EPOCH_DURATION: 'soon' is not a duration" in capsys.readouterr().err


def test_what_is_risky_is_told_by_validation(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, literal_toml(MetricsAddress='MetricsAddress = "192.0.2.1:1"'))
    assert main(["--config", str(path), "--validate-only"]) == 0
    assert capsys.readouterr().err == (
        f"kpclientd: {path}: MetricsAddress: whoever reaches port 1 of 192.0.2.1 can read when this daemon is used: "
        "listen on 127.0.0.1\n"
    )


@pytest.mark.parametrize("flags", [[], ["--validate-only"]])
def test_a_bad_file_is_told_on_standard_error(tmp_path: Path, capsys: Capture, flags: list[str]) -> None:
    path = written(tmp_path, client_toml(Listen=None))
    assert main(["--config", str(path), *flags]) == (1 if flags else 78)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        f"kpclientd: failed to load config file: {path}: transport: no listen transport configured; "
    )
    assert "--help" not in captured.err, "the command line was good"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], 'required flag(s) "config" not set'),
        (["--validate-only"], 'required flag(s) "config" not set'),
        (["--colour"], "there is no option '--colour'"),
        (["--validateonly"], "there is no option '--validateonly'; did you mean '--validate-only'?"),
        (["--config"], "argument -c/--config: expected one argument"),
        (["--validate-only", "file"], "one word too many: 'file'"),
        (["pong"], "there is no command 'pong'; did you mean 'ping'?"),
        (["help", "pong"], "there is no command 'pong'; did you mean 'ping'?"),
        (["xyzzy"], "there is no command 'xyzzy'"),
    ],
)
def test_a_bad_command_line_ends_with_1(arguments: list[str], text: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.endswith(f"\nkpclientd: {text}\nTry 'kpclientd --help'.\n")
    assert told.startswith("usage: kpclientd --config FILE") and "kpclientd COMMAND" in told


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["pipe", "sned"], "kpclientd pipe: there is no command 'sned'; did you mean 'send'?"),
        (["box", "xyzzy"], "kpclientd box: there is no command 'xyzzy'; there is new, write, read, skip, copy and rm"),
        (
            ["box", "write", "f", "--confg", "x"],
            "kpclientd box: there is no option '--confg'; did you mean '--config'?",
        ),
        (["ping", "--tiemout", "3"], "kpclientd ping: there is no option '--tiemout'; did you mean '--timeout'?"),
        (["ping", "-c", "client.toml"], "a file is given by --config client.toml"),
        (["config", "init", "--network", "nemenlos"], "there is no choice 'nemenlos'; did you mean 'namenlos'?"),
        (["localnet", "--family", "loopy", "x"], "there is no choice 'loopy'; did you mean 'loopix'?"),
        (["demo", "twice"], "kpclientd demo: one word too many: 'twice'"),
    ],
)
def test_a_mistyped_word_of_a_command_is_named_with_the_nearest(
    arguments: list[str], text: str, capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_help_and_version_are_words_too(capsys: Capture) -> None:
    for arguments, text in ((["help"], "COMMAND"), (["help", "ping"], "--timeout"), (["help", "localnet"], "--family")):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code
        assert text in capsys.readouterr().out
    assert main(["version"]) == 0
    assert capsys.readouterr().out.startswith("kpclientd version ")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_that_is_listed_tells_what_it_does(command: Command, capsys: Capture) -> None:
    try:
        status = main(["help", command.name])
    except SystemExit as ended:
        status = ended.code  # type: ignore[assignment]
    assert not status
    captured = capsys.readouterr()
    assert command.name in captured.out and not captured.err
    parser = command.build_parser()
    assert (parser is None) == (command.name == "loopix")
    assert parser is None or parser.prog == f"kpclientd {command.name}"
    assert all(len(line) <= 80 for line in captured.out.splitlines())


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_goes_to_standard_output(flag: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([flag])
    assert not ended.value.code
    out = capsys.readouterr().out
    assert all(word in out for word in ("--config", "--validate-only", "--version", "ping", "localnet"))


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_the_version_comes_with_the_engine(flag: str, capsys: Capture) -> None:
    assert main([flag]) == 0
    version, engine = capsys.readouterr().out.splitlines()
    assert version.startswith("kpclientd version ")
    assert engine == f"packet engine: {engine_name()}"


def test_the_daemon_gets_the_configuration_and_its_status_is_ours(
    config: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[ClientConfig] = []

    def run(client_config: ClientConfig) -> int:
        given.append(client_config)
        logging.getLogger("client/conn").debug("here")
        return 7

    install_daemon(monkeypatch, run)
    assert main(["--config", str(config)]) == 7
    assert [client_config.path for client_config in given] == [config]
    assert capsys.readouterr().out.endswith("DEBU client/conn: here\n")


@pytest.mark.parametrize("error", [KpclientdError("no luck"), ListenError("no luck")])
def test_a_daemon_that_cannot_start_says_why(
    config: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def run(_: ClientConfig) -> int:
        raise error

    install_daemon(monkeypatch, run)
    assert main(["--config", str(config)]) == 1
    assert capsys.readouterr().err == "kpclientd: failed to start daemon: no luck\n"


def test_a_log_file_that_cannot_be_opened_ends_the_start(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, client_toml(Logging=f'[Logging]\nFile = "{tmp_path}/absent/x.log"'))
    assert main(["--config", str(path)]) == 1
    assert capsys.readouterr().err.startswith("kpclientd: failed to create daemon: log file ")


def test_a_log_file_that_is_standard_output_and_no_file_is_explained(tmp_path: Path) -> None:
    path = written(tmp_path, literal_toml(Logging='[Logging]\nFile = "/dev/stdout"'))
    ours, theirs = socket.socketpair()  # as under systemd, which reads standard output from a socket
    with ours, theirs:
        command = (sys.executable, "-m", "kpclientd.cli", "--config", str(path))
        done = subprocess.run(command, stdout=theirs.fileno(), stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "log file /dev/stdout cannot be opened: No such device or address; leave File empty" in done.stderr


def test_commands_get_the_rest_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module_name in (("localnet", "kpclientd.localnet.cli"), ("ping", "kpclientd.commands.ping")):
        module = types.ModuleType(module_name)
        module.main = list  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module_name, module)
        assert main([name, "-n", "3"]) == ["-n", "3"]  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import kpclientd.cli", ["argparse", "trio", "cbor2", "cryptography", "nacl", "tomllib", "sphinx", "pki"]),
        ("import kpclientd.config.load", ["argparse", "trio", "cffi", "hypothesis"]),
        (
            "import kpclientd.service, kpclientd.state.keeper, kpclientd.thin.websocket",
            ["argparse", "aioquic", "httpx"],
        ),
        ("from kpclientd.cli import main; main(['--config', '/nowhere'])", ["argparse"]),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str, absent: list[str]) -> None:
    code = f"import sys; {statement}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
