"""Whether anything that an application does reaches the send clock: `python -m benchmarks.app_load`.

In real time, with a process each for the network, the daemon, the hostile applications, and a modest one, which asks
something small twenty times a second. The table tells, under each load:

sends, rate    the packets that the gateway saw, and how many a second, beside the document's rates. A Poisson count of
               n is uncertain by 1/√n; at 5,000 sends that is 1.4 %. The rate passes within 1 %, or within three
               standard errors where these are more.
KS p           Kolmogorov and Smirnov's test of the intervals between all sends against the exponential law.
longest gap    between two sends. Of n exponential intervals it is ln n times their mean: 340 ms of 5,000.
app ms         what the modest application waits for its answers: median and 95th percentile. The latter passes up to
               2 ms above that of the quiet daemon.

Then the modest application sends echo messages beside the cover, and the times that the daemon takes to acknowledge
their replies and those to its decoys are compared by the two-sample test.

The level of all tests is 1 %: one run of a faultless daemon in some fourteen fails one of seven. The gateway's own
timer is measured meanwhile: what it is late, no table can tell from the daemon. A busy machine spoils everything.
"""

import argparse
import itertools
import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.app_attackers import ATTACKS
from benchmarks.app_network import NetworkProcess, Observations, local_network
from benchmarks.app_processes import DaemonProcess, daemon, end_on_sigterm, running
from benchmarks.app_thin import ID_LENGTH, PATIENCE_SECONDS, App, first_app
from tests.support.significance import exponential_p_value, two_sample_p_value

SENDS: Final = 5000
ACKNOWLEDGEMENTS: Final = 2000
LAMBDA_P, LAMBDA_L = 0.02, 0.005

SIGNIFICANCE: Final = 0.01
RATE_TOLERANCE: Final = 0.01
STANDARD_ERRORS: Final = 3.0
LATENCY_TOLERANCE: Final = 0.002

QUIET: Final = "quiet"
ACKNOWLEDGED: Final = "acknowledgements"
SCENARIOS: Final = (QUIET, *ATTACKS, ACKNOWLEDGED)

MILLISECOND: Final = 1e-3
ASK_SECONDS: Final = 0.05
COUNT_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 3.0
"""From the daemon's first greeting to the beginning of the measurement."""

PATIENCE: Final = 3.0
"""A scenario ends after so many times what it should take, and half a minute, with whatever there is by then."""


EXPECTED_RATE: Final = (LAMBDA_P + LAMBDA_L) / MILLISECOND
"""Sends a second."""


@dataclass(frozen=True, slots=True)
class Sending:
    """What the times of the sends come to.

    Attributes:
        count: of intervals.
        rate: sends a second.
        error: of the rate, relative to what is expected.
        p: of the intervals' law.
        longest: interval, seconds.
    """

    count: int
    rate: float
    error: float
    p: float
    longest: float

    @classmethod
    def of(cls, arrivals: Sequence[float]) -> "Sending":
        """Judge the times at which packets arrived, seconds."""
        intervals = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
        if not intervals:
            return cls(0, 0.0, -1.0, 0.0, math.inf)
        rate = 1 / statistics.fmean(intervals)
        p = exponential_p_value(intervals, 1 / EXPECTED_RATE)
        return cls(len(intervals), rate, rate / EXPECTED_RATE - 1, p, max(intervals))

    @property
    def standard_errors(self) -> float:
        """How many of them the rate is off."""
        return self.error * math.sqrt(self.count)

    @property
    def rate_is_right(self) -> bool:
        """Whether the rate is what it should be, as far as so many sends can tell."""
        return abs(self.error) <= RATE_TOLERANCE or (self.count > 0 and abs(self.standard_errors) <= STANDARD_ERRORS)


@dataclass(frozen=True, slots=True)
class Latency:
    """What the modest application waits, seconds."""

    median: float
    high: float

    @classmethod
    def of(cls, times: Sequence[float]) -> "Latency":
        """Median and 95th percentile."""
        return cls(statistics.median(times), sorted(times)[int(0.95 * len(times))])


class ModestApp:
    """Asks for something small again and again; connects anew when it must, and counts that as a wait as well."""

    def __init__(self, address: str, app: App) -> None:
        self.times: list[float] = []
        self._address = address
        self._app: App | None = app

    def ask(self) -> None:
        """Wait for one answer."""
        begin = time.perf_counter()
        try:
            if self._app is None:
                self._app = App(self._address)
            self._app.round_trip()
        except OSError:
            if self._app is not None:
                self._app.close()
            self._app = None
        self.times.append(PATIENCE_SECONDS if self._app is None else time.perf_counter() - begin)

    def close(self) -> None:
        """Hang up."""
        if self._app is not None:
            self._app.close()


@contextmanager
def attackers(name: str, address: str) -> Iterator[None]:
    """The applications of that name, in a process."""
    with running([sys.executable, "-m", "benchmarks.app_attackers", name, address], stdin=subprocess.PIPE):
        yield


@contextmanager
def settled_daemon(network: NetworkProcess, python: Path | None) -> Iterator[tuple[DaemonProcess, App]]:
    """A fresh daemon that has been sending for a while, and an application."""
    with daemon(network.tcp.config, network.epoch, python) as process:
        app = first_app(network.tcp.address, process)
        time.sleep(SETTLE_SECONDS)
        try:
            yield process, app
        finally:
            app.close()


def deadline(seconds: float) -> float:
    """When to give up what should take so long."""
    return time.perf_counter() + PATIENCE * seconds + PATIENCE_SECONDS


def observe(network: NetworkProcess, name: str, sends: int, python: Path | None) -> tuple[Observations, list[float]]:
    """Run one scenario: what the gateway saw, and the modest application's waits."""
    with settled_daemon(network, python) as (process, app):
        modest = ModestApp(network.tcp.address, app)
        network.record()
        with attackers(name, network.tcp.address) if name in ATTACKS else nullcontext():
            end, next_count = deadline(sends / EXPECTED_RATE), 0.0
            while (now := time.perf_counter()) < end and not process.ended:
                modest.ask()
                if now >= next_count:
                    next_count = now + COUNT_SECONDS
                    if network.counts().arrivals > sends:
                        break
                time.sleep(max(0.0, now + ASK_SECONDS - time.perf_counter()))
            seen = network.observations()
        modest.close()
        return seen, modest.times or [PATIENCE_SECONDS]


def acknowledgements(network: NetworkProcess, wanted: int, python: Path | None) -> tuple[list[float], list[float]]:
    """Seconds to the acknowledgements of replies to an application's messages, and of those to decoys."""
    draws = random.Random()
    asked: set[bytes] = set()
    with settled_daemon(network, python) as (_, app):
        service = app.echo
        network.record()
        end, next_count, due = deadline(2 * wanted / EXPECTED_RATE), 0.0, time.perf_counter()
        ours: list[float] = []
        decoys: list[float] = []
        while (now := time.perf_counter()) < end and min(len(ours), len(decoys)) < wanted:
            if now >= due:
                due += draws.expovariate(EXPECTED_RATE / 2)  # every other slot, so both kinds are equally frequent
                surb_id = draws.randbytes(ID_LENGTH)
                asked.add(surb_id)
                app.send_message(service, b"", surb_id)
            if now >= next_count:
                next_count = now + COUNT_SECONDS
                if network.counts().acknowledgements >= 2 * wanted:
                    seen = network.observations().acknowledgements
                    ours = [one.seconds for one in seen if one.surb_id in asked]
                    decoys = [one.seconds for one in seen if one.surb_id not in asked]
            app.receive(max(0.0, due - time.perf_counter()))
    return ours, decoys


class Table:
    """Prints the results, each as it comes.

    Args:
        network: of all scenarios.
        options: of the command line.
    """

    def __init__(self, network: NetworkProcess, options: argparse.Namespace) -> None:
        self._network = network
        self._options = options
        self._quiet: Latency | None = None
        self._lateness: list[float] = []

    def head(self) -> None:
        """Print what comes before all."""
        print(f"expected: {EXPECTED_RATE:.2f} sends a second, at λP {LAMBDA_P} and λL {LAMBDA_L} per ms")
        print(
            f"{'':<15} {'sends':>6} {'rate/s':>7} {'error %':>8} {'in s.e.':>8} {'KS p':>7} {'gap ms':>7} "
            f"{'app ms':>9} {'95 %':>9} {'quiet':>7} {'95 %':>7}"
        )

    def row(self, name: str) -> None:
        """Run a scenario of sends and print what it came to."""
        seen, times = observe(self._network, name, self._options.sends, self._options.python_daemon)
        sending, latency = Sending.of(seen.arrivals), Latency.of(times)
        self._lateness += seen.lateness
        if name == QUIET:
            self._quiet = latency
        quiet = self._quiet
        faults = [
            fault
            for fault, right in (
                ("rate", sending.rate_is_right),
                ("law", sending.p > SIGNIFICANCE),
                ("latency", quiet is None or latency.high <= quiet.high + LATENCY_TOLERANCE),
            )
            if not right
        ]
        beside = f"{quiet.median * 1e3:7.2f} {quiet.high * 1e3:7.2f}" if quiet else f"{'-':>7} {'-':>7}"
        print(
            f"{name:<15} {sending.count:6} {sending.rate:7.2f} {100 * sending.error:+8.2f} "
            f"{sending.standard_errors:+8.2f} {sending.p:7.4f} {sending.longest * 1e3:7.0f} "
            f"{latency.median * 1e3:9.2f} {latency.high * 1e3:9.2f} {beside}  {_verdict(faults)}",
            flush=True,
        )

    def acknowledgements(self) -> None:
        """Compare acknowledgements and print what it came to."""
        ours, decoys = acknowledgements(self._network, self._options.acknowledgements, self._options.python_daemon)
        if not ours or not decoys:
            print(f"acknowledgements: {len(ours)} of messages and {len(decoys)} of decoys came in time  FAIL")
            return
        p = two_sample_p_value(ours, decoys)
        print(
            f"acknowledgements: {len(ours)} of messages, median {statistics.median(ours) * 1e6:.0f} µs; "
            f"{len(decoys)} of decoys, {statistics.median(decoys) * 1e6:.0f} µs; two-sample KS p {p:.4f}  "
            f"{_verdict([] if p > SIGNIFICANCE else ['acknowledgements'])}",
            flush=True,
        )

    def foot(self) -> None:
        """Print how good the observer was."""
        if self._lateness:
            ordered = sorted(self._lateness)
            middle, high = (ordered[int(share * len(ordered))] * 1e3 for share in (0.5, 0.99))
            print(f"the gateway's own timer was late by {middle:.2f} ms, in 1 % of the cases by {high:.2f} ms and more")


def _verdict(faults: Sequence[str]) -> str:
    return f"FAIL: {', '.join(faults)}" if faults else "PASS"


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = set(names) - set(SCENARIOS)
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: there are {', '.join(SCENARIOS)}")
    return names


def python_daemon(parser: argparse.ArgumentParser) -> None:
    """Add the option of that name."""
    parser.add_argument(
        "--python-daemon",
        type=Path,
        metavar="PATH",
        help="measure the daemon that this interpreter has installed, or the one of this source tree",
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app_load", description="applications and the clock")
    parser.add_argument("--sends", type=int, default=SENDS, help="of each scenario (default %(default)s)")
    parser.add_argument("--acknowledgements", type=int, default=ACKNOWLEDGEMENTS, help="of each kind")
    parser.add_argument("--only", type=_names, default=SCENARIOS, metavar="NAME,...", help=", ".join(SCENARIOS))
    python_daemon(parser)
    options = parser.parse_args()
    end_on_sigterm()
    with local_network(LAMBDA_P, LAMBDA_L) as network:
        table = Table(network, options)
        table.head()
        for name in SCENARIOS:
            if name in options.only and name != ACKNOWLEDGED:
                table.row(name)
        if ACKNOWLEDGED in options.only:
            table.acknowledgements()
        table.foot()


if __name__ == "__main__":
    main()
