"""A local network and two daemons on it, as processes of their own: one listens on TCP, one on a Unix socket."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

EPOCH = "10s"
START_SECONDS = 20.0
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Running:
    """Where a real client finds its configuration, by the kind of socket."""

    directory: Path

    def thinclient(self, kind: str) -> str:
        name = {"tcp": "thinclient.toml", "unix": "thinclient-unix.toml"}[kind]
        return str(self.directory / name)


@contextmanager
def process(*arguments: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `kpclientd ARGUMENTS`, and see that it ends in good order."""
    environment = os.environ | {"KATZENPOST_EPOCH_DURATION": EPOCH}
    with output.open("wb") as log:
        command = [sys.executable, "-m", "kpclientd.cli", *arguments]
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            status = child.wait(STOP_SECONDS)
    assert status == 0, output.read_text()


def wait_until_ready(child: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not any(line.startswith("ready") for line in output.read_text().splitlines()):
        assert child.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        os.sched_yield()


def wait_until_greeted(address: str | tuple[str, int]) -> None:
    """Until the daemon there has a document: it greets nobody before."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket(family) as probe:
            probe.settimeout(START_SECONDS)
            try:
                probe.connect(address)
                assert probe.recv(1)
                return
            except (ConnectionRefusedError, FileNotFoundError):
                assert time.monotonic() < deadline, f"nothing listens at {address}"


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    with TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        options = ["--epoch", EPOCH, "--thin-port", "0", "--mu", "0.2", "--lambda-p", "0.02", "--lambda-l", "0.005"]
        log = directory / "localnet.log"
        wait_until_ready(stack.enter_context(process("localnet", name, *options, output=log)), log)
        for config in ("client.toml", "client-unix.toml"):
            path = directory / config
            stack.enter_context(process("--config", str(path), output=path.with_suffix(".log")))
        address = (directory / "thinclient.toml").read_text().split('"')[1]
        host, _, port = address.rpartition(":")
        wait_until_greeted((host, int(port)))
        wait_until_greeted(str(directory / "kpclientd.sock"))
        yield Running(directory)
