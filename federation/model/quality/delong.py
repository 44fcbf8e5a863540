"""How sure a ROC-AUC is: its interval from DeLong's variance, on the scale of log-odds.

The tests hold the variance equal to its definition, row by row, and count how often the intervals hold the
truth; `benchmarks.statistics` counts it for more kinds of test rows.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

_FEWEST_ROWS = 2  # of a class: the variance among fewer cannot be estimated
_Floats = NDArray[np.float64]


class Delong(NamedTuple):
    """Hold a ROC-AUC, its variance, and the degrees of freedom of that variance."""

    area: float
    variance: float
    freedom: float


def auc_interval(y: _Floats, p: _Floats, *, level: float) -> tuple[float, float] | None:
    """Return an interval of the ROC-AUC, or None where a class has fewer than two rows.

    Parameters
    ----------
    y, p : array of shape (n,)
        True classes, 0 or 1, and scores; only their order counts.
    level : float
        Share of test sets whose interval shall hold the true value.

    Returns
    -------
    (float, float) or None
        logit(A) ± t · s / (A (1 - A)), s² DeLong's variance, taken back from log-odds (Pepe 2003, "The
        Statistical Evaluation of Medical Tests for Classification and Prediction"; Qin and Hotilovac 2008,
        "Comparison of non-parametric confidence intervals for the area under the ROC curve of a continuous-
        scale diagnostic test"). t is Student's with the degrees of freedom of Brunner and Munzel 2000, "The
        nonparametric Behrens-Fisher problem": with few rows of a class the normal quantile is too small.

        Where the classes do not overlap, A is 1 (or 0) and s is 0, which says nothing. With k rows of the
        rarer class the interval is then (((1 - level) / 2)^(1/k), 1): the rows make k pairs that share none,
        so all are ranked right with a probability of AUC^k at most.
    """
    positives, negatives = p[y == 1], p[y == 0]
    rarer = min(len(positives), len(negatives))
    if rarer < _FEWEST_ROWS:
        return None
    area, variance, freedom = delong(positives, negatives)
    if area in (0.0, 1.0):
        bound = ((1 - level) / 2) ** (1 / rarer)
        return (bound, 1.0) if area else (0.0, 1 - bound)
    middle = math.log(area / (1 - area))
    reach = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance) / (area * (1 - area))
    return _expit(middle - reach), _expit(middle + reach)


def delong(positives: _Floats, negatives: _Floats) -> Delong:
    """Return the ROC-AUC and its variance (DeLong, DeLong and Clarke-Pearson 1988).

    Parameters
    ----------
    positives, negatives : array of shape (m,), (n,)
        Scores of each class, two at least.

    Notes
    -----
    V10 of a positive row is the share of negatives below it, V01 of a negative row the share of positives
    above it, ties counting half. The variance is var(V10) / m + var(V01) / n, its degrees of freedom are
    Welch's. Sorted scores give both in O((m + n) log(m + n)), as the midranks of Sun and Xu 2014, "Fast
    Implementation of DeLong's Algorithm", do.
    """
    of_positives = _share_below(positives, negatives)
    of_negatives = 1 - _share_below(negatives, positives)
    one, other = (part.var(ddof=1) / len(part) for part in (of_positives, of_negatives))
    spread = one**2 / (len(positives) - 1) + other**2 / (len(negatives) - 1)
    freedom = (one + other) ** 2 / spread if spread else math.inf
    return Delong(float(of_positives.mean()), float(one + other), float(freedom))


def _share_below(scores: _Floats, others: _Floats) -> _Floats:
    """Return for each score the share of ``others`` below it, equal ones counting half."""
    ordered = np.sort(others)
    twice = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    return twice / (2 * len(others))


def _expit(z: float) -> float:
    e = math.exp(-abs(z))  # never of a large number
    return 1 / (1 + e) if z >= 0 else e / (1 + e)
