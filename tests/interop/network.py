"""A local network and daemons on it, as processes of their own."""

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

from sphinx.native import engine_name

EPOCH = "10s"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
SOCKET = "kpclientd.sock"

LAMBDA_P, LAMBDA_L = ("0.005", "0.001") if engine_name() == "python" else ("0.02", "0.005")
"""Packets a millisecond. Where Python makes them, the higher rates keep a processor busy, and several networks run."""


TELLS_ROUTES = "client.toml"
"""The one by TCP does, the other one speaks as daemons did before."""


@dataclass(frozen=True)
class Running:
    """Where a real client finds its configuration, by the kind of socket."""

    directory: Path

    def thinclient(self, kind: str) -> str:
        name = {"tcp": "thinclient.toml", "unix": "thinclient-unix.toml"}[kind]
        return str(self.directory / name)

    @contextmanager
    def another_daemon(self, name: str, more: str = "") -> Iterator[str]:
        """One more daemon, on a Unix socket of its own, as long as this lasts; where its clients' configuration is.

        `more` stands at the end of its own.
        """
        configs = []
        for half in ("client", "thinclient"):
            text = (self.directory / f"{half}-unix.toml").read_text()
            configs.append(self.directory / f"{half}-{name}.toml")
            configs[-1].write_text(text.replace(SOCKET, f"{name}.sock") + (more if half == "client" else ""))
        with process("--config", str(configs[0]), output=configs[0].with_suffix(".log")):
            wait_until_greeted(str(self.directory / f"{name}.sock"))
            yield str(configs[1])


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
        time.sleep(POLL_SECONDS)


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
                time.sleep(POLL_SECONDS)


@contextmanager
def running_network(directory: Path, thin_port: int = 0) -> Iterator[Running]:
    """A network with its files in `directory`, and two daemons on it: one listens on TCP, one on a Unix socket."""
    options = ["--epoch", EPOCH, "--thin-port", str(thin_port)]
    rates = ["--mu", "0.2", "--lambda-p", LAMBDA_P, "--lambda-l", LAMBDA_L]
    log = directory / "localnet.log"
    with ExitStack() as stack:
        network = stack.enter_context(process("localnet", str(directory), *options, *rates, output=log))
        wait_until_ready(network, log)
        for config in ("client.toml", "client-unix.toml"):
            path = directory / config
            if config == TELLS_ROUTES:
                path.write_text(path.read_text().replace("[Listen]\n", "[Listen]\nTellRoutes = true\n"))
            stack.enter_context(process("--config", str(path), output=path.with_suffix(".log")))
        address = (directory / "thinclient.toml").read_text().split('"')[1]
        host, _, port = address.rpartition(":")
        wait_until_greeted((host, int(port)))
        wait_until_greeted(str(directory / SOCKET))
        yield Running(directory)
