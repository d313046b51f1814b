"""What a local Loopix network can be told while it runs."""

import json
from collections.abc import Mapping
from typing import Final

from kpclientd.localnet.arguments import NO_FAULT, PROBABILITY, SECONDS, choice_of
from kpclientd.localnet.commands import OK, ControlCommand, call_method, execute_command, help_on, set_to
from kpclientd.localnet.errors import ControlError
from kpclientd.loopix.simulator.faults import DirectoryFault, ReplyFault
from kpclientd.loopix.simulator.network import LoopixNetwork

PROBABILITIES: Final = ("loss", "duplicate", "corrupt")
TIMES: Final = {"delay": "delay", "jitter": "jitter", "reply-delay": "reply_delay"}


def execute(network: LoopixNetwork, line: str) -> str:
    """Do what `line` says and return the one-line answer.

    Raises:
        ControlError: if the line is no command, or its argument is missing or wrong.
    """
    return execute_command(_COMMANDS, network, line)


def _kill(network: LoopixNetwork, arguments: list[str]) -> str:
    network.faults.dead.add(_name(network, arguments))
    return OK


def _revive(network: LoopixNetwork, arguments: list[str]) -> str:
    network.faults.dead.discard(_name(network, arguments))
    return OK


def _name(network: LoopixNetwork, arguments: list[str]) -> str:
    names = [member.name for member in network.members]
    if len(arguments) != 1 or arguments[0] not in names:
        raise ControlError(f"expected one of {', '.join(names)}; got {' '.join(arguments) or 'nothing'}")
    return arguments[0]


def _restart(network: LoopixNetwork, arguments: list[str]) -> str:
    name = _name(network, arguments) if arguments else None
    restarted = [member for member in network.providers if name in (None, member.name)]
    if not restarted:
        raise ControlError(f"{name} is a mix, and has nothing to forget")
    for member in restarted:
        member.node.restart()
    return OK


def _counters(network: LoopixNetwork, _: list[str]) -> str:
    return json.dumps(network.counters.snapshot() | {"packets in flight": network.transit.packets.count})


def _status(network: LoopixNetwork, _: list[str]) -> str:
    clients = sum(len(member.node.clients) for member in network.providers)
    dead = ", ".join(sorted(network.faults.dead)) or "none"
    return (
        f"topology {network.topology_url}, mixes {len(network.mixes)}, providers {len(network.providers)}, "
        f"dead {dead}, clients {clients}, packets in flight {network.transit.packets.count}"
    )


def _help(_: LoopixNetwork, __: list[str]) -> str:
    return help_on(_COMMANDS)


def _choice(name: str, kind: type[ReplyFault] | type[DirectoryFault], what: str) -> ControlCommand[LoopixNetwork]:
    return ControlCommand(f"{name} FAULT|{NO_FAULT}", what, set_to(name, choice_of(kind, "FAULT")))


_COMMANDS: Final[Mapping[str, ControlCommand[LoopixNetwork]]] = {
    **{
        name: ControlCommand(f"{name} P", "probability of it, 0 to 1", set_to(name, PROBABILITY))
        for name in PROBABILITIES
    },
    **{
        name: ControlCommand(f"{name} S", "more seconds for each", set_to(attribute, SECONDS))
        for name, attribute in TIMES.items()
    },
    "pull": _choice("pull", ReplyFault, "answer pulls with that fault"),
    "registration": _choice("registration", ReplyFault, "answer registrations with that fault"),
    "directory": _choice("directory", DirectoryFault, "let the directory fail"),
    "kill": ControlCommand("kill NODE", "let a node be dead", _kill),
    "revive": ControlCommand("revive NODE", "let it live again", _revive),
    "restart": ControlCommand("restart [PROVIDER]", "let providers forget their clients", _restart),
    "clear": ControlCommand("clear", "do all things right from now on", call_method("clear")),
    "counters": ControlCommand("counters", "what happened so far, as JSON", _counters),
    "status": ControlCommand("status", "the network in one line", _status),
    "help": ControlCommand("help", "this line", _help),
}
