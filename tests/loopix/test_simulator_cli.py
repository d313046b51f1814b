"""`kpclientd localnet --family loopix` as a process, and the commands that it executes."""

import json
import re
import signal
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from kpclientd.localnet.errors import ControlError
from kpclientd.loopix.directory_client import DirectoryClient
from kpclientd.loopix.simulator import DirectoryFault, LoopixNetwork, ReplyFault
from kpclientd.loopix.simulator.cli import main
from kpclientd.loopix.simulator.control import execute
from kpclientd.loopix.topology import Topology
from tests.support.processes import (
    PATIENCE,
    local_network,
    refuses_a_command_without_a_network,
    refuses_as_usage,
)


def test_it_says_ready_serves_executes_commands_and_leaves_only_its_hint_and_secret_when_told_to_stop(
    tmp_path: Path,
) -> None:
    options = ("--port", "0", "--mixes-per-layer", "2", "--providers", "2", "--directory-version", "0.0.4")
    with local_network(tmp_path, "--family", "loopix", *options) as (process, line):
        assert line.startswith("ready: ")
        url = re.search(r"topology (http://127\.0\.0\.1:\d+/api/presence/topology)", line)
        assert url is not None
        assert (tmp_path / "loopix.env").read_text() == f"LOOPIX_DIRECTORY={url[1]}\n"
        topology = Topology.parse(trio.run(DirectoryClient(url[1]).fetch))
        assert [len(topology.layers[layer]) for layer in (1, 2, 3)] == [2, 2, 2]
        assert len(topology.providers) == 2
        assert main([str(tmp_path), "--do", "loss 0.5"]) == 0
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, rest) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loopix.env", "loopix.secret"]
    assert stat.S_IMODE((tmp_path / "loopix.secret").stat().st_mode) == 0o600


def test_clients_find_their_provider_again_when_the_network_was_started_anew(tmp_path: Path) -> None:
    def provider(directory: Path, *options: str) -> bytes:
        with local_network(directory, "--family", "loopix", "--port", "0", *options) as (_, line):
            url = re.search(r"topology (\S+),", line)
            assert url is not None, line
            return Topology.parse(trio.run(DirectoryClient(url[1]).fetch)).providers[0].node.public_key

    first = provider(tmp_path)
    assert provider(tmp_path) == first
    assert provider(tmp_path / "other") != first
    assert provider(tmp_path, "--seed", "7") == provider(tmp_path / "other", "--seed", "7") != first


def test_a_port_that_is_taken_ends_it_with_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([str(tmp_path), "--port", str(port)]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"kpclientd localnet: port {port} is not to be had")
    assert "Traceback" not in message


def test_a_command_to_a_network_that_does_not_run_fails_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuses_a_command_without_a_network(main, tmp_path, capsys)


@pytest.mark.parametrize(
    "options",
    [
        ["--port", "65536"],
        ["--providers", "0"],
        ["--mixes-per-layer", "x"],
        ["--profile", "0.1"],
        ["--loss", "2"],
        ["--seed", "x"],
        ["--directory-version", "1"],
    ],
)
def test_an_option_that_makes_no_sense_is_a_usage_error(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuses_as_usage(main, tmp_path, options, capsys)


@pytest.fixture
def network() -> LoopixNetwork:
    return LoopixNetwork(seed=b"commands", tcp=False, providers=2)


@pytest.mark.parametrize("name", ["loss", "duplicate", "corrupt", "delay", "jitter", "reply-delay"])
def test_a_number_sets_its_switch(network: LoopixNetwork, name: str) -> None:
    assert execute(network, f"{name} 0.25") == "ok"
    assert getattr(network.faults, name.replace("-", "_")) == 0.25


def test_faults_of_several_forms_are_set_and_unset_by_name(network: LoopixNetwork) -> None:
    execute(network, "pull empty-data")
    execute(network, "registration silence")
    execute(network, "directory outage")
    expected = replace(network.faults, directory=None, pull=ReplyFault.EMPTY_DATA, registration=ReplyFault.SILENCE)
    assert network.faults == replace(expected, directory=DirectoryFault.OUTAGE)
    execute(network, "directory genuine")
    assert network.faults == expected
    execute(network, "clear")
    assert network.faults == replace(expected, pull=None, registration=None)


def test_nodes_are_killed_and_revived_by_name(network: LoopixNetwork) -> None:
    execute(network, "kill mix2-1")
    execute(network, "kill provider2")
    assert "dead mix2-1, provider2" in execute(network, "status")
    execute(network, "revive mix2-1")
    assert network.faults.dead == {"provider2"}


def test_providers_restart_together_or_one_by_one(network: LoopixNetwork) -> None:
    execute(network, "restart")
    execute(network, "restart provider1")
    assert json.loads(execute(network, "counters")) == {"packets in flight": 0, "provider restarts": 3}


@pytest.mark.parametrize(
    "line",
    ["loss", "loss 2", "pull", "pull sideways", "kill", "kill nobody", "restart mix1-1", "clear all", "dance", "'"],
)
def test_a_command_that_makes_no_sense_is_an_error(network: LoopixNetwork, line: str) -> None:
    with pytest.raises(ControlError):
        execute(network, line)


def test_help_names_every_command_in_one_line(network: LoopixNetwork) -> None:
    answer = execute(network, "help")
    assert "\n" not in answer
    for name in ("loss", "reply-delay", "pull", "registration", "directory", "kill", "revive", "restart", "counters"):
        assert name in answer
