"""What a daemon costs as a process: from its start to the first document, at rest, and for each echo.

`python -m benchmarks.daemon_process [--against TREE]` measures this tree alone, in turns with another one if given.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from benchmarks.timing import Row
from kpclientd.client.connection import connected_to
from kpclientd.config.dial import load_dial
from pki.epoch import PERIOD_VARIABLE
from sphinx.types import SurbId

STARTS = 9
REST_SECONDS = 20.0
ECHOES = 300
PATIENCE_SECONDS = 20.0
ECHO_SECONDS = 120.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
NANOSECONDS = 1e9
MEGABYTE = 1e6
EPOCH = "60s"
RATES = ("--lambda-p", "0.02", "--lambda-l", "0.005")
"""Many packets a second, so that their cost is seen."""
ENVIRONMENT = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
"""With compiled modules kept, as an installation has them."""

HERE = Path(__file__).parent.parent


@contextmanager
def command(*arguments: str, tree: Path = HERE, epoch: str = EPOCH) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "kpclientd.cli", *arguments],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT | {PERIOD_VARIABLE: epoch},
        cwd=tree,
    )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate()


@contextmanager
def local_network(rates: Sequence[str] = RATES, epoch: str = EPOCH) -> Iterator[Path]:
    with (
        TemporaryDirectory() as name,
        command("localnet", name, "--epoch", epoch, "--thin-port", "0", *rates) as network,
    ):
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


def start_seconds(directory: Path, tree: Path = HERE) -> float:
    begin = time.perf_counter()
    with command("--config", str(directory / "client-unix.toml"), tree=tree):
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


@dataclass(frozen=True)
class Cost:
    """Of one daemon: resident megabytes and CPU milliseconds a second at rest, CPU milliseconds an echo."""

    resident: float
    at_rest: float
    per_echo: float


def cost(directory: Path, tree: Path = HERE) -> Cost:
    """Measure one daemon, first without applications and then with one that sends echoes."""
    with command("--config", str(directory / "client-unix.toml"), tree=tree) as daemon:
        wait_for_greeting(directory / "kpclientd.sock")
        began, used = time.monotonic(), cpu_seconds(daemon.pid)
        time.sleep(REST_SECONDS)
        at_rest = (cpu_seconds(daemon.pid) - used) / (time.monotonic() - began)
        pages = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[1])
        began, used = time.monotonic(), cpu_seconds(daemon.pid)
        trio.run(echo, directory / "thinclient-unix.toml")
        echoes = cpu_seconds(daemon.pid) - used - at_rest * (time.monotonic() - began)
    return Cost(pages * PAGE_BYTES / MEGABYTE, 1000 * at_rest, 1000 * echoes / ECHOES)


def cpu_seconds(pid: int) -> float:
    """Time on a processor of a process's threads that live."""
    schedules = (Path(task, "schedstat").read_text() for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int(schedule.split()[0]) for schedule in schedules) / NANOSECONDS


async def echo(thinclient: Path) -> None:
    """Send `ECHOES` messages at once and wait for all of their answers."""
    async with connected_to(load_dial(thinclient), os.urandom(16)) as client:
        assert client.document is not None
        (service, *_) = client.document.services("echo")
        waiting = set()
        for _ in range(ECHOES):
            surb_id = SurbId(os.urandom(16))
            waiting.add(surb_id)
            await client.send_message(service.node_id, service.endpoint, b"echo", surb_id)
        with trio.move_on_after(ECHO_SECONDS):
            while waiting:
                message = await client.receive()
                waiting.discard((message.get("message_reply_event") or {}).get("surbid"))
        if waiting:
            print(f"{len(waiting)} of {ECHOES} echoes did not come back in {ECHO_SECONDS:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.daemon_process", description="what a daemon costs")
    parser.add_argument("--against", type=Path, metavar="TREE", help="the root of another source tree, built")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    trees = [("this", HERE), *([("other", options.against.resolve())] if options.against else [])]
    starts: dict[str, list[float]] = {name: [] for name, _ in trees}
    costs: dict[str, list[Cost]] = {name: [] for name, _ in trees}
    with local_network() as directory:
        for _ in range(options.rounds):
            trees.reverse()  # who comes first finds the machine in another state
            for name, tree in trees:
                starts[name] += [start_seconds(directory, tree) for _ in range(STARTS)]
                costs[name].append(cost(directory, tree))

    def median(name: str, of: Callable[[Cost], float]) -> float:
        return statistics.median(map(of, costs[name]))

    print(f"{'tree':<6} {'start s':>8} {'RSS MB':>8} {'CPU at rest ms/s':>17} {'CPU an echo ms':>15}")
    for name, _ in trees:
        resident, at_rest = median(name, lambda one: one.resident), median(name, lambda one: one.at_rest)
        start, per_echo = statistics.median(starts[name]), median(name, lambda one: one.per_echo)
        print(f"{name:<6} {start:>8.3f} {resident:>8.1f} {at_rest:>17.2f} {per_echo:>15.2f}")


if __name__ == "__main__":
    main()
