"""A service manager as far as it listens: the socket that `NOTIFY_SOCKET` names, and what came to it."""

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

from kpclientd.addresses import unix_socket_address
from tests.config.samples import literal_toml, written

PATIENCE = 30.0
"""Seconds that a process may take to do what it was told."""

LOST_VARIABLES = ("KATZENPOST_EPOCH_DURATION", "DBUS_SESSION_BUS_ADDRESS", "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM")


@dataclass
class Manager:
    """It.

    Attributes:
        address: as the variable has it.
        received: all datagrams, each as its lines.
    """

    address: str
    socket: socket.socket
    received: list[dict[str, str]] = field(default_factory=list)

    def next(self, patience: float = PATIENCE) -> dict[str, str]:
        """The next datagram.

        Raises:
            TimeoutError: none came.
        """
        self.socket.settimeout(patience)
        told = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())
        self.received.append(told)
        return told

    def until(self, key: str, beginning: str = "") -> str:
        """Wait for a datagram with that key, and a value that begins so; its value."""
        while not (value := self.next().get(key, "-")).startswith(beginning) or value == "-":
            pass
        return value

    def all_that_came(self) -> list[dict[str, str]]:
        """What waits to be read."""
        told = []
        try:
            while True:
                told.append(self.next(0.0))
        except (BlockingIOError, TimeoutError):
            return told


@contextmanager
def listening(address: str) -> Iterator[Manager]:
    """A manager at a path, or at an abstract name that begins with @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(unix_socket_address(address))
        yield Manager(address, bound)


@contextmanager
def daemon(
    configuration: Path,
    *,
    manager: Manager | None = None,
    program: str = "",
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    handed_over: Sequence[socket.socket] = (),
) -> Iterator[Popen[str]]:
    """A daemon as a process of its own; its log, and what it says on standard error, are in its `stdout`.

    Args:
        configuration: its file.
        manager: is told.
        program: Python that runs before the daemon's own.
        options: further ones.
        environment: further variables.
        handed_over: descriptors that it has, too; their numbers are in `GIVEN`.
    """
    variables = {key: value for key, value in os.environ.items() if key not in LOST_VARIABLES} | dict(environment or {})
    descriptors = [one.fileno() for one in handed_over]
    variables["GIVEN"] = " ".join(map(str, descriptors))
    if manager is not None:
        variables["NOTIFY_SOCKET"] = manager.address
    run = f"{program}\nimport sys\nfrom kpclientd.cli import main\nsys.exit(main())"
    command = (sys.executable, "-c", run, "--config", str(configuration), *options)
    process = Popen(command, env=variables, stdout=PIPE, stderr=STDOUT, text=True, pass_fds=descriptors)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: Popen[str]) -> tuple[int, str]:
    """The exit status of a process that ends, and all that it has said."""
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def configured(folder: Path, path: Path | str, **sections: str) -> Path:
    """A file for a daemon at `path` that has no network: nothing is there where its gateway should be."""
    gateway = sections.pop("top", "")
    listen = f'[Listen.Unix]\nAddress = "{path}"\nMode = "0640"'
    level = '[Logging]\nLevel = "NOTICE"'
    return written(folder, literal_toml(top=gateway, Listen=listen, **{"Logging": level, **sections}))
