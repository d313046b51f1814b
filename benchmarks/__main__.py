"""Prints one table: what each piece of work costs, beside the floor under it.

The floor is what the work's own primitives (scalar multiplications, ciphers, signature checks) cost by themselves in
the same run, on the same machine: compare the two, not either with another machine's. Then a second table: what a
daemon costs at rest, and how soon it answers, beside the bounds for that.
"""

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
from sphinx.native import engine_name

NANOSECONDS = 1e9


def nanoseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * NANOSECONDS:,.0f}"


def main() -> None:
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
    print()
    daemon_at_rest.report()


if __name__ == "__main__":
    main()
