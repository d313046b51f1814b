"""What a daemon costs as a process: from its start to the first document, and at rest."""

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.timing import Row

STARTS = 5
REST_SECONDS = 5.0
PATIENCE_SECONDS = 20.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 1e6
EPOCH = "60s"
ENVIRONMENT = os.environ | {"KATZENPOST_EPOCH_DURATION": EPOCH}


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "kpclientd.cli", *arguments], stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate()


@contextmanager
def local_network() -> Iterator[Path]:
    with TemporaryDirectory() as name, command("localnet", name, "--epoch", EPOCH, "--thin-port", "0") as network:
        assert network.stdout is not None
        assert network.stdout.readline().startswith(b"ready")
        yield Path(name)


def wait_for_greeting(path: Path) -> None:
    """A daemon greets nobody before it has a verified document."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as application:
            try:
                application.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.002)
                continue
            application.settimeout(PATIENCE_SECONDS)
            assert application.recv(1)
            return
    raise TimeoutError(f"no greeting at {path}")


def start_seconds(directory: Path) -> float:
    begin = time.perf_counter()
    with command("--config", str(directory / "client-unix.toml")):
        wait_for_greeting(directory / "kpclientd.sock")
        return time.perf_counter() - begin


def interpreter_seconds() -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import trio, cbor2, cryptography, nacl.bindings"], check=True)
    return time.perf_counter() - begin


def rows() -> list[Row]:
    """Start to first document; its floor is the interpreter with the libraries that are used."""
    with local_network() as directory:
        starts = statistics.median(start_seconds(directory) for _ in range(STARTS))
    floor = statistics.median(interpreter_seconds() for _ in range(STARTS))
    return [("daemon: start to connected with a verified document", starts, floor)]


def resident_megabytes() -> float:
    """Resident set of a daemon without applications, some seconds after its start."""
    with local_network() as directory, command("--config", str(directory / "client-unix.toml")) as daemon:
        wait_for_greeting(directory / "kpclientd.sock")
        time.sleep(REST_SECONDS)
        pages = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1])
    return pages * PAGE_BYTES / MEGABYTE
