"""What a local network can be told while it runs.

A test in another process, or a person with a terminal, makes the network misbehave by these commands. Those that
concern gateways act at all of them, or at one if its name stands in front:

    gateway2 silent-handshake on

Those that concern storage always have a name in front: that of one replica, `replicas` for all, or `courier`.

Most of the commands are the table of faults (`faults.py`); the rest is here.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import trio

from kpclientd.addresses import MAX_PORT
from kpclientd.localnet.arguments import Argument, whole_number
from kpclientd.localnet.commands import (
    OK,
    ControlCommand,
    call_method,
    execute_command,
    help_on,
    no_argument,
    serve_commands,
    set_to,
)
from kpclientd.localnet.errors import ControlError, LocalNetworkError
from kpclientd.localnet.faults import Faults, GatewayFaults, Switch, switches
from kpclientd.localnet.gateway import Gateway
from kpclientd.localnet.network import LocalNetwork
from kpclientd.localnet.storage.faults import CourierFaults, ReplicaFaults
from kpclientd.localnet.storage.replica import Replica
from kpclientd.localnet.storage.storage import Storage

ALL_REPLICAS: Final = "replicas"
COURIER: Final = "courier"
MOST_EPOCHS: Final = 1000
MOST_NOTICE: Final = 512
"""Characters of a `ClientNotice`; of a `MinClientVersion` 32."""

MOST_VERSION: Final = 32


@dataclass(frozen=True, slots=True)
class Target:
    """Where a command acts.

    Attributes:
        network: the whole.
        gateways: those that are meant.
        faults: the switches that it sets: the network's, or those of the one gateway that is meant.
    """

    network: LocalNetwork
    gateways: tuple[Gateway, ...]
    faults: GatewayFaults


Row: TypeAlias = ControlCommand[Target]


def execute(network: LocalNetwork, line: str) -> str:
    """Do what `line` says and return the one-line answer.

    Raises:
        ControlError: if the line is no command, or its argument is missing or wrong.
    """
    name, _, rest = line.strip().partition(" ")
    gateway = network.find_gateway(name)
    replicas = network.replicas if name == ALL_REPLICAS else [one for one in network.replicas if one.name == name]
    try:
        if replicas:
            return execute_command(REPLICA_COMMANDS, tuple(replicas), rest)
        if name == COURIER and network.storage is not None:
            return execute_command(COURIER_COMMANDS, network.storage, rest)
        if gateway is not None:
            return execute_command(GATEWAY_COMMANDS, Target(network, (gateway,), gateway.faults), rest)
        target = Target(network, tuple(network.gateways), network.faults)
        return execute_command({**NETWORK_COMMANDS, **GATEWAY_COMMANDS, **OTHER_COMMANDS}, target, line)
    except ControlError:
        raise
    except LocalNetworkError as error:
        raise ControlError(str(error)) from None


async def serve_control(
    network: LocalNetwork, directory: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Execute commands that come in through the control socket in `directory`, until cancelled; then remove it."""
    await serve_commands(lambda line: execute(network, line), directory, task_status=task_status)


def _skip_consensus(target: Target, arguments: list[str]) -> str:
    count = _EPOCHS.read(arguments or ["1"])
    assert isinstance(count, int)
    first = target.network.directory.newest_published(target.network.unix()) + 1
    target.network.faults.skip_consensus(first, count)
    return f"{OK}: no document for {f'epoch {first}' if count == 1 else f'epochs {first} to {first + count - 1}'}"


def _restart_network(target: Target, arguments: list[str]) -> str:
    if arguments not in ([], ["all"]):
        raise ControlError(f"expected all or nothing; got {' '.join(arguments)}")
    target.network.restart(rekey_gateways=bool(arguments))
    return OK


def _add_gateway(target: Target, arguments: list[str]) -> str:
    no_argument(arguments)
    return f"{OK}: {target.network.add_gateway().name}"


def _set_field(field: str, longest: int) -> Callable[[Target, list[str]], str]:
    def run(target: Target, arguments: list[str]) -> str:
        text = " ".join(arguments)
        if len(text) > longest or not text.isprintable() or not text.isascii():
            raise ControlError(f"expected at most {longest} printable ASCII characters")
        target.network.set_document_fields(**{field: text or None})
        return OK

    return run


def _move(target: Target, arguments: list[str]) -> str:
    port = _PORT.read(arguments) if arguments else None
    assert port is None or isinstance(port, int)
    if port is not None and len(target.gateways) > 1:
        raise ControlError("several gateways cannot share a port; name one of them")
    for gateway in target.gateways:
        target.network.move(gateway, port)
    return OK


def _each(act: Callable[[LocalNetwork, Gateway], object]) -> Callable[[Target, list[str]], str]:
    """A command's function that does something to each gateway that is meant."""

    def run(target: Target, arguments: list[str]) -> str:
        no_argument(arguments)
        for gateway in target.gateways:
            act(target.network, gateway)
        return OK

    return run


def _counters(target: Target, arguments: list[str]) -> str:
    no_argument(arguments)
    if target.faults is not target.network.faults:
        return json.dumps(target.gateways[0].counters.snapshot())
    network = target.network
    return json.dumps(network.counters.snapshot() | {"packets in flight": network.transit.packets.count})


def _status(target: Target, arguments: list[str]) -> str:
    no_argument(arguments)
    network = target.network
    elapsed = network.clock.elapsed(network.unix())
    gateways = ", ".join(_describe(gateway) for gateway in target.gateways)
    return (
        f"{gateways}, epoch {network.epoch} ({elapsed:.1f} of {network.clock.period:g} s), "
        f"{network.transit.packets.count} packets in flight"
    )


def _describe(gateway: Gateway) -> str:
    state = "" if gateway.is_running else ", stopped"
    listed = "" if gateway.is_listed else ", not in the consensus"
    return f"{gateway.name} {' '.join(gateway.urls)} ({len(gateway.connections)} connected{state}{listed})"


def _help(_: Target, arguments: list[str]) -> str:
    no_argument(arguments)
    return help_on({**NETWORK_COMMANDS, **GATEWAY_COMMANDS, **OTHER_COMMANDS})


def _row(switch: Switch) -> Row:
    return ControlCommand(
        f"{switch.name} {switch.argument.usage}", switch.help, set_to(switch.attribute, switch.argument)
    )


def _forget(storage: Storage, arguments: list[str]) -> str:
    no_argument(arguments)
    storage.restart_courier()
    return OK


def _replica_row(switch: Switch) -> ControlCommand[tuple[Replica, ...]]:
    set_one = set_to(switch.attribute, switch.argument)

    def run(replicas: tuple[Replica, ...], arguments: list[str]) -> str:
        for replica in replicas:
            set_one(replica, arguments)
        return OK

    return ControlCommand(f"{switch.name} {switch.argument.usage}", switch.help, run)


def _courier_row(switch: Switch) -> ControlCommand[Storage]:
    return ControlCommand(
        f"{switch.name} {switch.argument.usage}", switch.help, set_to(switch.attribute, switch.argument)
    )


_EPOCHS: Final = Argument("N", f"a number of epochs from 1 to {MOST_EPOCHS}", whole_number(MOST_EPOCHS, 1))
_PORT: Final = Argument("PORT", f"a port up to {MAX_PORT}", whole_number(MAX_PORT))

_GATEWAY_SWITCHES: Final = switches(GatewayFaults)

NETWORK_COMMANDS: Final[Mapping[str, Row]] = {
    **{switch.name: _row(switch) for switch in switches(Faults) if switch not in _GATEWAY_SWITCHES},
    "skip-consensus": ControlCommand(
        "skip-consensus [N]",
        "the authorities fail to agree for so many epochs, from the first that has no document yet (default 1)",
        _skip_consensus,
    ),
    "restart-network": ControlCommand(
        "restart-network [all]",
        "everything but the authorities restarts with new keys, at once in the documents; gateways keep those that "
        "clients' configurations know, unless all is said",
        _restart_network,
    ),
    "add-gateway": ControlCommand("add-gateway", "another gateway joins, from the next document on", _add_gateway),
    "client-notice": ControlCommand(
        "client-notice [TEXT]",
        "further documents have that notice for clients",
        _set_field("ClientNotice", MOST_NOTICE),
    ),
    "min-client-version": ControlCommand(
        "min-client-version [VERSION]",
        "further documents ask for that version of clients",
        _set_field("MinClientVersion", MOST_VERSION),
    ),
}
"""What concerns the network as a whole."""

GATEWAY_COMMANDS: Final[Mapping[str, Row]] = {
    **{switch.name: _row(switch) for switch in _GATEWAY_SWITCHES},
    "reset": ControlCommand("reset", "all connections end abruptly", call_method("reset_connections")),
    "half-open": ControlCommand(
        "half-open", "all connections go dead for ever, without an end", call_method("half_open")
    ),
    "bad-mac": ControlCommand(
        "bad-mac", "a frame with a wrong authenticator is sent on each connection", call_method("bad_mac")
    ),
    "spurious-document": ControlCommand(
        "spurious-document",
        "an answer to a request for a document that there was not is sent on each connection",
        call_method("spurious_document"),
    ),
    "stop": ControlCommand(
        "stop", "the gateway ends as a process that is killed", _each(lambda _, gateway: gateway.stop())
    ),
    "start": ControlCommand(
        "start", "a stopped gateway runs again, at its address", _each(lambda _, gateway: gateway.start())
    ),
    "move": ControlCommand("move [PORT]", "the gateway goes to another port, in documents from the next one on", _move),
    "rekey": ControlCommand(
        "rekey",
        "the gateway has other keys at once, identity and link too, and in documents from the next one on",
        _each(lambda network, gateway: network.rekey(gateway)),
    ),
    "unlist": ControlCommand(
        "unlist", "documents from the next one on lack the gateway", _each(lambda _, gateway: gateway.set_listed(False))
    ),
    "list": ControlCommand("list", "they have it again", _each(lambda _, gateway: gateway.set_listed(True))),
    "counters": ControlCommand("counters", "what happened so far, as JSON", _counters),
    "status": ControlCommand("status", "the network, or a gateway of it, in one line", _status),
}
"""What concerns gateways: all of them, or the one that is named in front."""

REPLICA_COMMANDS: Final[Mapping[str, ControlCommand[tuple[Replica, ...]]]] = {
    switch.name: _replica_row(switch) for switch in switches(ReplicaFaults)
}
"""What concerns storage replicas."""

COURIER_COMMANDS: Final[Mapping[str, ControlCommand[Storage]]] = {
    **{switch.name: _courier_row(switch) for switch in switches(CourierFaults)},
    "forget": ControlCommand("forget", "the courier loses what it has cached, copy jobs' results too", _forget),
}
"""What concerns the courier."""

OTHER_COMMANDS: Final[Mapping[str, Row]] = {
    "clear": ControlCommand(
        "clear",
        "all faults end, at the network, its gateways and replicas; gateways that were stopped, moved, unlisted or "
        "given other keys stay so",
        call_method("clear"),
    ),
    "help": ControlCommand("help", "this line", _help),
}


def command_table() -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Return all commands for help and documentation: under each heading, usage and meaning of each."""
    sections: tuple[tuple[str, Mapping[str, ControlCommand[Any]]], ...] = (
        ("the network", NETWORK_COMMANDS),
        ("gateways: all of them, or the one whose name stands in front", GATEWAY_COMMANDS),
        (f"storage replicas: with the name of one in front, or {ALL_REPLICAS}", REPLICA_COMMANDS),
        (f"storage: with {COURIER} in front", COURIER_COMMANDS),
        ("the rest", OTHER_COMMANDS),
    )
    return tuple((heading, tuple((row.usage, row.help) for row in rows.values())) for heading, rows in sections)
