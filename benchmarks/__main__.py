"""Prints one table: what each piece of work costs, beside the floor under it.

The floor is what the work's own primitives (scalar multiplications, ciphers, signature checks) cost by themselves in
the same run, on the same machine: compare the two, not either with another machine's.
"""

from benchmarks import daemon_process, loopix_packet, pki_document, sphinx_core, sphinx_schemes, wire_session
from sphinx.native import engine_name

MICROSECONDS = 1e6
MILLISECONDS = 1e3


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 1e-3:
        return f"{seconds * MICROSECONDS:.1f} µs"
    return f"{seconds * MILLISECONDS:.2f} ms"


def main() -> None:
    print(f"packet engine: {engine_name()}\n")
    print(f"{'work':<58} {'median':>12} {'floor':>12} {'ratio':>7}")
    for module in (sphinx_core, sphinx_schemes, loopix_packet, wire_session, pki_document, daemon_process):
        for name, median, floor in module.rows():
            ratio = f"{median / floor:.2f}" if floor else "-"
            print(f"{name:<58} {duration(median):>12} {duration(floor):>12} {ratio:>7}", flush=True)
    print(f"\nresident memory of a daemon at rest: {daemon_process.resident_megabytes():.1f} MB")


if __name__ == "__main__":
    main()
