"""How sure a metric is: of ROC-AUC DeLong's interval, of the others bootstrap intervals over the test rows.

All models are on the same draws, and all draws are computed at once; the tests hold the point values equal to
`federation.model.quality.metrics`.
"""

import math
from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from federation.model.quality.delong import auc_interval
from federation.model.quality.metrics import THRESHOLD, rows_at_top

LEVEL = 0.95
METHOD = "ROC-AUC: DeLong's variance, on the scale of log-odds; the others: bootstrap percentiles"
_MOST_DRAWS, _FEWEST_DRAWS, _CELLS = 1_000, 200, 1_000_000
_EPSILON = float(np.finfo(np.float64).eps)

Interval = tuple[float, float]
ModelIntervals = dict[str, Interval | None]
_Floats = NDArray[np.float64]


class Intervals(TypedDict):
    """Hold the intervals of every model's metrics, and how they were found."""

    level: float
    method: str
    draws: int
    seed: int
    federated: ModelIntervals
    pooled: ModelIntervals | None
    local: dict[str, ModelIntervals]


def intervals(
    y: ArrayLike,
    federated: ArrayLike,
    *,
    pooled: ArrayLike | None = None,
    local: Mapping[str, ArrayLike],
    seed: int,
) -> Intervals:
    """Return an interval of every metric of every model.

    Parameters
    ----------
    y : array of shape (n,)
        True classes of the test rows, 0 or 1.
    federated, pooled : array of shape (n,)
        Probabilities of class 1.
    local : mapping of str to array of shape (n,)
        By client.
    seed : int
        The same seed gives the same draws. A thousand draws up to 1,000 rows, fewer of more, at least 200.

    Returns
    -------
    Intervals
        Of ROC-AUC see `delong`; of each other metric the 2.5th and 97.5th percentile over draws
        of n rows with replacement (Efron 1979). None where a metric is undefined, or a class has a
        single row, which leaves the interval of ROC-AUC undefined. They tell what another test set of this
        size might say of the same model, not what training on other rows would give.
    """
    y = np.asarray(y, dtype=np.float64)
    draws = int(np.clip(_CELLS // max(len(y), 1), _FEWEST_DRAWS, _MOST_DRAWS))
    weights = _draw(len(y), draws, seed)
    return {
        "level": LEVEL,
        "method": METHOD,
        "draws": draws,
        "seed": seed,
        "federated": _of_model(y, federated, weights),
        "pooled": None if pooled is None else _of_model(y, pooled, weights),
        "local": {name: _of_model(y, p, weights) for name, p in local.items()},
    }


def weighted_metrics(y: _Floats, p: _Floats, weights: _Floats) -> dict[str, _Floats]:
    """Return each metric but ROC-AUC once for every row of weights; NaN where it is undefined.

    Parameters
    ----------
    y, p : array of shape (n,)
        True classes, and probabilities of class 1.
    weights : array of shape (draws, n)
        How often each test row was drawn; each sums to n.

    Returns
    -------
    dict of str to array of shape (draws,)
        By the names of `federation.model.quality.metrics.Metrics`.
    """
    n = len(y)
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), n - 1)
    drawn = weights[:, order]
    none = np.zeros((len(weights), 1))
    rows = np.hstack([none, np.cumsum(drawn, axis=1)[:, ends]])
    tp = np.hstack([none, np.cumsum(drawn * y[order], axis=1)[:, ends]])
    positives = tp[:, -1]
    gain = np.diff(tp, axis=1)
    chance = np.clip(np.where(y == 1, p, 1 - p), _EPSILON, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "average_precision": (gain * tp[:, 1:] / np.maximum(rows[:, 1:], 1)).sum(axis=1) / positives,
            "recall_at_1_percent": _found_among_top(rows, tp, rows_at_top(n, 1)) / positives,
            "recall_at_5_percent": _found_among_top(rows, tp, rows_at_top(n, 5)) / positives,
            "log_loss": weights @ -np.log(chance) / n,
            "brier": weights @ np.square(p - y) / n,
            "accuracy": weights @ ((p >= THRESHOLD) == (y == 1)) / n,
        }


def _draw(n: int, draws: int, seed: int) -> _Floats:
    """Return how often each of n rows occurs in each draw of n rows with replacement."""
    picked = np.random.default_rng([seed, *b"bootstrap"]).integers(0, max(n, 1), (draws, n))
    cells = (picked + n * np.arange(draws)[:, None]).ravel()
    return np.bincount(cells, minlength=draws * n).reshape(draws, n).astype(np.float64)


def _of_model(y: _Floats, p: ArrayLike, weights: _Floats) -> ModelIntervals:
    p = np.asarray(p, dtype=np.float64)
    if not len(y):
        return dict.fromkeys(["roc_auc", *weighted_metrics(np.zeros(1), np.zeros(1), np.ones((1, 1)))])
    tail = (1 - LEVEL) / 2
    found: ModelIntervals = {"roc_auc": auc_interval(y, p, level=LEVEL)}
    for name, values in weighted_metrics(y, p, weights).items():
        defined = values[np.isfinite(values)]
        low, high = np.quantile(defined, [tail, 1 - tail]) if len(defined) else (math.nan, math.nan)
        found[name] = (float(low), float(high)) if len(defined) else None
    return found


def _found_among_top(rows: _Floats, tp: _Floats, k: int | None) -> _Floats:
    """Return the positives among the k highest scores; rows that tie at the cut count in proportion."""
    if k is None:
        return np.full(len(rows), math.nan)
    at = np.argmax(rows >= k, axis=1)[:, None]
    (low, high), (tp_low, tp_high) = (
        [np.take_along_axis(values, index, axis=1)[:, 0] for index in (at - 1, at)] for values in (rows, tp)
    )
    found: _Floats = tp_low + (k - low) / (high - low) * (tp_high - tp_low)
    return found
