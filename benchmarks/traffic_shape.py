"""The whole proof that cover tells nothing, on a virtual clock: `python -m benchmarks.traffic_shape`, or `make proof`.

The tests do the same with fewer sends (`tests.daemon.test_traffic_shape`, where it is also tried what is noticed). Here
each of the ten patterns of load has a hundred thousand, in as many runs as there are seeds. The table tells of each

rate, error    sends a second, and how far that is from the document's rates; within 1 % passes
KS p           that the gaps are exponential with just that rate
Ljung-Box p    that the gaps' autocorrelations at the first twenty lags are nil
acks           replies of applications' messages and of decoys that were acknowledged, and that both took as long
               (two-sample test)
first p        where links end: that the first packet of each has the same law

of each two patterns whether a two-sample test of their gaps finds anything, by Bonferroni's level, and whether
classifiers that were trained on half of the runs tell busy from idle on the other half, from windows of some sends and
of many. The level of all tests is 1 %: of their thirty, a faultless daemon fails one in one run of four. The seeds can
be chosen; the same ones give the same figures.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

from tests.support.busy_or_idle import WINDOW, Verdict, tell_apart
from tests.support.loads import BUSY, IDLE, PATTERNS
from tests.support.traffic_shape import Job, Judged, Seen, observe_all, pairs, together

SENDS: Final = 100_000
RUNS: Final = 4
SIGNIFICANCE: Final = 0.01
RATE_TOLERANCE: Final = 0.01
LONG_WINDOW: Final = 400


def verdict(faults: Sequence[str]) -> str:
    return f"FAIL: {', '.join(faults)}" if faults else "PASS"


def row(seen: Seen) -> list[str]:
    """Print what the sends of a pattern come to, and return what is wrong with it."""
    judged = Judged.of(seen)
    real, others = seen.delays
    faults = [
        fault
        for fault, right in (
            ("rate", abs(judged.error) <= RATE_TOLERANCE),
            ("law", judged.law > SIGNIFICANCE),
            ("independence", judged.independence > SIGNIFICANCE),
            ("acknowledgements", judged.acknowledgements is None or judged.acknowledgements > SIGNIFICANCE),
            ("first packets", judged.first_waits is None or judged.first_waits > SIGNIFICANCE),
            ("lengths", len(seen.lengths) == 1),
        )
        if not right
    ]
    print(
        f"{seen.pattern:<16} {judged.gaps:7} {judged.rate:7.4f} {100 * judged.error:+7.2f} {_p(judged.law)} "
        f"{_p(judged.independence):>11} {len(real):6} {len(others):6} {_p(judged.acknowledgements)} "
        f"{_p(judged.first_waits)} {100 * seen.messages / judged.gaps:6.1f} {min(seen.lengths):6}  {verdict(faults)}",
        flush=True,
    )
    return faults


def _p(value: float | None) -> str:
    return f"{'-':>7}" if value is None else f"{value:7.4f}"


def classified(runs: dict[str, list[Seen]], size: int) -> dict[str, Verdict]:
    """Train on the first half of the runs of all patterns that differ by what applications do; ask about the others."""
    half = len(runs[IDLE]) // 2
    training, asked = (
        (runs[IDLE][part], [seen for name in BUSY for seen in runs[name][part]])
        for part in (slice(half), slice(half, None))
    )
    return tell_apart(training, asked, size)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic_shape", description="the traffic's shape")
    parser.add_argument("--sends", type=int, default=SENDS, help="of each pattern (default %(default)s)")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each pattern, two at least (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first run of each (default %(default)s)")
    options = parser.parse_args()
    began = time.monotonic()
    seeds = range(options.seed, options.seed + max(2, options.runs))
    sends = options.sends // len(seeds)
    seen = observe_all(Job(name, seed, sends) for name in PATTERNS for seed in seeds)
    print(
        f"{'':<16} {'gaps':>7} {'rate/s':>7} {'error %':>7} {'KS p':>7} {'Ljung-Box p':>11} {'acks':>6} {'decoys':>6} "
        f"{'KS p':>7} {'first p':>7} {'real %':>6} {'bytes':>6}"
    )
    runs: dict[str, list[Seen]] = {}
    faults: list[str] = []
    for name in PATTERNS:
        runs[name] = [next(seen) for _ in seeds]
        faults += row(together(runs[name]))
    found = pairs([together(of_one) for of_one in runs.values()])
    least = min(found, key=found.__getitem__)
    level = SIGNIFICANCE / len(found)
    apart = [f"{first} and {second}" for (first, second), p in found.items() if p <= level]
    print(
        f"{len(found)} pairs: least two-sample KS p {found[least]:.4f} ({least[0]}, {least[1]}); Bonferroni's level is "
        f"{level:.6f}  {verdict(apart)}"
    )
    for size in (WINDOW, LONG_WINDOW):
        for name, of_classifier in classified(runs, size).items():
            low, high = of_classifier.interval(SIGNIFICANCE)
            told = [] if low < of_classifier.auc < high else ["busy is told from idle"]
            print(
                f"{name}: AUC {of_classifier.auc:.4f} of {of_classifier.windows} windows of {size} sends in held-out "
                f"runs; by chance {low:.4f} to {high:.4f}  {verdict(told)}"
            )
            faults += told
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(bool(faults or apart))


if __name__ == "__main__":
    main()
