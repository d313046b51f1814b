"""What a local network can be told while it runs.

A test in another process, or a person with a terminal, makes the network misbehave by these commands.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import trio

from kpclientd.localnet.commands import (
    NO_FAULT,
    OK,
    ControlCommand,
    call_method,
    execute_command,
    help_on,
    number,
    serve_commands,
    set_choice,
    set_number,
    set_switch,
)
from kpclientd.localnet.faults import DocumentFault
from kpclientd.localnet.network import LocalNetwork

PROBABILITIES: Final = {
    "loss": "loss",
    "duplicate": "duplicate",
    "corrupt-packets": "corrupt_packets",
    "corrupt-replies": "corrupt_replies",
}
TIMES: Final = {"delay": "delay", "jitter": "jitter"}
SWITCHES: Final = {
    "refuse-connections": "refuse_connections",
    "silent-handshake": "silent_handshake",
    "impostor": "impostor",
}


def execute(network: LocalNetwork, line: str) -> str:
    """Do what `line` says and return the one-line answer.

    Raises:
        ControlError: if the line is no command, or its argument is missing or wrong.
    """
    return execute_command(_COMMANDS, network, line)


async def serve_control(
    network: LocalNetwork, directory: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Execute commands that come in through the control socket in `directory`, until cancelled; then remove it."""
    await serve_commands(lambda line: execute(network, line), directory, task_status=task_status)


def _skip_consensus(network: LocalNetwork, arguments: list[str]) -> str:
    epoch = network.epoch + 1 if not arguments else int(number(arguments, _LARGEST_EPOCH, "an epoch"))
    network.faults.skip_consensus(epoch)
    return f"{OK}: no document for epoch {epoch}"


_LARGEST_EPOCH: Final = 2**64 - 1


def _counters(network: LocalNetwork, _: list[str]) -> str:
    return json.dumps(network.counters.snapshot() | {"packets in flight": network.transit.packets.count})


def _status(network: LocalNetwork, _: list[str]) -> str:
    elapsed = network.clock.elapsed(network.unix())
    return (
        f"gateway {network.gateway_url}, {len(network.gateway.connections)} connected, epoch {network.epoch} "
        f"({elapsed:.1f} of {network.clock.period:g} s), {network.transit.packets.count} packets in flight"
    )


def _help(_: LocalNetwork, __: list[str]) -> str:
    return help_on(_COMMANDS)


_COMMANDS: Final[Mapping[str, ControlCommand[LocalNetwork]]] = {
    **{
        name: ControlCommand(
            f"{name} P", "probability of it, 0 to 1", set_number(attribute, 1.0, "a probability from 0 to 1")
        )
        for name, attribute in PROBABILITIES.items()
    },
    **{
        name: ControlCommand(
            f"{name} S", "more seconds for each", set_number(attribute, float("inf"), "a time in seconds")
        )
        for name, attribute in TIMES.items()
    },
    **{
        name: ControlCommand(f"{name} on|off", "switch it", set_switch(attribute))
        for name, attribute in SWITCHES.items()
    },
    "document": ControlCommand(
        f"document FAULT|{NO_FAULT}", "serve documents with that fault", set_choice("document", DocumentFault)
    ),
    "skip-consensus": ControlCommand(
        "skip-consensus [EPOCH]", "no document of that epoch, or of the next", _skip_consensus
    ),
    "reset": ControlCommand("reset", "end all connections abruptly", call_method("reset_connections")),
    "half-open": ControlCommand("half-open", "let all connections go dead", call_method("half_open")),
    "bad-mac": ControlCommand("bad-mac", "send a damaged frame on each connection", call_method("bad_mac")),
    "clear": ControlCommand("clear", "do all things right from now on", call_method("clear")),
    "counters": ControlCommand("counters", "what happened so far, as JSON", _counters),
    "status": ControlCommand("status", "the network in one line", _status),
    "help": ControlCommand("help", "this line", _help),
}
