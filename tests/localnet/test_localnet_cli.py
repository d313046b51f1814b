"""`kpclientd localnet` as a process, and the files it writes."""

import re
import signal
import socket
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpclientd.config.load import load_config
from kpclientd.localnet import DocumentFault, LocalNetwork, cli
from kpclientd.localnet.cli import main
from kpclientd.localnet.control import GATEWAY_COMMANDS, NETWORK_COMMANDS, OTHER_COMMANDS
from kpclientd.localnet.errors import PathTooLongError
from kpclientd.localnet.options import LOCK_FILE
from kpclientd.localnet.storage.boxes import STORAGE_FILE
from kpclientd.pigeonhole.errors import PigeonholeUnavailable
from sphinx.geometry import Geometry
from tests.pigeonhole.installed import needs_libraries
from tests.support.processes import (
    PATIENCE,
    local_network,
    refuses_a_command_without_a_network,
    refuses_as_usage,
)

CLIENT_FILES = ("client.toml", "client-unix.toml")


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def _with_a_terminal() -> Iterator[None]:
    """Children get SIGHUP though these tests were started to outlive their terminal."""
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, former)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.usefixtures("_with_a_terminal")
def test_it_says_ready_serves_and_leaves_nothing_behind_when_told_to_stop(tmp_path: Path, stop: signal.Signals) -> None:
    with local_network(tmp_path, "--epoch", "10s", "--seed", "7", "--thin-port", "0") as (process, line):
        assert line.startswith("ready")
        assert "KATZENPOST_EPOCH_DURATION=10s" in line
        gateway = re.search(r"gateway 127\.0\.0\.1:(\d+)", line)
        assert gateway is not None
        assert _is_listening(int(gateway[1]))
        assert main([str(tmp_path), "--do", "loss 0.5"]) == 0
        process.send_signal(stop)
        rest, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, rest) == (0, "")
        assert not _is_listening(int(gateway[1]))
    left = sorted(path.name for path in tmp_path.iterdir())
    clients = ["client-unix.toml", "client.toml", "localnet.env", "thinclient-unix.toml", "thinclient.toml"]
    assert left == ["authority.toml", *clients]


@needs_libraries
def test_storage_is_offered_and_its_boxes_stay_when_the_network_stops(tmp_path: Path) -> None:
    for _ in range(2):
        with local_network(tmp_path, "--thin-port", "0", "--seed", "7", "--replicas", "2") as (process, line):
            assert line.startswith("ready")
            assert main([str(tmp_path), "--do", "replica2 down on"]) == 0
            process.terminate()
            assert process.wait(PATIENCE) == 0
        assert [path.name for path in tmp_path.glob("storage*")] == [STORAGE_FILE]


@pytest.mark.parametrize("missing", [None, "no module"])
def test_whether_there_is_storage_depends_on_what_is_installed_and_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str | None
) -> None:
    def check() -> None:
        if missing:
            raise PigeonholeUnavailable(missing)

    monkeypatch.setattr(cli, "check_available", check)
    assert cli.default_replicas() == (0 if missing else 3)
    assert capsys.readouterr().err == ("kpclientd localnet: no storage is offered: no module\n" if missing else "")


def test_a_network_that_is_to_outlive_its_terminal_does(tmp_path: Path) -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with local_network(tmp_path, "--thin-port", "0") as (process, line):
            assert line.startswith("ready")
            process.send_signal(signal.SIGHUP)
            assert main([str(tmp_path), "--do", "status"]) == 0
            process.terminate()
            process.communicate(timeout=PATIENCE)
    finally:
        signal.signal(signal.SIGHUP, former)


def test_a_second_network_in_a_directory_in_use_is_refused_and_the_first_one_lives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with local_network(tmp_path, "--thin-port", "0") as (process, line):
        assert line.startswith("ready")
        before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        assert main([str(tmp_path), "--thin-port", "0"]) == 1
        message = capsys.readouterr().err
        assert str(tmp_path) in message and str(process.pid) in message and message.count("\n") == 1
        assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
        assert main([str(tmp_path), "--do", "status"]) == 0
    assert (tmp_path / LOCK_FILE).exists(), "it was killed"
    with local_network(tmp_path, "--thin-port", "0") as (process, line):
        assert line.startswith("ready"), "what a killed one leaves is in nobody's way"


def test_a_network_as_large_and_as_strange_as_the_options_say_is_faulty_on_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = ["--gateways", "3", "--pinned", "2", "--nodes", "40", "--authorities", "5", "--signers", "3"]
    schemes = ["--wire-kem", "kyber768-x25519", "--signatures", "ml-dsa-44-ed25519", "--transport", "tcp"]
    with local_network(tmp_path, "--thin-port", "0", *members, *schemes) as (_, line):
        assert line.startswith("ready") and "and 2 more" in line
        config = load_config(tmp_path / "client.toml")
        assert (config.wire_kem_scheme, config.pki_signature_scheme) == ("Kyber768-X25519", "ML-DSA-44-Ed25519")
        assert (len(config.pinned_gateways), len(config.authorities)) == (2, 5)
        ports = [int(pin.addresses[0].rpartition(":")[2]) for pin in config.pinned_gateways]
        assert all(_is_listening(port) for port in ports)
        assert main([str(tmp_path), "--do", "gateway2 stop"]) == 0
        assert main([str(tmp_path), "--do", "gateway2 status"]) == 0
        assert "stopped" in capsys.readouterr().out
        deadline = time.monotonic() + PATIENCE
        while _is_listening(ports[1]):
            assert time.monotonic() < deadline
        assert _is_listening(ports[0])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--nodes", "4"], "too few"),
        (["--gateways", "2", "--pinned", "3"], "cannot be pinned"),
        (["--authorities", "5", "--signers", "2"], "at least 3 must"),
    ],
)
def test_members_that_contradict_each_other_are_refused_with_a_reason(
    tmp_path: Path, options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), *options]) == 1
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_help_has_every_command_and_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for name in [*NETWORK_COMMANDS, *GATEWAY_COMMANDS, *OTHER_COMMANDS]:
        assert f"    {name}" in shown
    assert all(f"    {fault} " in shown for fault in DocumentFault)
    assert max(map(len, shown.splitlines())) <= 110


def test_a_command_to_a_network_that_does_not_run_fails_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuses_a_command_without_a_network(main, tmp_path, capsys)


@pytest.mark.parametrize(
    "options",
    [
        ["--epoch", "soon"],
        ["--epoch", "0s"],
        ["--loss", "2"],
        ["--loss", "nan"],
        ["--thin-port", "65536"],
        ["--mu", "0"],
        ["--seed", "x"],
        ["--gateways", "0"],
        ["--nodes", "some"],
        ["--wire-kem", "ROT13"],
        ["--signatures", "Ed25519-Dilithium2"],
        ["--transport", "pigeon"],
    ],
)
def test_an_option_that_makes_no_sense_is_a_usage_error(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuses_as_usage(main, tmp_path, options, capsys)


@pytest.fixture
def network(tmp_path: Path) -> LocalNetwork:
    network = LocalNetwork(epoch_period=30.0, seed=b"files", port=None)
    network.write_files(tmp_path, thin_port=64331)
    return network


@pytest.mark.parametrize("name", CLIENT_FILES)
def test_the_daemon_reads_its_configuration_as_the_network_is(network: LocalNetwork, tmp_path: Path, name: str) -> None:
    config = load_config(tmp_path / name)
    assert config.geometry == network.geometry
    (gateway,) = config.pinned_gateways
    assert gateway.identity_key == network.topology.gateway.identity_key
    assert gateway.link_key == network.topology.gateway.link.public_key
    assert gateway.addresses == (network.gateway_url,)
    keys = [authority.identity_public_key for authority in config.authorities]
    assert keys == [verifier.public_key for verifier in network.verifiers]


def test_the_clients_files_hold_exactly_where_the_daemon_listens(network: LocalNetwork, tmp_path: Path) -> None:
    tables = [tomllib.loads((tmp_path / name).read_text()) for name in ("thinclient.toml", "thinclient-unix.toml")]
    socket_path = str(tmp_path.resolve() / "kpclientd.sock")
    assert tables == [
        {"Dial": {"Tcp": {"Address": "127.0.0.1:64331", "Network": "tcp"}}},
        {"Dial": {"Unix": {"Address": socket_path}}},
    ]
    listens = [tomllib.loads((tmp_path / name).read_text())["Listen"] for name in CLIENT_FILES]
    assert listens == [table["Dial"] for table in tables]


def test_an_authoritys_file_says_who_is_in_the_network(network: LocalNetwork, tmp_path: Path) -> None:
    tables = tomllib.loads((tmp_path / "authority.toml").read_text())
    listing = network.authorities.listing(network.epoch)

    def names(table: list[dict[str, str]]) -> list[str]:
        return [entry["Identifier"] for entry in table]

    assert names(tables["Authorities"]) == [authority.identifier for authority in network.topology.authorities]
    assert names(tables["GatewayNodes"]) == [gateway.keys.name for gateway in listing.gateways]
    assert names(tables["ServiceNodes"]) == [listing.service.name]
    layers = [[mix.name for mix in layer] for layer in listing.layers]
    assert [names(layer["Nodes"]) for layer in tables["Topology"]["Layers"]] == layers
    assert names(tables["Mixes"]) == [name for layer in layers for name in layer]
    assert tables["SphinxGeometry"] == tomllib.loads((tmp_path / "client.toml").read_text())["SphinxGeometry"]
    assert tables["Server"]["Identifier"] in names(tables["Authorities"])


def test_the_environment_file_names_the_epoch_period(network: LocalNetwork, tmp_path: Path) -> None:
    assert (tmp_path / "localnet.env").read_text() == "KATZENPOST_EPOCH_DURATION=30s\n"


def test_port_zero_becomes_a_free_port(network: LocalNetwork, tmp_path: Path) -> None:
    listen = network.write_files(tmp_path, thin_port=0)
    port = int(listen.address.rpartition(":")[2])
    assert port not in (0, 64331)
    assert f'"{listen.address}"' in (tmp_path / "client.toml").read_text()


def test_a_directory_with_too_long_a_path_for_sockets_is_refused(network: LocalNetwork, tmp_path: Path) -> None:
    with pytest.raises(PathTooLongError, match="shorter path"):
        network.write_files(tmp_path / ("d" * 120), thin_port=0)


def test_another_geometry_and_link_kem_are_written_too(tmp_path: Path) -> None:
    geometry = Geometry.nike("x25519", 4, 500)
    network = LocalNetwork(geometry=geometry, wire_kem="MLKEM768-X25519", port=None)
    network.write_files(tmp_path, thin_port=0)
    config = load_config(tmp_path / "client.toml")
    assert (config.geometry, config.wire_kem_scheme) == (geometry, "MLKEM768-X25519")
    assert len(network.authorities.document(network.epoch).topology) == 2


@pytest.mark.parametrize("kind", ["too long", "a file"])
def test_a_directory_that_cannot_be_used_ends_it_with_a_reason_and_status_one(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / ("d" * 120 if kind == "too long" else "file")
    if kind == "a file":
        directory.touch()
    assert main([str(directory), "--replicas", "0"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("kpclientd localnet: ")
    assert directory.name in message
    assert "Traceback" not in message
