"""What a model is worth on rows it has not seen: scores of ranking, of probability and of decision.

NumPy alone, since it runs every round; the tests hold it equal to scikit-learn.
"""

import math
from typing import NamedTuple, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from federation.errors import DataError

THRESHOLD = 0.5
FEWEST_AT_TOP = 5
"""Rows that k percent must be before recall among them is defined: among one or two it tells nothing."""
FEWEST_OF_CLASS = 20
"""Test rows of either class below which a user is warned."""
_EPSILON = float(np.finfo(np.float64).eps)


class ConfusionMatrix(TypedDict):
    """Count rows by true class and by decision at probability 0.5."""

    tn: int
    fp: int
    fn: int
    tp: int


class Metrics(TypedDict):
    """Hold what `evaluate` returns; None is a metric that these rows leave undefined."""

    rows: int
    positives: int
    roc_auc: float | None
    average_precision: float | None
    recall_at_1_percent: float | None
    recall_at_5_percent: float | None
    log_loss: float | None
    brier: float | None
    accuracy: float | None
    confusion_matrix: ConfusionMatrix


class Curve(NamedTuple):
    """Hold the points of a line: `x` and `y` of equal length."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


def evaluate(y: ArrayLike, p: ArrayLike) -> Metrics:
    """Return every metric of the product.

    Parameters
    ----------
    y : array of shape (n,)
        True classes, 0 or 1.
    p : array of shape (n,)
        Probabilities of class 1, in [0, 1].

    Returns
    -------
    Metrics
        ROC-AUC needs both classes; average precision and recall need a positive row; the others need a row.
        Recall at k percent is the share of all positives that the ceil(k % of n) highest scores hold, and
        undefined where k % of n is less than five rows; rows that tie at the cut count in proportion, so the
        order of rows does not matter.

    Raises
    ------
    DataError
        When lengths differ or a value is outside its range.
    """
    y, p = _checked(y, p)
    ranking, n, positives = _rank(y, p), len(y), int(y.sum())
    decided, true = p >= THRESHOLD, y == 1
    tp, fp = int((decided & true).sum()), int((decided & ~true).sum())
    fn = positives - tp
    tn = n - tp - fp - fn
    chance = np.clip(np.where(true, p, 1.0 - p), _EPSILON, 1.0)
    return {
        "rows": n,
        "positives": positives,
        "roc_auc": _roc_auc(ranking),
        "average_precision": _average_precision(ranking),
        "recall_at_1_percent": _recall_among_top(ranking, rows_at_top(n, 1)),
        "recall_at_5_percent": _recall_among_top(ranking, rows_at_top(n, 5)),
        "log_loss": float(-np.log(chance).mean()) if n else None,
        "brier": float(np.square(p - y).mean()) if n else None,
        "accuracy": (tp + tn) / n if n else None,
        "confusion_matrix": {"tn": tn, "fp": fp, "fn": fn, "tp": tp},
    }


def rows_at_top(n: int, percent: int) -> int | None:
    """Return how many rows are the top ``percent`` of n; None where that is fewer than five."""
    return None if n * percent < 100 * FEWEST_AT_TOP else math.ceil(n * percent / 100)


def warnings_of_rows(y: ArrayLike) -> list[str]:
    """Return a line for each class of which the test rows ``y`` hold fewer than 20."""
    y = np.asarray(y)
    counts = {"positive": int((y == 1).sum()), "negative": int((y == 0).sum())}
    return [
        f"the server: {f'only {count}' if count else 'no'} {name} test row{'s' * (count != 1)}; with fewer "
        f"than {FEWEST_OF_CLASS} the figures are rough, and their intervals too narrow."
        for name, count in counts.items()
        if count < FEWEST_OF_CLASS
    ]


def roc_curve(y: ArrayLike, p: ArrayLike) -> Curve | None:
    """Return false-positive and true-positive rate from (0, 0) to (1, 1); None unless both classes occur."""
    ranking = _rank(*_checked(y, p))
    if not (ranking.tp[-1] and ranking.fp[-1]):
        return None
    return Curve(ranking.fp / ranking.fp[-1], ranking.tp / ranking.tp[-1])


def precision_recall_curve(y: ArrayLike, p: ArrayLike) -> Curve | None:
    """Return recall and the precision at each, one point per distinct score; None without a positive row."""
    ranking = _rank(*_checked(y, p))
    if not ranking.tp[-1]:
        return None
    tp, fp = ranking.tp[1:], ranking.fp[1:]
    return Curve(tp / tp[-1], tp / (tp + fp))


def reliability_curve(y: ArrayLike, p: ArrayLike, bins: int = 10) -> Curve | None:
    """Return mean prediction and share of positives in bins of equal counts, rising; None without a row."""
    y, p = _checked(y, p)
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    if not parts:
        return None
    return Curve(np.array([p[part].mean() for part in parts]), np.array([y[part].mean() for part in parts]))


class _Ranking(NamedTuple):
    """True and false positives among the rows down to each distinct score, from the highest; starts at 0."""

    tp: NDArray[np.float64]
    fp: NDArray[np.float64]


def _checked(y: ArrayLike, p: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, p = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape:
        raise DataError(
            f"Classes of shape {y.shape} have scores of shape {p.shape}.", "Give one score for each row."
        )
    if not ((y == 0) | (y == 1)).all():
        raise DataError("A class is neither 0 nor 1.", "Code the label as 0 and 1.")
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError(
            "A score is not a probability.", "Check that the model's coefficients and features are finite."
        )
    return y, p


def _rank(y: NDArray[np.float64], p: NDArray[np.float64]) -> _Ranking:
    order = np.argsort(-p, kind="stable")
    tp = np.cumsum(y[order])
    last_of_tie = (
        np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1) if len(p) else np.array([], dtype=int)
    )
    tp = np.concatenate([[0.0], tp[last_of_tie]])
    return _Ranking(tp, np.concatenate([[0.0], last_of_tie + 1.0]) - tp)


def _roc_auc(ranking: _Ranking) -> float | None:
    area = float(np.trapezoid(ranking.tp, ranking.fp))
    pairs = float(ranking.tp[-1] * ranking.fp[-1])
    return area / pairs if pairs else None


def _average_precision(ranking: _Ranking) -> float | None:
    """Return the sum over thresholds of precision times the gain in recall (no interpolation)."""
    tp, fp = ranking
    if not tp[-1]:
        return None
    return float(np.sum(np.diff(tp) * tp[1:] / (tp + fp)[1:]) / tp[-1])


def _recall_among_top(ranking: _Ranking, k: int | None) -> float | None:
    tp, fp = ranking
    return float(np.interp(k, tp + fp, tp) / tp[-1]) if k is not None and tp[-1] else None
