"""Commands to a running network, by its control socket and without one."""

import copy
import json
from pathlib import Path

import pytest
import trio

from kpclientd.localnet import DocumentFault, LocalNetwork
from kpclientd.localnet.commands import CONTROL_SOCKET, LONGEST_LINE, send
from kpclientd.localnet.control import execute, serve_control
from kpclientd.localnet.errors import ControlError
from kpclientd.localnet.faults import switches
from tests.localnet.conftest import make_network

SWITCHES = [
    "refuse-connections",
    "close-at-once",
    "silent-handshake",
    "impostor",
    "no-heartbeats",
    "ignore-acknowledgements",
]
PROBABILITIES = ["loss", "duplicate", "corrupt-packets", "corrupt-replies"]


@pytest.fixture
async def quiet() -> LocalNetwork:
    return make_network()


@pytest.mark.parametrize("name", [*PROBABILITIES, "delay", "jitter"])
async def test_a_number_sets_its_switch(quiet: LocalNetwork, name: str) -> None:
    assert execute(quiet, f"{name} 0.25") == "ok"
    assert getattr(quiet.faults, name.replace("-", "_")) == 0.25


@pytest.mark.parametrize("name", SWITCHES)
async def test_on_and_off_set_a_switch(quiet: LocalNetwork, name: str) -> None:
    for word in ("on", "off"):
        assert execute(quiet, f"{name} {word}") == "ok"
        assert getattr(quiet.faults, name.replace("-", "_")) is (word == "on")


async def test_a_document_fault_is_set_and_unset_by_name(quiet: LocalNetwork) -> None:
    execute(quiet, "document too-few-signatures")
    assert quiet.faults.document is DocumentFault.TOO_FEW_SIGNATURES
    execute(quiet, "document genuine")
    assert quiet.faults.document is None


async def test_skip_consensus_means_the_next_epoch_or_so_many(quiet: LocalNetwork) -> None:
    assert str(quiet.epoch + 1) in execute(quiet, "skip-consensus")
    assert quiet.faults.skipped_epochs == {quiet.epoch + 1}
    execute(quiet, "skip-consensus 3")
    assert quiet.faults.skipped_epochs == {quiet.epoch + 1, quiet.epoch + 2, quiet.epoch + 3}


async def test_every_fault_of_the_table_can_be_set_and_cleared_at_the_network_and_at_a_gateway(
    quiet: LocalNetwork,
) -> None:
    samples = {"P": "0.5", "S": "2", "[-]S": "-2", "on|off": "on", "N|off": "17", "in|out|both|off": "out"}
    for faults, prefix in ((quiet.faults, ""), (quiet.gateway.faults, "gateway1 ")):
        rows = switches(type(faults))
        assert len(rows) >= 14
        for row in rows:
            value = samples.get(row.argument.usage, "silence")
            assert execute(quiet, f"{prefix}{row.name} {value}") == "ok"
            assert getattr(faults, row.attribute), row.name
        execute(quiet, "clear")
        assert not any(getattr(faults, row.attribute) for row in rows)


async def test_a_gateways_name_in_front_means_that_one_only() -> None:
    network = make_network(gateways=2)
    first, second = network.gateways
    execute(network, "gateway2 silent-handshake on")
    assert (first.faults.effective().silent_handshake, second.faults.effective().silent_handshake) == (False, True)
    execute(network, "gateway2 stop")
    assert (first.is_running, second.is_running) == (True, False)
    assert "stopped" in execute(network, "gateway2 status")
    assert "gateway1" not in execute(network, "gateway2 status")
    assert json.loads(execute(network, "gateway2 counters")) == {}
    execute(network, "gateway2 start")
    assert second.is_running
    for line in ("gateway2", "gateway2 loss 0.5", "gateway3 stop", "gateway2 clear", "gateway2 stop now", "move 4000"):
        with pytest.raises(ControlError):
            execute(network, line)


async def test_gateways_move_take_other_keys_leave_and_join_on_command() -> None:
    network = make_network(gateways=2)
    first, second = network.gateways
    keys, urls = second.keys, second.urls
    execute(network, "gateway2 rekey")
    execute(network, "gateway2 move 4000")
    assert second.keys.node_id != keys.node_id and second.urls == ("tcp://127.0.0.1:4000",)
    execute(network, "gateway2 move")
    assert second.urls not in (urls, ("tcp://127.0.0.1:4000",))
    execute(network, "gateway1 unlist")
    assert "not in the consensus" in execute(network, "gateway1 status")
    assert [node.name for node in network.authorities.document(network.epoch).gateway_nodes] == ["gateway2"]
    execute(network, "gateway1 list")
    assert execute(network, "add-gateway") == "ok: gateway3"
    names = [node.name for node in network.authorities.document(network.epoch).gateway_nodes]
    assert names == ["gateway1", "gateway2", "gateway3"]
    kept = first.keys.node_id
    execute(network, "restart-network")
    assert first.keys.node_id == kept
    execute(network, "restart-network all")
    assert first.keys.node_id != kept


@pytest.mark.parametrize(
    ("line", "field"), [("client-notice read  this", b"read this"), ("min-client-version 1.2", b"MinClientVersion")]
)
async def test_documents_say_what_clients_are_to_know(quiet: LocalNetwork, line: str, field: bytes) -> None:
    execute(quiet, line)
    assert field in quiet.authorities.certificate(quiet.epoch).certified
    execute(quiet, line.split()[0])
    assert field not in quiet.authorities.certificate(quiet.epoch).certified


async def test_counters_are_json_and_status_is_one_line(quiet: LocalNetwork) -> None:
    assert json.loads(execute(quiet, "counters")) == {"packets in flight": 0}
    assert f"epoch {quiet.epoch}" in execute(quiet, "status")


async def test_help_names_every_command_in_one_line(quiet: LocalNetwork) -> None:
    answer = execute(quiet, "help")
    assert "\n" not in answer
    for name in [*PROBABILITIES, *SWITCHES, "document", "reset", "half-open", "bad-mac", "clear", "counters"]:
        assert name in answer


@pytest.mark.parametrize(
    "line",
    [
        "",
        "explode",
        "loss",
        "loss much",
        "loss 1.5",
        "loss -1",
        "loss nan",
        "loss 0.1 0.2",
        "delay -1",
        "impostor perhaps",
        "reset now",
        "document broken",
        "skip-consensus soon",
        "'",
        "skip-consensus 0",
        "skip-consensus 1001",
        "restart-network now",
        "add-gateway 2",
        "client-notice \u00fc",
        f"client-notice {'x' * 513}",
        f"min-client-version {'x' * 33}",
        "drop sideways",
        "reset-handshake -1",
        "clock-off nan",
        "gateway1 move 65536",
    ],
)
async def test_what_is_no_command_changes_nothing_and_says_what_was_expected(quiet: LocalNetwork, line: str) -> None:
    before = copy.deepcopy(quiet.faults.skipped_epochs), copy.copy(quiet.faults)
    with pytest.raises(ControlError):
        execute(quiet, line)
    assert (quiet.faults.skipped_epochs, quiet.faults) == before


async def test_commands_come_through_the_socket_which_is_gone_afterwards(quiet: LocalNetwork, tmp_path: Path) -> None:
    (tmp_path / CONTROL_SOCKET).touch()  # left by a network that was killed
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, quiet, tmp_path)
        assert await trio.to_thread.run_sync(send, tmp_path, "loss 0.5") == "ok"
        with pytest.raises(ControlError, match="no command is called 'explode'"):
            await trio.to_thread.run_sync(send, tmp_path, "explode")
        nursery.cancel_scope.cancel()
    assert quiet.faults.loss == 0.5
    assert not (tmp_path / CONTROL_SOCKET).exists()
    with pytest.raises(ControlError, match="no local network answers"):
        send(tmp_path, "status")


async def test_several_lines_on_one_connection_are_answered_in_order_in_any_pieces(
    quiet: LocalNetwork, tmp_path: Path
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, quiet, tmp_path)
        async with await trio.open_unix_socket(tmp_path / CONTROL_SOCKET) as stream:
            for piece in (b"lo", b"ss 0.5\nno", b"nsense\nclear\n"):
                await stream.send_all(piece)
            await stream.send_eof()
            answers = b"".join([chunk async for chunk in stream]).splitlines()
        nursery.cancel_scope.cancel()
    assert [answer.split(b":")[0] for answer in answers] == [b"ok", b"error", b"ok"]


async def test_an_endless_line_is_refused(quiet: LocalNetwork, tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, quiet, tmp_path)
        async with await trio.open_unix_socket(tmp_path / CONTROL_SOCKET) as stream:
            await stream.send_all(b"x" * (LONGEST_LINE + 1))
            answer = b"".join([chunk async for chunk in stream])
        nursery.cancel_scope.cancel()
    assert answer.startswith(b"error: ")
