"""Commands to a running network: one text line each, by a Unix socket, and one line in answer.

Each network defines its own commands; here is how they are sent and answered, and the forms that most of them have.
"""

import shlex
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

import trio

from kpclientd.localnet.arguments import Argument
from kpclientd.localnet.errors import ControlError
from kpclientd.localnet.files import socket_path

CONTROL_SOCKET: Final = "control.sock"
LONGEST_LINE: Final = 1024
ANSWER_SECONDS: Final = 5.0
BACKLOG: Final = 16
OK: Final = "ok"

_ERROR: Final = "error: "

Network = TypeVar("Network")
Execute: TypeAlias = Callable[[str], str]
"""Executes a line and returns the one-line answer; raises ControlError."""


class FaultyNetwork(Protocol):
    """A network with switches for what it does wrong."""

    @property
    def faults(self) -> object:
        """The switches, as attributes."""


Run: TypeAlias = Callable[[FaultyNetwork, list[str]], str]
"""Executes one command with its arguments; returns the answer."""


@dataclass(frozen=True, slots=True)
class ControlCommand(Generic[Network]):
    """A command: how it is used, what it does, and the function that does it."""

    usage: str
    help: str
    run: Callable[[Network, list[str]], str]


def execute_command(commands: Mapping[str, ControlCommand[Network]], network: Network, line: str) -> str:
    """Do what `line` says and return the one-line answer.

    Raises:
        ControlError: if the line is no command, or its argument is missing or wrong.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ControlError(f"not a command: {error}; try help") from None
    name, *arguments = words or ("",)
    command = commands.get(name)
    if command is None:
        raise ControlError(f"no command is called {name!r}; there are {', '.join(commands)}")
    return command.run(network, arguments)


def help_on(commands: Mapping[str, ControlCommand[Network]]) -> str:
    """Return all commands in one line."""
    return "; ".join(f"{command.usage}: {command.help}" for command in commands.values())


async def serve_commands(
    execute: Execute, directory: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Execute commands that come in through the control socket in `directory`, until cancelled; then remove it."""
    path = socket_path(directory, CONTROL_SOCKET)
    path.unlink(missing_ok=True)  # we hold the directory: what is there was left by one that was killed
    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as listening:
        await listening.bind(str(path))
        try:
            listening.listen(BACKLOG)
            listener = trio.SocketListener(listening)
            task_status.started()

            async def serve(stream: trio.SocketStream) -> None:
                await _serve_lines(execute, stream)

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
            client.sendall(line.encode(errors="replace") + b"\n")
            client.shutdown(socket.SHUT_WR)
            with client.makefile("r", encoding="utf-8") as answers:
                answer = answers.readline().rstrip("\n")
    except OSError as error:
        raise ControlError(f"no local network answers at {path}: {error.strerror or error}") from None
    if answer.startswith(_ERROR):
        raise ControlError(answer.removeprefix(_ERROR))
    return answer


async def _serve_lines(execute: Execute, stream: trio.SocketStream) -> None:
    buffer = bytearray()
    async with stream:
        try:
            while data := await stream.receive_some():
                buffer += data
                *lines, rest = buffer.split(b"\n")
                for line in lines:
                    await stream.send_all(_answer(execute, bytes(line)))
                if len(rest) > LONGEST_LINE:
                    await stream.send_all(f"{_ERROR}a line may have {LONGEST_LINE} bytes\n".encode())
                    return
                buffer = bytearray(rest)
        except trio.BrokenResourceError:
            pass  # the client has gone


def _answer(execute: Execute, line: bytes) -> bytes:
    try:
        answer = execute(line.decode())
    except (ControlError, UnicodeDecodeError) as error:
        answer = f"{_ERROR}{error}"
    return answer.encode() + b"\n"


def set_to(attribute: str, argument: Argument) -> Run:
    """Return a command's function that sets a fault to its argument."""

    def run(network: FaultyNetwork, arguments: list[str]) -> str:
        setattr(network.faults, attribute, argument.read(arguments))
        return OK

    return run


def call_method(method: str) -> Run:
    """Return a command's function that calls a method of the faults."""

    def run(network: FaultyNetwork, arguments: list[str]) -> str:
        no_argument(arguments)
        getattr(network.faults, method)()
        return OK

    return run


def no_argument(arguments: list[str]) -> None:
    """Check that there is none.

    Raises:
        ControlError: if there is one.
    """
    if arguments:
        raise ControlError(f"expected no argument; got {' '.join(arguments)}")
