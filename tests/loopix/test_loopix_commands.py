"""`loopix-client` as its users and their scripts know it: words, files, modes, exit statuses."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from kpclientd.loopix.commands import main
from kpclientd.loopix.config import Logging, config_path, load_config
from kpclientd.loopix.identity import load_identity
from kpclientd.loopix.nodes import key_text
from kpclientd.loopix.profile import DEFAULT, PROFILES
from kpclientd.loopix.requests import Details, OwnDetails
from kpclientd.loopix.setup import planned_config, write_client
from kpclientd.loopix.simulator import LoopixNetwork
from sphinx.randomness import Randomness
from tests.loopix.applications import tcp_application, websocket_application

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "kpclientd.loopix.commands"]
PATIENCE_SECONDS = 60
ERROR_LINE = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] ERROR: loopix-client"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("LOOPIX_PROFILE", "LOOPIX_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status", "begin"),
    [
        ([], 1, "Usage: loopix-client COMMAND [OPTIONS]\n"),
        (["help"], 0, "Usage: loopix-client COMMAND [OPTIONS]\n"),
        (["--help"], 0, "Usage: loopix-client COMMAND [OPTIONS]\n"),
        (["-h"], 0, "Usage: loopix-client COMMAND [OPTIONS]\n"),
        (["help", "init"], 0, "Usage: loopix-client init [OPTIONS]\n\n  Initialise a Loopix client\n"),
        (["run", "--help"], 0, "Usage: loopix-client run [OPTIONS]\n\n  Run a persistent Loopix client process\n"),
        (["socket", "--id", "x", "-h"], 0, "Usage: loopix-client socket [OPTIONS]\n"),
        (["run", "alice"], 1, "Usage: loopix-client run [OPTIONS]\n"),
        (["version"], 0, "0.2.0\n"),
        (["-v"], 0, "0.2.0\n"),
        (["--version"], 0, "0.2.0\n"),
    ],
)
def test_help_and_version_go_to_standard_output(
    words: list[str], status: int, begin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == status
    captured = capsys.readouterr()
    assert captured.out.startswith(begin) and captured.err == ""
    if begin.endswith("COMMAND [OPTIONS]\n"):
        assert all(f"\n    {command} " in captured.out for command in ("init", "run", "socket"))
        assert captured.out.endswith('Run "loopix-client help <command>" for more info on a specific command.\n')


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fly"], ": 'fly' is not a valid command: see 'loopix-client help'"),
        (["help", "fly"], ": 'fly' is not a valid command: see 'loopix-client help'"),
        (["help", "run", "now"], ": invalid help option: 'run now'"),
        (["run", "--fast"], " run: no such option: --fast"),
        (["init", "--id=alice"], " init: no such option: --id=alice"),
        (["socket", "--port"], " socket: --port option requires an argument"),
        (["run", "--profile", "1.0"], ": unknown profile '1.0': expected one of 0.2, 0.3, 0.4"),
    ],
)
def test_bad_command_lines_end_with_an_error(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(ERROR_LINE + re.escape(message) + "\n", captured.err)


def test_the_version_is_that_of_the_profile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOOPIX_PROFILE", "0.4")
    assert main(["version"]) == 0
    assert capsys.readouterr().out == "0.4.0\n"


def test_a_program_named_after_the_command_is_run(tmp_path: Path) -> None:
    script = tmp_path / "loopix-client-greet"
    script.write_text('#!/bin/sh\necho "hello $1"\n')
    script.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([*PROGRAM, "greet", "world"], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"hello world\n")


@pytest.fixture
def unused_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound, but nobody listens
        yield bound.getsockname()[1]


@pytest.mark.parametrize("command", ["run", "socket"])
def test_a_client_that_does_not_exist_is_named(command: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command]) == 1
    expected = home / ".loopix/clients/Client/config/config.toml"
    assert capsys.readouterr().err == f"The configuration file at {expected} does not seem to exist\n"


def test_a_bad_configuration_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[logging]\n")
    assert main(["run", "--customCfg", str(path)]) == 1
    assert capsys.readouterr().err == "Could not load the config file: config: No Client block was present\n"


@pytest.mark.parametrize("client_id", ["a/b", "..", ""])
def test_an_id_that_is_no_name_makes_no_files(
    client_id: str, home: Path, unused_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--id", client_id, "--directory", f"http://127.0.0.1:{unused_port}/"]) == 1
    assert not any(home.iterdir())
    if not client_id:
        assert re.match(r"No clientID provided. Random string will be used instead: \w{8}\.\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--id", "n" * 300],
        ["run", "--customCfg", "n" * 300],
        ["socket", "--customCfg", "/dev/null/config.toml"],
        ["init", "--local", "--id", "n" * 300],
    ],
)
def test_names_that_are_too_long_are_refused_in_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("words", [["init", "--local"], ["run"], ["socket"]])
@pytest.mark.parametrize("home", ["", "rel"])
def test_an_odd_home_is_refused_before_anything_is_written(
    words: list[str], home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", home)
    assert main([*words, "--id", "alice"]) == 1
    assert f"HOME is {home or '.'!r}, expected the absolute path" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_who_asks_the_public_network_hears_where_there_is_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # nobody is asked in earnest
    assert main(["init", "--id", "alice"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("failed to obtain network topology: directory https://directory.nymtech.net/")
    assert "--local" in second and "kpclientd localnet --family loopix DIR" in second


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9050", "the proxy of the environment (ALL_PROXY) cannot be used: "),
        ("all_proxy", "socks://x", "the proxy of the environment (all_proxy) cannot be used: "),
        ("HTTPS_PROXY", "ftp://alice:sesame@x", "the proxy of the environment (HTTPS_PROXY) cannot be used: "),
        ("SSL_CERT_FILE", "/nowhere", "the certificates cannot be read (SSL_CERT_FILE): No such file or directory"),
        ("SSL_CERT_FILE", "/dev/full", "the certificates cannot be read (SSL_CERT_FILE): "),
        ("SSLKEYLOGFILE", "/nowhere/x", "the certificates cannot be read (SSLKEYLOGFILE): No such file or directory"),
    ],
)
def test_an_environment_that_cannot_be_used_is_named(
    variable: str,
    value: str,
    told: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    url = "http://directory.invalid:18080/api/presence/topology"
    assert main(["init", "--id", "alice", "--directory", url]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"failed to obtain network topology: {told}") and len(said.splitlines()) == 1
    assert "sesame" not in said
    config = planned_config("alice", home, DEFAULT, url)
    write_client(
        replace(config, logging=Logging(disable=True)), lambda text: None, Randomness(os.urandom), overwrite=True
    )
    assert main(["run", "--id", "alice"]) == 255
    assert f"Failed to spawn client instance: {told}" in capsys.readouterr().err


def test_without_a_directory_init_writes_nothing(
    home: Path, unused_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{unused_port}/api/presence/topology"
    assert main(["init", "--id", "alice", "--local", "--directory", url]) == 1
    captured = capsys.readouterr()
    assert captured.out == "Using the local directory server\n"
    assert captured.err.startswith(f"failed to obtain network topology: directory {url} cannot be asked: ")
    assert not any(home.iterdir())


@asynccontextmanager
async def network(profile: str = "0.2") -> AsyncIterator[LoopixNetwork]:
    running = LoopixNetwork(seed=b"commands", profile=PROFILES[profile])
    async with trio.open_nursery() as nursery:
        await nursery.start(running.run)
        yield running
        nursery.cancel_scope.cancel()


async def call(*words: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run the program to its end."""
    with trio.fail_after(PATIENCE_SECONDS):
        return await trio.run_process(
            [*PROGRAM, *words],
            cwd=ROOT,
            env=os.environ | environment,
            check=False,
            capture_stdout=True,
            capture_stderr=True,
        )


async def make(client_id: str, url: str, home: Path, *options: str) -> Path:
    """Make a client whose log stays out of /tmp; the path of its configuration."""
    done = await call("init", "--id", client_id, *options, LOOPIX_DIRECTORY=url)
    assert done.returncode == 0, done.stderr
    path = config_path(home, client_id)
    text = path.read_text()
    path.write_text(text.replace(f"/tmp/loopix_{client_id}.log", str(home / "client.log")))
    assert str(home / "client.log") in path.read_text()
    return path


async def test_init_makes_keys_and_configuration_and_never_overwrites_them_unasked(home: Path) -> None:
    async with network() as running:
        done = await call("init", "--id", "alice", LOOPIX_DIRECTORY=running.topology_url)
        directory = home / ".loopix/clients/alice"
        assert done.stdout.decode() == (
            f"Saved generated private key to {directory}/config/private_key.pem\n"
            f"Saved generated public key to {directory}/config/public_key.pem\n"
            f"Saved generated config to {directory}/config/config.toml\n"
        )
        assert (done.returncode, done.stderr) == (0, b"")
        modes = {path.relative_to(home): stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
        assert {str(path) for path in modes if not (home / path).is_dir()} == {
            f".loopix/clients/alice/config/{name}" for name in ("private_key.pem", "public_key.pem", "config.toml")
        }
        assert all(mode == (0o700 if (home / path).is_dir() else 0o600) for path, mode in modes.items())
        assert (directory / "mixapps").is_dir()
        config = load_config(directory / "config/config.toml")
        identity = load_identity(config.private_key_file, config.public_key_file)
        assert config.provider_id == key_text(running.providers[0].node.keys.public_key)
        assert config.topology_url == running.topology_url

        again = await call("init", "--id", "alice", LOOPIX_DIRECTORY=running.topology_url)
        assert again.returncode == 1 and b"exists already" in again.stderr
        assert load_identity(config.private_key_file, config.public_key_file) == identity
        forced = await call("init", "--id", "alice", "--force", LOOPIX_DIRECTORY=running.topology_url)
        assert forced.returncode == 0
        assert load_identity(config.private_key_file, config.public_key_file) != identity


async def test_a_wanted_provider_is_taken_with_a_warning_if_it_is_unknown(home: Path) -> None:
    wanted = key_text(bytes(range(32)))
    async with network() as running:
        done = await call("init", "--id", "bob", "--provider", wanted, "--directory", running.topology_url)
        assert done.returncode == 0 and b"is not in the topology" in done.stderr
        assert load_config(config_path(home, "bob")).provider_id == wanted
        path = config_path(home, "bob")
        path.write_text(path.read_text().replace("/tmp/loopix_bob.log", str(home / "client.log")))
        started = await call("run", "--id", "bob")
        assert started.returncode == 255
        assert started.stderr.endswith(
            f"Failed to spawn client instance: specified provider does not seem to be online: {wanted}; others are: if "
            "it has other keys now, init --force makes the client anew\n".encode()
        )


async def test_the_newest_profile_has_other_names(home: Path) -> None:
    async with network("0.4") as running:
        done = await call("init", "--id", "carol", "--profile", "0.4", "--directory", running.topology_url)
    assert done.returncode == 0
    text = (home / ".nym/clients/carol/config/config.toml").read_text()
    assert "nym_home_directory" in text and "/tmp/nym_carol.log" in text


async def test_run_prints_its_key_and_ends_cleanly_on_a_signal(home: Path) -> None:
    async with network() as running:
        path = await make("alice", running.topology_url, home)
        config = load_config(path)
        client_id = load_identity(config.private_key_file, config.public_key_file).client_id
        for number in (signal.SIGINT, signal.SIGTERM):
            async with process("run", "--customCfg", str(path)) as started:
                assert await first_line(started) == f"\x1b[33mOur Public Key is: {client_id}\x1b[0m"
                await wait_for_log(home, "started, with provider")
                started.send_signal(number)
                with trio.fail_after(PATIENCE_SECONDS):
                    assert await started.wait() == 0
            (home / "client.log").rename(home / f"{number}.log")
    log = (home / f"{signal.SIGINT}.log").read_text()
    assert re.match(
        r"\x1b\[37m\[[-\d]{10} [:.\d]{12}\]\x1b\[0m\x1b\[33m alice/Logf ▶ WARN \x1b\[0m- This mode is exp", log
    )
    assert stat.S_IMODE((home / f"{signal.SIGINT}.log").stat().st_mode) == 0o600


async def test_sockets_serve_and_a_taken_port_is_refused(home: Path) -> None:
    async with network() as running:
        await make("alice", running.topology_url, home)
        for kind in ("tcp", "websocket"):
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listeners[0].socket.getsockname()[1]
            refused = await call("socket", "--id", "alice", "--socket", kind, "--port", str(port))
            assert refused.returncode == 255
            assert f"Failed to start socket listener instance: listen tcp 127.0.0.1:{port}: " in refused.stderr.decode()
            await listeners[0].aclose()
            async with process("socket", "--id", "alice", "--socket", kind, "--port", str(port)) as started:
                await first_line(started)
                await wait_for_log(home, "started, with provider")
                if kind == "tcp":
                    async with tcp_application(port) as by_tcp:
                        assert isinstance(await by_tcp.ask(OwnDetails()), Details)
                else:
                    async with websocket_application(port, json=True) as by_json:
                        assert isinstance(await by_json.ask(OwnDetails()), Details)
                started.terminate()
                assert await started.wait() == 0
            (home / "client.log").unlink()


def test_what_cannot_be_started_ends_with_the_documented_status(
    home: Path, unused_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    config = planned_config("alice", home, DEFAULT, f"http://127.0.0.1:{unused_port}/")
    config = replace(config, logging=Logging(disable=True))
    write_client(config, lambda text: None, Randomness(os.urandom), overwrite=False)
    for words, message in (
        (["--socket", "grpc", "--port", "9001"], "unknown server type: grpc"),
        (["--port", "9001"], "unknown server type: "),
        (["--socket", "tcp"], "no port was given: --port NUMBER"),
    ):
        assert main(["socket", "--id", "alice", *words]) == 255
        assert capsys.readouterr().err == f"Failed to spawn socket listener instance: {message}\n"
    assert main(["run", "--id", "alice"]) == 255
    assert "Failed to spawn client instance: directory " in capsys.readouterr().err
    config.private_key_file.unlink()
    assert main(["run", "--id", "alice"]) == 2
    assert main(["socket", "--id", "alice", "--socket", "tcp", "--port", str(unused_port)]) == 255


@asynccontextmanager
async def process(*words: str) -> AsyncIterator[trio.Process]:
    """The program, running; it does not outlive the block."""
    started = await trio.lowlevel.open_process(
        [*PROGRAM, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        with trio.CancelScope(shield=True):
            await started.wait()
        assert started.stdout is not None
        await started.stdout.aclose()


async def first_line(started: trio.Process) -> str:
    assert started.stdout is not None
    printed = b""
    with trio.fail_after(PATIENCE_SECONDS):
        while b"\n" not in printed:
            data = await started.stdout.receive_some(1000)
            assert data, "the program ended"
            printed += data
    return printed.decode().partition("\n")[0]


async def wait_for_log(home: Path, text: str) -> None:
    log = home / "client.log"
    with trio.fail_after(PATIENCE_SECONDS):
        while not log.exists() or text not in log.read_text():
            await trio.sleep(0.05)
