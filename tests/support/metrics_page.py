"""Writes docs/metrics.md from the table of metrics."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from kpclientd.status_page.metrics_table import LEFT_OUT, OWN_METRICS, REFERENCE_METRICS, Metric

PATH: Final = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
COMMAND: Final = "make docs"

_INTRODUCTION: Final = f"""# Metrics

`{COMMAND}` writes this file from `kpclientd/status_page/metrics_table.py`.

Metrics are served in Prometheus' text form where the configuration says so, and not at all otherwise:

* `MetricsAddress`, the reference's key, is an address at which there is `/metrics` and nothing else. The daemon does
  not start if it cannot be bound. Whoever reaches it can read it, so it should be a loopback address.
* `[Status] Address` is the address of the [status page](status-page.md), where there is `/metrics`, too; with a token,
  if `TokenFile` is set.

Figures are made when they are scraped, and at most once a second. Counters begin at 0 with the daemon. No label names
an application, a recipient, a box, a courier or a gateway.

Metrics still tell when this daemon's applications were busy, and whoever stores them keeps a diary of that: let only
those scrape it who may know, seldom rather than often, and keep it for days rather than years.
[The status page](status-page.md) has examples for Prometheus and for alerts.
"""

_OWN: Final = """
## Ours
"""

_REFERENCE: Final = """
## The reference's

The names are those that the reference has in builds with `kpclientd_metrics`; here they are in every build. As there,
created SURBs are delivered, rotated, garbage collected, failed, cancelled or still out; the last three are ours.
"""

_LEFT_OUT: Final = """
These of the reference's are left out, as they mean nothing here:
"""

_PROCESS: Final = """
## The process

`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_open_fds`,
`process_max_fds` and `process_start_time_seconds` are what Prometheus' own libraries tell of every process on Linux.
"""


def page() -> str:
    """Return docs/metrics.md."""
    left_out = "\n".join(
        ["| name | why |", "| --- | --- |", *(f"| `{name}` | {why} |" for name, why in LEFT_OUT.items())]
    )
    return "\n".join(
        (
            *(_INTRODUCTION + _REFERENCE, _table(REFERENCE_METRICS)),
            *(_LEFT_OUT, left_out),
            *(_OWN, _table(OWN_METRICS), _PROCESS),
        )
    )


def _table(metrics: Iterable[Metric]) -> str:
    return "\n".join(["| name | type | meaning |", "| --- | --- | --- |", *_rows(metrics)])


def _rows(metrics: Iterable[Metric]) -> Iterator[str]:
    for metric in metrics:
        labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
        yield f"| `{metric.name}{labels}` | {metric.type.value} | {metric.meaning} |"


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"docs/{PATH.name}\n")
