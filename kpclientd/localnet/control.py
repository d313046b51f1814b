"""The local network's control socket: one text command per line, one line in answer to each.

A test in another process, or a person with a terminal, makes the network misbehave through it.
"""

import json
import shlex
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from kpclientd.localnet.errors import ControlError
from kpclientd.localnet.faults import DocumentFault
from kpclientd.localnet.files import socket_path
from kpclientd.localnet.network import LocalNetwork

CONTROL_SOCKET: Final = "control.sock"
LONGEST_LINE: Final = 1024
ANSWER_SECONDS: Final = 5.0
BACKLOG: Final = 16
OK: Final = "ok"

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


@dataclass(frozen=True, slots=True)
class Verb:
    """A command: how it is used, what it does, and the doing."""

    usage: str
    help: str
    act: Callable[[LocalNetwork, list[str]], str]


def obey(network: LocalNetwork, line: str) -> str:
    """Do what `line` says and return the one-line answer.

    Raises:
        ControlError: if the line is no command, or its argument is missing or wrong.
    """
    try:
        name, *arguments = shlex.split(line)
    except ValueError as error:
        raise ControlError(f"not a command: {error}; try help") from None
    verb = _VERBS.get(name)
    if verb is None:
        raise ControlError(f"no command is called {name!r}; there are {', '.join(_VERBS)}")
    return verb.act(network, arguments)


async def serve_control(
    network: LocalNetwork, directory: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Obey commands that come in through the control socket in `directory`, until cancelled; then remove it."""
    path = socket_path(directory, CONTROL_SOCKET)
    path.unlink(missing_ok=True)  # one network per directory: what is there was left by one that was killed
    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as listening:
        await listening.bind(str(path))
        try:
            listening.listen(BACKLOG)
            listener = trio.SocketListener(listening)
            task_status.started()

            async def serve(stream: trio.SocketStream) -> None:
                await _serve_lines(network, stream)

            await trio.serve_listeners(serve, [listener])
        finally:
            path.unlink(missing_ok=True)


def send(directory: Path, line: str) -> str:
    """Give one command to the network that runs in `directory` and return its answer.

    Raises:
        ControlError: if no network runs there, it does not answer, or the command failed.
    """
    path = socket_path(directory, CONTROL_SOCKET)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(ANSWER_SECONDS)
            client.connect(str(path))
            client.sendall(line.encode() + b"\n")
            client.shutdown(socket.SHUT_WR)
            with client.makefile("r", encoding="utf-8") as answers:
                answer = answers.readline().rstrip("\n")
    except OSError as error:
        raise ControlError(f"no local network answers at {path}: {error.strerror or error}") from None
    if answer.startswith(_ERROR):
        raise ControlError(answer.removeprefix(_ERROR))
    return answer


async def _serve_lines(network: LocalNetwork, stream: trio.SocketStream) -> None:
    buffer = bytearray()
    async with stream:
        try:
            while data := await stream.receive_some():
                buffer += data
                *lines, rest = buffer.split(b"\n")
                for line in lines:
                    await stream.send_all(_answer(network, bytes(line)))
                if len(rest) > LONGEST_LINE:
                    await stream.send_all(f"{_ERROR}a line may have {LONGEST_LINE} bytes\n".encode())
                    return
                buffer = bytearray(rest)
        except trio.BrokenResourceError:
            pass  # the one who asked has gone


def _answer(network: LocalNetwork, line: bytes) -> bytes:
    try:
        answer = obey(network, line.decode())
    except (ControlError, UnicodeDecodeError) as error:
        answer = f"{_ERROR}{error}"
    return answer.encode() + b"\n"


_ERROR: Final = "error: "


def _number(arguments: list[str], most: float, what: str) -> float:
    try:
        (text,) = arguments
        value = float(text)
    except ValueError:
        raise ControlError(f"expected one number, {what}; got {' '.join(arguments) or 'nothing'}") from None
    if not 0 <= value <= most:
        raise ControlError(f"{value:g} is not {what}")
    return value


def _set_number(attribute: str, most: float, what: str) -> Callable[[LocalNetwork, list[str]], str]:
    def act(network: LocalNetwork, arguments: list[str]) -> str:
        setattr(network.faults, attribute, _number(arguments, most, what))
        return OK

    return act


def _set_switch(attribute: str) -> Callable[[LocalNetwork, list[str]], str]:
    def act(network: LocalNetwork, arguments: list[str]) -> str:
        if arguments not in (["on"], ["off"]):
            raise ControlError(f"expected on or off; got {' '.join(arguments) or 'nothing'}")
        setattr(network.faults, attribute, arguments == ["on"])
        return OK

    return act


def _simply(method: str) -> Callable[[LocalNetwork, list[str]], str]:
    def act(network: LocalNetwork, arguments: list[str]) -> str:
        if arguments:
            raise ControlError(f"expected no argument; got {' '.join(arguments)}")
        getattr(network.faults, method)()
        return OK

    return act


def _document(network: LocalNetwork, arguments: list[str]) -> str:
    names = [*DocumentFault, _NO_FAULT]
    if len(arguments) != 1 or arguments[0] not in names:
        raise ControlError(f"expected one of {', '.join(names)}; got {' '.join(arguments) or 'nothing'}")
    network.faults.document = None if arguments[0] == _NO_FAULT else DocumentFault(arguments[0])
    return OK


_NO_FAULT: Final = "genuine"


def _skip_consensus(network: LocalNetwork, arguments: list[str]) -> str:
    epoch = network.epoch + 1 if not arguments else int(_number(arguments, _LARGEST_EPOCH, "an epoch"))
    network.faults.skip_consensus(epoch)
    return f"{OK}: no document for epoch {epoch}"


_LARGEST_EPOCH: Final = 2**64 - 1


def _counters(network: LocalNetwork, _: list[str]) -> str:
    return json.dumps(network.counters.snapshot() | {"packets in flight": network.transit.in_flight})


def _status(network: LocalNetwork, _: list[str]) -> str:
    elapsed = network.clock.elapsed(network.unix())
    return (
        f"gateway {network.gateway_url}, {len(network.gateway.connections)} connected, epoch {network.epoch} "
        f"({elapsed:.1f} of {network.clock.period:g} s), {network.transit.in_flight} packets in flight"
    )


def _help(_: LocalNetwork, __: list[str]) -> str:
    return "; ".join(f"{verb.usage}: {verb.help}" for verb in _VERBS.values())


_VERBS: Final[Mapping[str, Verb]] = {
    **{
        name: Verb(f"{name} P", "probability of it, 0 to 1", _set_number(attribute, 1.0, "a probability from 0 to 1"))
        for name, attribute in PROBABILITIES.items()
    },
    **{
        name: Verb(f"{name} S", "more seconds for each", _set_number(attribute, float("inf"), "a time in seconds"))
        for name, attribute in TIMES.items()
    },
    **{name: Verb(f"{name} on|off", "switch it", _set_switch(attribute)) for name, attribute in SWITCHES.items()},
    "document": Verb("document FAULT|genuine", "serve documents with that fault", _document),
    "skip-consensus": Verb("skip-consensus [EPOCH]", "no document of that epoch, or of the next", _skip_consensus),
    "reset": Verb("reset", "end all connections abruptly", _simply("reset_connections")),
    "half-open": Verb("half-open", "let all connections go dead", _simply("half_open")),
    "bad-mac": Verb("bad-mac", "send a damaged frame on each connection", _simply("bad_mac")),
    "clear": Verb("clear", "do all things right from now on", _simply("clear")),
    "counters": Verb("counters", "what happened so far, as JSON", _counters),
    "status": Verb("status", "the network in one line", _status),
    "help": Verb("help", "this line", _help),
}
