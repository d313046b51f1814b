"""The reference's own benchmarks of its packets, beside ours: where `go` and a checkout of its sources are at hand."""

import re
import statistics
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.timing import NANOSECONDS

_RUNS: Final = 3
_PACKETS_A_RUN: Final = 300
_NAMES: Final = {"SphinxCreatePackets": "packet", "SphinxUnwrap": "unwrap at one hop"}
_RESULT: Final = re.compile(r"^Benchmark(\w+)/X25519_NIKE\S*\s+\d+\s+([0-9.]+) ns/op", re.MULTILINE)


def go_seconds(checkout: Path) -> dict[str, float]:
    """The median seconds of the reference's packet and unwrapping: X25519, 5 hops, 2000 bytes.

    Args:
        checkout: of its sources.

    Raises:
        RuntimeError: they cannot be compiled, or print nothing that is known.
    """
    command = (
        "go", "test", "-run", "^$", "-bench", f"({'|'.join(_NAMES)})/X25519_NIKE$", "-benchtime", f"{_PACKETS_A_RUN}x",
        "-count", str(_RUNS), "./core/sphinx",
    )  # fmt: skip
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    times: dict[str, list[float]] = {}
    for name, nanoseconds in _RESULT.findall(done.stdout):
        times.setdefault(_NAMES[name], []).append(float(nanoseconds) / NANOSECONDS)
    if done.returncode or times.keys() != set(_NAMES.values()):
        raise RuntimeError(f"the reference's benchmarks in {checkout} say nothing: {done.stdout[-500:]}{done.stderr}")
    return {name: statistics.median(values) for name, values in times.items()}
