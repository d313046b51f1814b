"""The forms in which the daemon's state is served: JSON for the page, text for Prometheus."""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from arq import Distribution
from kpclientd.status import DaemonStatus, as_map
from kpclientd.status_page.metrics_table import METRICS, Labelled, MetricType
from kpclientd.status_page.metrics_table import Metric as Declared

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""What every Prometheus understands."""

_INFINITE: Final = "+Inf"


class _StatusCollector(Collector):
    """Reads all metrics of one state."""

    def __init__(self, status: DaemonStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        for declared in METRICS:
            value = declared.read(self._status)
            if value is not None:
                yield _family(declared, value if isinstance(value, Mapping) else {(): value})


def status_json(status: DaemonStatus) -> bytes:
    """All that `DaemonStatus` says, by the names of its attributes.

    Where a packet was a message's or a decoy's is told by sums since the start alone: what is told by time, in
    `traffic.departures`, knows no difference.
    """
    return msgspec.json.encode(as_map(status))


def metrics_text(status: DaemonStatus) -> bytes:
    """All metrics, and those of the process, of `CONTENT_TYPE`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatusCollector(status))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _family(declared: Declared, values: Labelled) -> Metric:
    name, meaning, labels = declared.name, declared.meaning, declared.labels
    if declared.type is MetricType.HISTOGRAM:
        histogram = HistogramMetricFamily(name, meaning, labels=labels)
        for of, distribution in values.items():
            assert isinstance(distribution, Distribution)
            histogram.add_metric(of, buckets=_buckets(distribution), sum_value=distribution.total)
        return histogram
    kind = CounterMetricFamily if declared.type is MetricType.COUNTER else GaugeMetricFamily
    family = kind(name, meaning, labels=labels)
    for of, value in values.items():
        assert not isinstance(value, Distribution)
        family.add_metric(of, value)
    return family


def _buckets(distribution: Distribution) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in distribution.bounds), _INFINITE]
    return list(zip(bounds, accumulate(distribution.counts), strict=True))
