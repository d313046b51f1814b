"""Whether a classifier can tell a busy daemon from an idle one: trained on some runs, asked about others.

What it is shown of a run are windows of some sends each: how the gaps between them are distributed, how long replies
took to be acknowledged meanwhile, and when how much was written to the link, whatever it was.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tests.support.significance import stats
from tests.support.traffic_shape import Seen

WINDOW: Final = 40
"""Sends; some seven seconds."""

QUANTILES: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
MILLISECOND: Final = 1e-3
TREES: Final = 300


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well busy windows were told from idle ones.

    Attributes:
        auc: how often a busy window looked busier than an idle one; 0.5 is chance.
        standard_error: of that, for a classifier that knows nothing.
        windows: how many it was asked about.
    """

    auc: float
    standard_error: float
    windows: int

    @property
    def p_value(self) -> float:
        """How likely a classifier that knows nothing is at least so far from chance (Mann and Whitney's test)."""
        return float(2 * stats.norm.sf(abs(self.auc - 0.5) / self.standard_error))

    def interval(self, level: float) -> tuple[float, float]:
        """What `1 - level` of those that know nothing come to."""
        reach = float(stats.norm.isf(level / 2)) * self.standard_error
        return 0.5 - reach, 0.5 + reach


def tell_apart(
    training: tuple[Sequence[Seen], Sequence[Seen]], asked: tuple[Sequence[Seen], Sequence[Seen]], size: int = WINDOW
) -> dict[str, Verdict]:
    """Train on runs that are known to be (idle, busy), and ask about others: what each classifier came to."""
    known, labels = _labelled(training, size)
    unknown, truth = _labelled(asked, size)
    idle, busy = int(np.sum(truth == 0)), int(np.sum(truth == 1))
    error = math.sqrt((idle + busy + 1) / (12 * idle * busy))
    verdicts = {}
    for name, new in _classifiers().items():
        classifier = new()
        classifier.fit(known, labels)
        scores = classifier.predict_proba(unknown)[:, 1]
        auc = stats.mannwhitneyu(scores[truth == 1], scores[truth == 0]).statistic / (idle * busy)
        verdicts[name] = Verdict(float(auc), error, idle + busy)
    return verdicts


def windows(seen: Seen, size: int = WINDOW) -> list[list[float]]:
    """A run as windows of so many sends: a row of features each."""
    delays = np.array([(one.time, one.seconds) for one in seen.acknowledged]).reshape(-1, 2)
    writes = np.array([(one.time, one.length) for one in seen.writes]).reshape(-1, 2)
    rows = []
    for stretch in seen.stretches:
        for begin in range(0, len(stretch) - size, size):
            times = np.array(stretch[begin : begin + size + 1])
            rows.append(
                [
                    *_of_gaps(np.diff(times)),
                    *_of_delays(_within(delays, times)[:, 1]),
                    *_of_writes(_within(writes, times)),
                ]
            )
    return rows


def _within(rows: Any, times: Any) -> Any:
    begin, end = np.searchsorted(rows[:, 0], (times[0], times[-1]))
    return rows[begin:end]


def _of_gaps(gaps: Any) -> list[float]:
    parts = 2 * np.pi * gaps / MILLISECOND
    return [
        float(np.mean(gaps)),
        float(np.std(gaps)),
        *map(float, np.quantile(gaps, QUANTILES)),
        float(np.mean(gaps[1:] * gaps[:-1])),
        float(np.mean(gaps < MILLISECOND)),
        float(np.mean(np.cos(parts))),
        float(np.mean(np.sin(parts))),
    ]


def _of_delays(delays: Any) -> list[float]:
    if not len(delays):
        return [0.0] * (3 + len(QUANTILES))
    return [
        float(len(delays)),
        float(np.mean(delays)),
        float(np.std(delays)),
        *map(float, np.quantile(delays, QUANTILES)),
    ]


def _of_writes(writes: Any) -> list[float]:
    between = np.diff(writes[:, 0]) if len(writes) > 1 else np.zeros(1)
    return [
        float(len(writes)),
        float(np.mean(writes[:, 1])) if len(writes) else 0.0,
        float(np.max(writes[:, 1])) if len(writes) else 0.0,
        *map(float, np.quantile(between, QUANTILES)),
    ]


def _labelled(runs: tuple[Sequence[Seen], Sequence[Seen]], size: int) -> tuple[Any, Any]:
    rows, labels = [], []
    for label, of_one_kind in enumerate(runs):
        for seen in of_one_kind:
            found = windows(seen, size)
            rows += found
            labels += [label] * len(found)
    return np.array(rows), np.array(labels)


def _classifiers() -> dict[str, Callable[[], Any]]:
    # They load scipy, which has to be loaded with care: by what is imported above.
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        "random forest": lambda: RandomForestClassifier(
            TREES, min_samples_leaf=3, class_weight="balanced", random_state=0
        ),
        "logistic regression": lambda: make_pipeline(
            StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
        ),
    }
