"""`kpclientd doctor` finds what keeps a daemon from working, and what it says to do is what helps."""

import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from kpclientd.commands import checks
from kpclientd.commands.checks import Finding, Level, examine_all
from kpclientd.config.load import load_config
from kpclientd.daemon import Daemon
from kpclientd.localnet.faults import DocumentFault, Faults
from kpclientd.localnet.files import CLIENT_FILE
from kpclientd.localnet.network import LocalNetwork
from kpclientd.thin.listener import open_listeners
from sphinx.native.engines import PythonEngine
from sphinx.randomness import seeded
from tests.config.samples import client_toml, literal_toml, written

PERIOD = 60.0


@asynccontextmanager
async def network(folder: Path) -> AsyncIterator[tuple[LocalNetwork, Path]]:
    """A network on this machine, and the file of a daemon that listens beside it."""
    running = LocalNetwork(epoch_period=PERIOD, mu=0.1, lambda_p=0.01, lambda_l=0.01, seed=b"doctor")
    async with trio.open_nursery() as nursery:
        await nursery.start(running.run)
        running.write_files(folder, 0)
        file = folder / CLIENT_FILE
        text = file.read_text()
        file.write_text(f'{text[: text.index("[Listen]")]}[Listen.Unix]\nAddress = "{folder}/s"\n{_rest(text)}')
        yield running, file
        nursery.cancel_scope.cancel()


def _rest(text: str) -> str:
    return text[text.index("[SphinxGeometry]") :]


async def found(path: Path) -> list[Finding]:
    with trio.fail_after(60):
        return [finding async for finding in examine_all(path, seeded(b"doctor"))]


def about(findings: list[Finding], word: str) -> list[Finding]:
    return [finding for finding in findings if finding.about == word]


@pytest.fixture
def period(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def set_to(seconds: float) -> None:
        monkeypatch.setenv("KATZENPOST_EPOCH_DURATION", f"{seconds:.0f}s")

    set_to(PERIOD)
    return set_to


async def test_where_all_is_well_nothing_is_wrong(tmp_path: Path, period: Callable[[float], None]) -> None:
    async with network(tmp_path) as (_, file):
        findings = await found(file)
    assert not [finding for finding in findings if finding.level is Level.WRONG]
    (gateway,) = about(findings, "gateway")
    assert gateway.level is Level.GOOD
    assert "signed by 3 of 3 authorities" in gateway.text
    (place,) = about(findings, "socket")
    assert "the place is free" in place.text


async def test_a_wrong_period_is_named(tmp_path: Path, period: Callable[[float], None]) -> None:
    async with network(tmp_path) as (_, file):
        period(1200)
        (gateway,) = about(await found(file), "gateway")
    assert gateway.level is Level.WRONG
    assert "it has no document of epoch" in gateway.text
    assert "the period, 20 min 0 s" in gateway.remedy


def _refuse(faults: Faults) -> None:
    faults.refuse_connections = True


def _impostor(faults: Faults) -> None:
    faults.impostor = True


def _closed(faults: Faults) -> None:
    faults.close_at_once = True


def _spoilt(faults: Faults) -> None:
    faults.document = DocumentFault.WRONG


def _slow_clock(faults: Faults) -> None:
    faults.clock_off = -30.0


@pytest.mark.parametrize(
    ("break_it", "level", "text"),
    [
        (_refuse, Level.WRONG, "cannot be reached"),
        (_impostor, Level.WRONG, "gateway1: "),
        (_closed, Level.WRONG, "gateway1: "),
        (_spoilt, Level.WRONG, "its document cannot be used"),
        (_slow_clock, Level.DOUBTFUL, "s ahead of its clock"),
    ],
)
async def test_a_gateway_is_tried(
    tmp_path: Path, period: Callable[[float], None], break_it: Callable[[Faults], None], level: Level, text: str
) -> None:
    async with network(tmp_path) as (running, file):
        break_it(running.faults)
        await trio.sleep(0.2)
        (gateway,) = about(await found(file), "gateway")
    assert gateway.level is level, gateway
    assert text in gateway.text
    assert gateway.remedy


async def test_a_running_daemon_is_asked_and_no_gateway_is_dialled(
    tmp_path: Path, period: Callable[[float], None]
) -> None:
    async with network(tmp_path) as (running, file), trio.open_nursery() as nursery:
        config = load_config(file)
        daemon = Daemon(config, running.clock)
        async with open_listeners(config.listen) as listeners:
            nursery.start_soon(daemon.run, listeners)
            with trio.fail_after(20):
                while not daemon.status().link.gateway or daemon.status().document_epoch is None:
                    await trio.sleep(0.05)
            findings = await found(file)
            nursery.cancel_scope.cancel()
    (told,) = about(findings, "daemon")
    assert (told.level, told.text) == (Level.GOOD, "online, by gateway gateway1")
    assert not about(findings, "gateway")
    (epochs,) = about(findings, "epochs")
    assert epochs.text.startswith("1 min 0 s each; its present one is ")


async def test_all_faults_of_the_file_are_told_and_nothing_else_is_tried(tmp_path: Path) -> None:
    path = written(tmp_path, client_toml(Listen=None, Logging='[Logging]\nLevel = "LOUD"'))
    findings = await found(path)
    wrong = [finding for finding in findings if finding.level is Level.WRONG]
    assert {finding.about for finding in wrong} == {"configuration"}
    assert len(wrong) == 2
    assert not about(findings, "gateway")


async def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    (wrong,) = [finding for finding in await found(tmp_path / "no.toml") if finding.level is Level.WRONG]
    assert "config init" in wrong.remedy


@pytest.mark.parametrize(
    ("place", "level", "text"),
    [("absent/s", Level.WRONG, "is not there"), ("file", Level.WRONG, "no socket"), ("s", Level.GOOD, "is free")],
)
async def test_the_place_of_the_socket_is_looked_at(tmp_path: Path, place: str, level: Level, text: str) -> None:
    (tmp_path / "file").write_text("")
    path = written(tmp_path, literal_toml(Listen=f'[Listen.Unix]\nAddress = "{tmp_path}/{place}"'))
    (looked,) = about(await found(path), "socket")
    assert looked.level is level
    assert text in looked.text


async def test_a_program_that_listens_there_is_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, literal_toml(Listen=f'[Listen.Unix]\nAddress = "{tmp_path}/s"'))
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()
        (looked,) = about(await found(path), "socket")
    assert looked.level is Level.WRONG


async def test_the_slow_engine_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "engine_name", lambda: PythonEngine.name)
    first = (await found(tmp_path / "no.toml"))[0]
    assert first.level is Level.DOUBTFUL
    assert "python3-dev" in first.remedy


async def test_a_log_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, literal_toml(Logging=f'[Logging]\nFile = "{tmp_path}/absent/log"'))
    (log,) = about(await found(path), "log file")
    assert (log.level, log.remedy) == (Level.WRONG, f"mkdir -p {tmp_path}/absent")


async def test_the_command_shows_what_it_finds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kpclientd.cli", "doctor"]
    absent = await trio.run_process([*command, "-c", str(tmp_path / "no.toml")], capture_stdout=True, check=False)
    assert absent.returncode == 1
    lines = absent.stdout.decode().splitlines()
    assert lines[0].split()[0] in ("ok", "look")
    assert any(line.split()[:2] == ["WRONG", "configuration"] for line in lines)
    assert all(len(line) <= 80 for line in lines)
    as_json = await trio.run_process(
        [*command, "--json", "-c", str(tmp_path / "no.toml")], capture_stdout=True, check=False
    )
    assert [json.loads(line)["level"] for line in as_json.stdout.splitlines()][-1] == "wrong"
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": ""}
    none = await trio.run_process(command, env=environment, capture_stderr=True, check=False)
    assert none.returncode == 2
    assert b"client.toml: is neither here nor in " in none.stderr
