"""A local network in a process of its own, and what an observer beside its gateway sees.

The process takes one command a line on its standard input, answers each with one line of JSON, and ends with its input:
so it never outlives the benchmark, however that ends. All times are of one monotonic clock, in seconds.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import trio

from benchmarks.app_processes import running
from kpclientd.localnet.counters import Counted
from kpclientd.localnet.files import CLIENT_FILE, CLIENT_UNIX_FILE, DAEMON_SOCKET
from kpclientd.localnet.gateway import Acknowledgement
from kpclientd.localnet.in_flight import Arrival
from kpclientd.localnet.network import LocalNetwork
from pki.epoch import EpochClock, parse_duration
from sphinx.types import SurbId

MU: Final = 0.02
"""Short delays of the hops, per ms: replies are wanted, not mixing."""

EPOCHS_MINUTES: Final = range(60, 121)
"""Lengths of an epoch to choose from, so that none changes soon."""

PROBE_SECONDS: Final = 0.02
"""Between two looks at how late the observer's own timer is."""

READ_LENGTH: Final = 4096


@dataclass(frozen=True, slots=True)
class Counts:
    """What has been seen since the recording began; handshakes since the network's start."""

    arrivals: int
    acknowledgements: int
    handshakes: int


@dataclass(frozen=True, slots=True)
class Observations:
    """Times of packets at the gateway, acknowledgements there, and the observer's own lateness."""

    arrivals: list[float]
    acknowledgements: list[Acknowledgement]
    lateness: list[float]


@dataclass(frozen=True, slots=True)
class Place:
    """One of the two sockets that a daemon can be told to listen on, and the configuration that does."""

    address: str
    config: Path


class NetworkProcess:
    """The parent's end of a network.

    Args:
        child: the process.
        directory: where its files are.
        epoch: the network's epoch period, as the daemon's environment must have it.
    """

    def __init__(self, child: subprocess.Popen[str], directory: Path, epoch: str) -> None:
        self._child = child
        self.epoch = epoch
        self.tcp = Place(self._ask("address"), directory / CLIENT_FILE)
        self.unix = Place(str(directory / DAEMON_SOCKET), directory / CLIENT_UNIX_FILE)

    def record(self) -> None:
        """Forget what was seen and begin anew."""
        self._ask("record")

    def counts(self) -> Counts:
        """What there is so far; cheap."""
        return Counts(**self._ask("counts"))

    def observations(self) -> Observations:
        """All that was seen."""
        seen = self._ask("observations")
        return Observations(
            seen["arrivals"],
            [Acknowledgement(SurbId(bytes.fromhex(name)), *times) for name, *times in seen["acknowledgements"]],
            seen["lateness"],
        )

    def reset_connections(self) -> None:
        """End all links to the gateway abruptly."""
        self._ask("reset")

    def _ask(self, word: str) -> Any:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(word + "\n")
        self._child.stdin.flush()
        return json.loads(self._child.stdout.readline())


@contextmanager
def local_network(lambda_p: float, lambda_l: float, replicas: int = 0) -> Iterator[NetworkProcess]:
    """A network whose clients send at these rates (per ms), with so many storage replicas."""
    period = max((f"{minutes}m" for minutes in EPOCHS_MINUTES), key=_seconds_till_next)
    with TemporaryDirectory(prefix="kpclientd-bench-") as name:
        rates = ["--lambda-p", str(lambda_p), "--lambda-l", str(lambda_l), "--replicas", str(replicas)]
        command = [sys.executable, "-m", "benchmarks.app_network", name, "--epoch", period, *rates]
        with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            yield NetworkProcess(child, Path(name), period)


def _seconds_till_next(period: str) -> float:
    return EpochClock(parse_duration(period)).till_next(time.time())


class _Observer:
    """Does what the words say."""

    def __init__(self, network: LocalNetwork, address: str) -> None:
        self._network = network
        self._address = address
        self._arrivals: list[Arrival] = []
        self._acknowledgements: list[Acknowledgement] = []
        self._lateness: list[float] = []
        self._words: Mapping[str, Callable[[], object]] = {
            "address": lambda: self._address,
            "record": self._record,
            "counts": self._counts,
            "observations": self._observations,
            "reset": network.faults.reset_connections,
        }

    async def answer_commands(self) -> None:
        """Obey until the input ends."""
        pending = b""
        async with trio.lowlevel.FdStream(sys.stdin.fileno()) as words:
            while data := await words.receive_some(READ_LENGTH):
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    print(json.dumps(self._words[line.decode()]()), flush=True)

    async def probe(self) -> None:
        """Measure how late a timer is here, for ever: no observation is better than that."""
        while True:
            due = trio.current_time() + PROBE_SECONDS
            await trio.sleep_until(due)
            self._lateness.append(trio.current_time() - due)

    def _record(self) -> None:
        self._arrivals = self._network.gateway.arrivals = []
        self._acknowledgements = self._network.gateway.acknowledgements = []
        self._lateness = []

    def _counts(self) -> dict[str, int]:
        return {
            "arrivals": len(self._arrivals),
            "acknowledgements": len(self._acknowledgements),
            "handshakes": self._network.counters[Counted.HANDSHAKES],
        }

    def _observations(self) -> dict[str, object]:
        return {
            "arrivals": [arrival.time for arrival in self._arrivals],
            "acknowledgements": [(seen.surb_id.hex(), seen.seconds, seen.time) for seen in self._acknowledgements],
            "lateness": self._lateness,
        }


async def _run(options: argparse.Namespace) -> None:
    network = LocalNetwork(
        epoch_period=parse_duration(options.epoch),
        mu=MU,
        lambda_p=options.lambda_p,
        lambda_l=options.lambda_l,
        replicas=options.replicas,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        observer = _Observer(network, network.write_files(options.directory, 0, options.epoch).address)
        nursery.start_soon(observer.probe)
        await observer.answer_commands()
        nursery.cancel_scope.cancel()


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app_network", description="a network to be observed")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--epoch", required=True)
    parser.add_argument("--lambda-p", type=float, required=True)
    parser.add_argument("--lambda-l", type=float, required=True)
    parser.add_argument("--replicas", type=int, default=0)
    trio.run(_run, parser.parse_args())


if __name__ == "__main__":
    _main()
