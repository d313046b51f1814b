"""What a daemon costs that has everything configured and nothing to do, and how soon it answers: each beside its bound.

`python -m benchmarks.daemon_at_rest` runs a local network and one daemon, as processes of their own, at the reference's
usual rates: 1.5 packets a second, of which one is a message's slot. The daemon listens by TCP, Unix socket and
WebSocket, keeps documents, state and a log on disk, and follows its gateway's clock. Then come two daemons at 25
packets a second, of which twenty are slots: one with that configuration and one with the network's own.

resident       of the process, at rest; what is not in files (anonymous); and its share of all (PSS), where pages that
               several processes map are divided among them.
CPU at rest    in windows of ten seconds. A wakeup finds cold caches, and costs more than what is done in it: three
               times as much on a virtual machine that does nothing else as on one whose processors are kept awake.
CPU an echo    `beside cover`: what the daemon uses while echoes travel, less what it uses at rest meanwhile, for each.
               `with its decoys`: the whole of it for each, with all packets that leave and come while it travels.
               That is bounded at 25 packets a second, where each slot has an echo. At 1.5 it is the cover of a second.
connect        until the reply to the session's token has come, after status and document, by a client in Python.
request        `get_pki_document` of an epoch that nobody has, until its answer is decoded.
page           what the status page and metrics add where they are on: at rest, and while somebody looks at the page,
               which asks each second, and a scraper asks every ten. All else is measured with both off.

What the reference's daemon needs stands beside it where it was measured in the same way, on another, busier machine.
A busy machine spoils times and CPU; its load is told at the beginning and at the end.
"""

import argparse
import http.client
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.app_thin import ID_LENGTH, App
from benchmarks.daemon_process import command, cpu_seconds, local_network, wait_for_greeting
from kpclientd.addresses import LOOPBACK
from kpclientd.localnet.files import CLIENT_UNIX_FILE, DAEMON_SOCKET, free_port

RATES: Final = (0.001, 0.0005)
"""LambdaP and LambdaL, events a millisecond, as in the networks of the reference."""

BUSY_RATES: Final = (0.02, 0.005)
BUSY_ECHOES: Final = 600
BUSY_WINDOWS: Final = 3

WATCHED_WINDOWS: Final = 3
LOOK_SECONDS: Final = 60
SCRAPE_SECONDS: Final = 10

EPOCH: Final = "1h"
"""None changes meanwhile."""

SETTLE_SECONDS: Final = 15.0
"""From the first greeting until the daemon is at rest: threads that verified documents have ended by then."""

WINDOW_SECONDS: Final = 10.0
WINDOWS: Final = 6
ECHOES: Final = 30
ECHO_SECONDS: Final = 60.0
CONNECTS: Final = 200
REQUESTS: Final = 500
QUEUED: Final = 1000
PAYLOAD: Final = b"echo"
MEGABYTE: Final = 1e6
KIBIBYTE: Final = 1024
MILLISECONDS: Final = 1e3
PERCENT: Final = 100.0


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, several times.

    Attributes:
        name: with its unit.
        values: in that unit.
        bound: what the median may be at most, where there is a bound.
        reference: the same of the reference's daemon.
    """

    name: str
    values: Sequence[float]
    bound: float | None = None
    reference: float | None = None

    def row(self) -> str:
        """A line of the table."""
        values = sorted(self.values)
        high = values[int(0.99 * len(values))]
        numbers = [*(f"{value:>8.3f}" for value in (values[0], statistics.median(values), high, values[-1]))]
        for number in (self.bound, self.reference):
            numbers.append(f"{number:>8g}" if number is not None else f"{'-':>8}")
        verdict = "" if self.bound is None else "pass" if statistics.median(values) <= self.bound else "FAIL"
        return f"{self.name:<50} {' '.join(numbers)}  {verdict}".rstrip()


HEADER: Final = f"{'':<50} {'min':>8} {'median':>8} {'p99':>8} {'max':>8} {'at most':>8} {'Go':>8}"


@dataclass(frozen=True, slots=True)
class Resting:
    """A daemon that runs, and where applications, browsers and scrapers find it."""

    pid: int
    unix: str
    tcp: str
    page: str = ""
    metrics: str = ""


@contextmanager
def resting_daemon(rates: tuple[float, float], *, everything: bool = True, watched: bool = False) -> Iterator[Resting]:
    """A daemon on a network of its own, at rest; with everything configured, or what the network's file has.

    With `watched` it has a status page and metrics as well.
    """
    lambda_p, lambda_l = map(str, rates)
    with local_network(("--lambda-p", lambda_p, "--lambda-l", lambda_l), EPOCH) as directory:
        unix, tcp, websocket = str(directory / DAEMON_SOCKET), free_address(), free_address()
        config = directory / CLIENT_UNIX_FILE
        if everything:
            text = with_everything(config.read_text(), directory, tcp, websocket)
            config = directory / "everything.toml"
            config.write_text(text)
        page, metrics = (free_address(), free_address()) if watched else ("", "")
        if watched:
            text = config.read_text().replace('MetricsAddress = ""', f'MetricsAddress = "{metrics}"')
            config = directory / "watched.toml"
            config.write_text(f'{text}\n[Status]\n  Address = "{page}"\n')
        with command("--config", str(config), epoch=EPOCH) as daemon:
            wait_for_greeting(Path(unix))
            time.sleep(SETTLE_SECONDS)
            yield Resting(daemon.pid, unix, tcp, page, metrics)


def with_everything(text: str, directory: Path, tcp: str, websocket: str) -> str:
    """A configuration with all that a daemon can have besides what is in `text`, a local network's."""
    replaced = {
        "[Listen]": f'DataDir = "{directory}/data"\n\n[Listen]\n  [Listen.Tcp]\n    Address = "{tcp}"\n'
        f'  [Listen.Ws]\n    Address = "ws://{websocket}"',
        '  File = ""': f'  File = "{directory}/kpclientd.log"',
        "EnableTimeSync = false": "EnableTimeSync = true",
    }
    for old, new in replaced.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return f'{text}\n[ARQ]\n  StateFile = "{directory}/state"\n'


def free_address() -> str:
    return f"{LOOPBACK}:{free_port()}"


def memory(pid: int) -> list[Figure]:
    """What the process holds now."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, _ = line.split()
        sizes[name] = int(size) * KIBIBYTE / MEGABYTE
    return [
        Figure("resident MB", [sizes["Rss:"]], 45, 20.7),
        Figure("  of it anonymous MB", [sizes["Anonymous:"]]),
        Figure("  proportional (PSS) MB", [sizes["Pss:"]]),
    ]


def cpu_share(pid: int, windows: int, seconds: float = WINDOW_SECONDS) -> list[float]:
    """Processor seconds a second, in each of so many windows."""
    shares = []
    for _ in range(windows):
        began, used = time.monotonic(), cpu_seconds(pid)
        time.sleep(seconds)
        shares.append((cpu_seconds(pid) - used) / (time.monotonic() - began))
    return shares


def echo_costs(daemon: Resting, at_rest: float, number: int = ECHOES) -> list[Figure]:
    """What echoes cost that are sent one after the other, and all at once."""
    figures = []
    for how, ahead, reference in (("one by one", 1, 17.0), ("all at once", number, 9.0)):
        whole, beside = echo_cost(daemon, at_rest, number, ahead)
        figures += [
            Figure(f"CPU an echo, {how}: beside cover, ms", [beside], 3),
            Figure(f"CPU an echo, {how}: with its decoys, ms", [whole], None, reference),
        ]
    return figures


def echo_cost(daemon: Resting, at_rest: float, number: int, ahead: int) -> tuple[float, float]:
    """Milliseconds that each of so many echoes costs, with its cover and beside what the daemon needs at rest."""
    with closing(App(daemon.unix, os.urandom(ID_LENGTH))) as app:
        began, used = time.monotonic(), cpu_seconds(daemon.pid)
        lost = exchange(app, number, ahead)
        whole = (cpu_seconds(daemon.pid) - used) / number
        beside = whole - at_rest * (time.monotonic() - began) / number
    if lost:
        print(f"{lost} of {number} echoes were not answered within {ECHO_SECONDS:.0f} s", flush=True)
    return whole * MILLISECONDS, beside * MILLISECONDS


def busy_costs() -> list[Figure]:
    """What echoes cost where each slot has one, of a daemon as its network configures it and of one with everything."""
    figures = []
    for configured, name in ((False, "the network's configuration"), (True, "everything")):
        with resting_daemon(BUSY_RATES, everything=configured) as daemon:
            at_rest = statistics.median(cpu_share(daemon.pid, BUSY_WINDOWS))
            whole, beside = echo_cost(daemon, at_rest, BUSY_ECHOES, BUSY_ECHOES)
        figures += [
            Figure(f"25 a second, {name}: CPU at rest, %", [PERCENT * at_rest]),
            Figure("  CPU an echo beside cover, ms", [beside], 3),
            Figure("  CPU an echo with its decoys, ms", [whole], 3, 6.6),
        ]
    return figures


def watched_costs() -> list[Figure]:
    """What page and metrics add, to a daemon that its network configures."""
    with resting_daemon(RATES, everything=False) as daemon:
        resident, at_rest = memory(daemon.pid)[0].values[0], statistics.median(cpu_share(daemon.pid, WATCHED_WINDOWS))
    with resting_daemon(RATES, everything=False, watched=True) as daemon:
        unwatched = statistics.median(cpu_share(daemon.pid, WATCHED_WINDOWS))
        began, used, times = time.monotonic(), cpu_seconds(daemon.pid), list[float]()
        for second in range(LOOK_SECONDS):
            times.append(ask_milliseconds(daemon.page, "/status.json"))
            if second % SCRAPE_SECONDS == 0:
                ask_milliseconds(daemon.metrics, "/metrics")
            time.sleep(max(0.0, began + second + 1 - time.monotonic()))
        looked_at = (cpu_seconds(daemon.pid) - used) / (time.monotonic() - began)
        grown = memory(daemon.pid)[0].values[0]
    return [
        Figure("page: resident MB more, after being looked at", [grown - resident], 12),
        Figure("  CPU at rest, % of a core: off", [PERCENT * at_rest]),
        Figure("  on", [PERCENT * unwatched]),
        Figure("  on, and looked at", [PERCENT * looked_at]),
        Figure("  status.json, until it has come, ms", times),
    ]


def ask_milliseconds(address: str, path: str) -> float:
    """From connecting until all of an answer has come."""
    begin = time.perf_counter()
    connection = http.client.HTTPConnection(address, timeout=ECHO_SECONDS)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == http.HTTPStatus.OK and answer.read()
    return (time.perf_counter() - begin) * MILLISECONDS


def exchange(app: App, number: int, ahead: int) -> int:
    """Send echoes, so many before their answers are waited for; return how many were not answered."""
    service, waiting = app.echo, set[bytes]()
    lost = 0
    for sent in range(1, number + 1):
        surb_id = os.urandom(ID_LENGTH)
        waiting.add(surb_id)
        app.send_message(service, PAYLOAD, surb_id)
        while waiting and (len(waiting) >= ahead or sent == number):
            message = app.receive(ECHO_SECONDS)
            if message is None:
                lost += len(waiting)
                waiting.clear()
                break
            waiting.discard((message.get("message_reply_event") or {}).get("surbid") or b"")
    return lost


def connect_milliseconds(address: str) -> list[float]:
    """From connecting to the reply to the session's token."""
    times = []
    for _ in range(CONNECTS):
        token = os.urandom(ID_LENGTH)
        begin = time.perf_counter()
        app = App(address, token)
        times.append((time.perf_counter() - begin) * MILLISECONDS)
        app.send({"thin_close": {}})
        app.close()
    return times


def request_milliseconds(app: App) -> list[float]:
    """What a small request takes, until its answer is decoded."""
    return [app.round_trip() * MILLISECONDS for _ in range(REQUESTS)]


def answer_times(daemon: Resting) -> list[Figure]:
    """How soon the daemon answers what needs no network."""
    figures = [
        Figure("connect to session token, Unix, ms", connect_milliseconds(daemon.unix), 1, 0.29),
        Figure("connect to session token, TCP, ms", connect_milliseconds(daemon.tcp), 1),
    ]
    with ExitStack() as stack:
        app, other = (stack.enter_context(closing(App(daemon.unix, os.urandom(ID_LENGTH)))) for _ in range(2))
        figures.append(Figure("request, ms", request_milliseconds(app), 0.3, 0.1))
        service = app.echo
        for _ in range(QUEUED):
            app.send_message(service, PAYLOAD, os.urandom(ID_LENGTH))
        app.round_trip()  # by its answer all of them are queued
        figures += [
            Figure(f"request, {QUEUED} messages of its app queued, ms", request_milliseconds(app), 0.3),
            Figure(f"request, {QUEUED} messages of another queued, ms", request_milliseconds(other), 0.3),
        ]
        app.send({"thin_close": {}})
    return figures


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def report(windows: int = WINDOWS) -> None:
    """Measure one daemon and print the table."""
    packets = sum(RATES) * MILLISECONDS
    print(f"a daemon with everything configured, at {packets:g} packets a second; {load()}\n{HEADER}", flush=True)
    with resting_daemon(RATES) as daemon:
        shares = cpu_share(daemon.pid, windows)
        figures = [Figure("CPU at rest, % of a core", [PERCENT * share for share in shares], 0.5, 0.9)]
        steps: list[Callable[[], list[Figure]]] = [
            lambda: memory(daemon.pid),
            lambda: answer_times(daemon),
            lambda: echo_costs(daemon, statistics.median(shares)),
        ]
        for step in steps:
            for figure in figures:
                print(figure.row(), flush=True)
            figures = step()
        for figure in figures:
            print(figure.row(), flush=True)
    for figure in [*busy_costs(), *watched_costs()]:
        print(figure.row(), flush=True)
    print(load())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.daemon_at_rest", description="what a daemon costs")
    parser.add_argument("--windows", type=int, default=WINDOWS, help=f"of {WINDOW_SECONDS:.0f} s each, for the CPU")
    report(parser.parse_args().windows)


if __name__ == "__main__":
    main()
