"""Prints one table: what each piece of work costs, beside the floor under it.

The floor is what the work's own primitives (scalar multiplications, ciphers, signature checks) cost by themselves in
the same run, on the same machine: compare the two, not either with another machine's. Then a second table: what a
daemon costs at rest, and how soon it answers, beside the bounds for that.
"""

import argparse
from pathlib import Path

from benchmarks import (
    daemon_at_rest,
    daemon_process,
    loopix_packet,
    pki_document,
    pki_signatures,
    sphinx_core,
    sphinx_schemes,
    wire_session,
)
from benchmarks.reference import go_seconds
from benchmarks.timing import NANOSECONDS
from sphinx.native import engine_name, engine_names


def nanoseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * NANOSECONDS:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="what each piece of work costs")
    parser.add_argument(
        "--go", type=Path, metavar="DIR", help="a checkout of the reference, to be measured beside ours"
    )
    checkout = parser.parse_args().go
    print(f"packet engine: {engine_name()}\n")
    print(f"{'work':<66} {'median ns':>14} {'floor ns':>14} {'ratio':>6}")
    modules = (
        sphinx_core,
        sphinx_schemes,
        loopix_packet,
        wire_session,
        pki_document,
        pki_signatures,
        daemon_process,
    )
    for module in modules:
        for name, median, floor in module.rows():
            ratio = f"{median / floor:.2f}" if floor else "-"
            print(f"{name:<66} {nanoseconds(median):>14} {nanoseconds(floor):>14} {ratio:>6}", flush=True)
        if checkout is not None and module is sphinx_core:
            compare_with_go(checkout)
    print()
    daemon_at_rest.report()


def compare_with_go(checkout: Path) -> None:
    """The reference's times, and how many times ours they are; ours are taken once more, in the same minute."""
    theirs = go_seconds(checkout)
    for engine in engine_names():
        ours = {name: median for name, median, _ in sphinx_core.rows_of(engine)}
        for work, seconds in theirs.items():
            ratio = f"{seconds / ours[f'{engine}: {work}']:.1f}"
            print(f"{f'Go: {work}, and how many times {engine}':<66} {nanoseconds(seconds):>14} {'':>14} {ratio:>6}")


if __name__ == "__main__":
    main()
