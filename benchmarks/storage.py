"""What a query for a box costs an application, and what its making costs others: `python -m benchmarks.storage`.

A local network with replicas, a daemon, and applications, each process by itself; first at 25 packets a second, then at
the reference's usual rates of 1.5. Needs the packages of the extra `pigeonhole`, and ten minutes.

first            `encrypt_write` of a daemon that has nothing ready: a key and two agreements.
with stock       the next ones, once the daemon has made its stock of ready exchanges.
sustained        many, one after the other, without a pause: seconds for each.
sends meanwhile  whether the gaps between the daemon's packets are still exponential (Kolmogorov and Smirnov), while
                 eight applications have queries made without a pause; at 25 packets a second.
other's request  what another application waits for something small meanwhile; at the usual rates.

A busy machine spoils all of it; its load is told at the beginning and at the end.
"""

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from benchmarks.app_load import settled_daemon
from benchmarks.app_network import NetworkProcess, local_network
from benchmarks.app_processes import end_on_sigterm
from benchmarks.app_thin import ID_LENGTH, App
from tests.support.significance import exponential_p_value

RATES: Final = (0.001, 0.0005)
"""LambdaP and LambdaL, events a millisecond, as in the networks of the reference."""

BUSY_RATES: Final = (0.02, 0.005)
REPLICAS: Final = 5
STOCK: Final = 8
FILL_SECONDS: Final = 60.0
SUSTAINED: Final = 30
MAKERS: Final = 8
MEANWHILE_SECONDS: Final = 60.0
ALONE_SECONDS: Final = 20.0
ASK_SECONDS: Final = 0.01
MILLISECONDS: Final = 1e3
SIGNIFICANCE: Final = 0.01

STOCK_BOUND: Final = 10.0
REQUEST_BOUND: Final = 1.0


class Writer:
    """An application with a stream."""

    def __init__(self, address: str) -> None:
        self.app = App(address, os.urandom(ID_LENGTH))
        made = self.app.ask("new_keypair", seed=os.urandom(32))
        self._fields: dict[str, Any] = {
            "plaintext": b"text",
            "write_cap": made["write_cap"],
            "message_box_index": made["first_message_index"],
        }

    def write(self) -> float:
        """Have a query made; seconds that it took."""
        begin = time.perf_counter()
        answer = self.app.ask("encrypt_write", **self._fields)
        assert answer["error_code"] == 0, answer["error_code"]
        return time.perf_counter() - begin


def line(name: str, values: Sequence[float], unit: str, bound: float | None = None, share: float = 0.5) -> None:
    """Print a figure: least, median, 99th percentile, most; the verdict is about the quantile `share`."""
    ordered = sorted(values)
    least, median, high = ordered[0], statistics.median(ordered), ordered[int(0.99 * (len(ordered) - 1))]
    judged = median if share == 0.5 else high
    verdict = "" if bound is None else f"  at most {bound:g}: {'pass' if judged <= bound else 'FAIL'}"
    numbers = f"{least:9.2f} {median:9.2f} {high:9.2f} {ordered[-1]:9.2f}"
    print(f"{name:<42} {numbers} {unit:<3} of {len(ordered)}{verdict}", flush=True)


@contextmanager
def making(address: str, makers: int) -> Iterator[list[float]]:
    """So many applications have queries made without a pause; how long each took."""
    took: list[float] = []
    stop = threading.Event()
    writers = [Writer(address) for _ in range(makers)]

    def go_on(writer: Writer) -> None:
        while not stop.is_set():
            took.append(writer.write())

    threads = [threading.Thread(target=go_on, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield took
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def requests_for(app: App, seconds: float) -> list[float]:
    """What something small takes, again and again for so long."""
    took, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        took.append(app.round_trip())
        time.sleep(ASK_SECONDS)
    return took


def queries(address: str) -> None:
    """What queries cost, with and without stock."""
    writer = Writer(address)
    line("encrypt_write, first", [writer.write()], "s")
    time.sleep(FILL_SECONDS)
    line("encrypt_write, with stock", in_milliseconds(writer.write, STOCK), "ms", STOCK_BOUND)
    line("encrypt_write, sustained", [writer.write() for _ in range(SUSTAINED)], "s")


def sends_meanwhile(network: NetworkProcess) -> None:
    """What an observer of the link sees of it."""
    with making(network.tcp.address, MAKERS) as took:
        network.record()
        time.sleep(MEANWHILE_SECONDS)
        seen = network.observations()
    line(f"encrypt_write, {MAKERS} at once", took, "s")
    line("the observer's own timer, late by", [MILLISECONDS * one for one in seen.lateness], "ms")
    gaps = [after - before for before, after in zip(seen.arrivals, seen.arrivals[1:], strict=False)]
    p = exponential_p_value(gaps, 1 / (1000 * sum(BUSY_RATES)))
    verdict = "pass" if p > SIGNIFICANCE else "FAIL"
    print(f"{'sends meanwhile':<42} {len(gaps)} gaps, {len(gaps) / sum(gaps):.2f} a second, KS p {p:.4f}: {verdict}")


def requests_meanwhile(network: NetworkProcess, app: App) -> None:
    """What another application notices of it."""
    line("other's request, nothing made", [MILLISECONDS * one for one in requests_for(app, ALONE_SECONDS)], "ms")
    with making(network.tcp.address, MAKERS):
        requests = requests_for(app, MEANWHILE_SECONDS)
    line(f"other's request, {MAKERS} made", [MILLISECONDS * one for one in requests], "ms", REQUEST_BOUND, 0.99)


def in_milliseconds(work: Callable[[], float], times: int) -> list[float]:
    return [MILLISECONDS * work() for _ in range(times)]


def main() -> None:
    end_on_sigterm()
    print(f"load {os.getloadavg()[0]:.1f}; {'':<34} {'least':>9} {'median':>9} {'p99':>9} {'most':>9}", flush=True)
    with local_network(*BUSY_RATES, REPLICAS) as network, settled_daemon(network, None):
        queries(network.tcp.address)
        sends_meanwhile(network)
    with local_network(*RATES, REPLICAS) as network, settled_daemon(network, None) as (_, app):
        requests_meanwhile(network, app)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
