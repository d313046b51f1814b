"""Runs the engines' differential cases by the million: `python -m tests.support.soak [--cases N] [--seed S]`.

What fails here is made again by its number alone: `python -m tests.support.soak --seed S --first NUMBER --cases 1`.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

from sphinx.native import engine_names
from tests.sphinx.differential import Disagreement, check

MILLION = 1_000_000
AT_ONCE = 200
REPORT_SECONDS = 30.0
MOST_REPORTED = 20
REFERENCE = "python"
REFERENCE_EVERY = 5
"""The reference takes more time than all others together: it joins one case in this many."""


def run(batch: tuple[int, range]) -> tuple[int, list[str]]:
    """Run a batch of cases; returns how many, and what went wrong."""
    seed, numbers = batch
    faults = []
    compiled = [name for name in engine_names() if name != REFERENCE]
    for number in numbers:
        try:
            check(seed, number, compiled if compiled and number % REFERENCE_EVERY else None)
        except Disagreement as error:
            faults.append(str(error))
        except Exception as error:
            faults.append(f"case {number} of seed {seed}: {type(error).__name__}: {error}")
    return len(numbers), faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.soak", description="engines against each other")
    parser.add_argument("--cases", type=int, default=MILLION)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    end = options.first + options.cases
    batches = [(options.seed, range(start, min(end, start + AT_ONCE))) for start in range(options.first, end, AT_ONCE)]
    began = reported = time.monotonic()
    outcome: Counter[str] = Counter()
    print(f"engines {', '.join(engine_names())}; {options.cases} cases of seed {options.seed}", flush=True)
    with multiprocessing.Pool(options.processes) as pool:
        for count, faults in pool.imap_unordered(run, batches):
            outcome["cases"] += count
            outcome["faults"] += len(faults)
            for fault in faults:
                print(fault, file=sys.stderr, flush=True)
            if outcome["faults"] >= MOST_REPORTED:
                print("that is enough", file=sys.stderr)
                break
            now = time.monotonic()
            if now - reported >= REPORT_SECONDS:
                reported = now
                print(f"{outcome['cases']} cases, {outcome['faults']} faults, {now - began:.0f} s", flush=True)
    print(f"{outcome['cases']} cases, {outcome['faults']} faults, {time.monotonic() - began:.0f} s")
    return 1 if outcome["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
