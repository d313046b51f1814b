"""How likely what was seen is, if nothing but chance is at work: the statistical tests of intervals and delays.

scipy takes a loaded package named `sphinx` for the documentation tool of that name, and asks it for what ours has not:
so ours is put aside while scipy is loaded. Import what needs scipy (scikit-learn does) after this module.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

LAGS: Final = 20


def _load_scipy_stats() -> Any:
    ours = sys.modules.pop("sphinx", None)
    try:
        return importlib.import_module("scipy.stats")
    finally:
        if ours is not None:
            sys.modules["sphinx"] = ours


stats: Final = _load_scipy_stats()


def p_value(samples: Sequence[float], distribution: Callable[[float], float]) -> float:
    """How likely samples of `distribution` (its cumulative function) lie at least as far from it as these.

    Kolmogorov and Smirnov's test.
    """
    return float(stats.kstest(samples, np.vectorize(distribution)).pvalue)


def exponential_p_value(samples: Sequence[float], mean: float) -> float:
    """The same against the exponential distribution of that mean."""
    return float(stats.kstest(samples, stats.expon(scale=mean).cdf).pvalue)


def two_sample_p_value(first: Sequence[float], second: Sequence[float]) -> float:
    """How likely two samples of one distribution, whichever it is, lie at least as far from each other as these."""
    return float(stats.ks_2samp(first, second, method="asymp").pvalue)


def independence_p_value(samples: Sequence[float], lags: int = LAGS) -> float:
    """How likely the autocorrelations at the first `lags` lags of independent samples are at least these.

    Ljung and Box's test.
    """
    values = np.asarray(samples) - np.mean(samples)
    count, power = len(values), float(np.dot(values, values))
    correlations = [float(np.dot(values[lag:], values[:-lag])) / power for lag in range(1, lags + 1)]
    statistic = count * (count + 2) * sum(r * r / (count - lag) for lag, r in enumerate(correlations, 1))
    return float(stats.chi2.sf(statistic, lags))
