"""Whether a daemon's traffic tells busy from idle, in real time: `python -m benchmarks.traffic_in_real_time`.

A process each for the network, the daemon, and, here, an application, all joined by real sockets. Idle and busy runs
take turns, each with a daemon of its own; when busy, the application sends messages in bursts, every other slot's on
average, and asks something small twenty times a second meanwhile. Then the same tests are made as on the virtual clock
(`benchmarks.traffic_shape`), of what the gateway sees: times of packets, and times of acknowledgements.

What else the machine does is seen, too, and may differ from run to run: a machine that is busy with other things spoils
what is found out here, both ways. The gateway's own timer is measured meanwhile.
"""

import argparse
import random
import sys
import time
from typing import Final

from benchmarks.app_load import settled_daemon
from benchmarks.app_network import NetworkProcess, local_network
from benchmarks.app_processes import end_on_sigterm
from benchmarks.app_thin import ID_LENGTH, App
from benchmarks.traffic_shape import SIGNIFICANCE, verdict
from tests.support.busy_or_idle import tell_apart
from tests.support.traffic_shape import LAMBDA_L, LAMBDA_P, Acknowledged, Judged, Seen, pairs, together

MINUTES: Final = 10.0
PAIRS: Final = 4
ASK_SECONDS: Final = 0.05
MOST_AT_ONCE: Final = 20
IDLE, BUSY = "idle", "busy"


def observe(network: NetworkProcess, kind: str, seconds: float, draws: random.Random) -> tuple[Seen, list[float]]:
    """Watch a fresh daemon for so long; also the lateness of the observer's timer (seconds)."""
    asked: set[bytes] = set()
    with settled_daemon(network, None) as (_, app):
        network.record()
        end = time.perf_counter() + seconds
        if kind == IDLE:
            time.sleep(seconds)
        else:
            keep_busy(app, end, asked, draws)
        seen = network.observations()
    acknowledged = tuple(Acknowledged(one.time, one.seconds, one.surb_id in asked) for one in seen.acknowledgements)
    return (
        Seen(kind, (tuple(seen.arrivals),), (), acknowledged, frozenset(), (), len(asked)),
        seen.lateness,
    )


def keep_busy(app: App, end: float, asked: set[bytes], draws: random.Random) -> None:
    """Send and ask until `end`, and note the SURB ids of what was sent."""
    service, due = app.echo, time.perf_counter()
    while (now := time.perf_counter()) < end:
        if now >= due:
            burst = draws.randrange(1, MOST_AT_ONCE)
            due = now + draws.expovariate(LAMBDA_P * 1000 / MOST_AT_ONCE)
            for _ in range(burst):
                surb_id = draws.randbytes(ID_LENGTH)
                asked.add(surb_id)
                app.send_message(service, bytes(draws.randrange(1000)), surb_id)
        app.round_trip()
        while app.receive(max(0.0, now + ASK_SECONDS - time.perf_counter())) is not None:
            pass


def print_judged(seen: Seen) -> list[str]:
    """Print what the sends of a kind come to, and return what is wrong with it."""
    judged = Judged.of(seen)
    real, others = seen.delays
    faults = [
        fault
        for fault, right in (
            ("rate", abs(judged.standard_errors) < 3),
            ("law", judged.law > SIGNIFICANCE),
            ("independence", judged.independence > SIGNIFICANCE),
            ("acknowledgements", judged.acknowledgements is None or judged.acknowledgements > SIGNIFICANCE),
        )
        if not right
    ]
    beside = "" if judged.acknowledgements is None else f", both alike: KS p {judged.acknowledgements:.4f}"
    print(
        f"{seen.pattern}: {judged.gaps} gaps, {judged.rate:.3f} a second ({100 * judged.error:+.2f} %, "
        f"{judged.standard_errors:+.2f} s.e.), KS p {judged.law:.4f}, Ljung-Box p {judged.independence:.4f}; "
        f"{seen.messages} messages, acknowledgements of {len(real)} replies and {len(others)} decoys{beside}  "
        f"{verdict(faults)}",
        flush=True,
    )
    return faults


def watch(minutes: float) -> tuple[dict[str, list[Seen]], list[float]]:
    """Runs of each kind, so many minutes of either, and all of the observer's lateness."""
    draws = random.Random()
    runs: dict[str, list[Seen]] = {IDLE: [], BUSY: []}
    lateness: list[float] = []
    with local_network(LAMBDA_P, LAMBDA_L) as network:
        for number in range(PAIRS):
            for kind in (IDLE, BUSY) if number % 2 else (BUSY, IDLE):
                seen, late = observe(network, kind, 60 * minutes / PAIRS, draws)
                runs[kind].append(seen)
                lateness += late
    return runs, lateness


def verdicts(runs: dict[str, list[Seen]]) -> list[str]:
    """Print what the runs come to, and return what is wrong with them."""
    everything = [together(runs[kind]) for kind in (IDLE, BUSY)]
    faults = [fault for seen in everything for fault in print_judged(seen)]
    (p,) = pairs(everything).values()
    apart = [] if p > SIGNIFICANCE else ["the gaps differ"]
    delays = [sorted(one.seconds for one in seen.acknowledged) for seen in everything]
    medians = [1e3 * of_kind[len(of_kind) // 2] for of_kind in delays]
    print(
        f"two-sample KS p of the gaps {p:.4f}; median acknowledgement {medians[0]:.2f} and {medians[1]:.2f} ms  "
        f"{verdict(apart)}"
    )
    halves = [[runs[kind][part::2] for kind in (IDLE, BUSY)] for part in range(2)]
    for training, asked in ((0, 1), (1, 0)):
        found = tell_apart((halves[training][0], halves[training][1]), (halves[asked][0], halves[asked][1]))
        for name, of_classifier in found.items():
            low, high = of_classifier.interval(SIGNIFICANCE)
            told = [] if low < of_classifier.auc < high else ["busy is told from idle"]
            print(
                f"{name}: AUC {of_classifier.auc:.4f} of {of_classifier.windows} windows of held-out runs; by chance "
                f"{low:.4f} to {high:.4f}  {verdict(told)}"
            )
            faults += told
    return faults + apart


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic_in_real_time", description="busy or idle")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of each kind (default %(default)s)")
    options = parser.parse_args()
    end_on_sigterm()
    runs, lateness = watch(options.minutes)
    faults = verdicts(runs)
    ordered = sorted(lateness)
    middle, high = (ordered[int(share * len(ordered))] * 1e3 for share in (0.5, 0.99))
    print(f"the gateway's own timer was late by {middle:.2f} ms, in 1 % of the cases by {high:.2f} ms and more")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
