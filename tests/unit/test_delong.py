"""The interval of ROC-AUC: DeLong's variance, and how often it holds the truth."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import brunnermunzel, norm, t
from sklearn.metrics import roc_auc_score

from federation.model.quality.delong import auc_interval, delong
from federation.model.quality.intervals import intervals

Floats = NDArray[np.float64]


def drawn(rng: np.random.Generator, rows: tuple[int, int], auc: float) -> tuple[Floats, Floats]:
    """Return positive and negative scores of normal distributions that have this AUC."""
    return rng.normal(math.sqrt(2) * norm.ppf(auc), 1, rows[0]), rng.normal(0, 1, rows[1])


def joined(positives: Floats, negatives: Floats) -> tuple[Floats, Floats]:
    """Return classes and scores as one table."""
    return np.repeat([1.0, 0.0], [len(positives), len(negatives)]), np.concatenate([positives, negatives])


@pytest.mark.parametrize("decimals", [8, 0], ids=["distinct", "ties"])
@pytest.mark.parametrize("rows", [(2, 40), (15, 15), (60, 7)])
def test_variance_is_that_of_the_structural_components(rows: tuple[int, int], decimals: int) -> None:
    """As DeLong, DeLong and Clarke-Pearson define them: the mean of ψ over every pair of rows."""
    positives, negatives = (part.round(decimals) for part in drawn(np.random.default_rng(1), rows, 0.8))
    psi = np.array([[float(x > y) + 0.5 * float(x == y) for y in negatives] for x in positives])
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    s10 = sum((v - psi.mean()) ** 2 for v in v10) / (len(v10) - 1)
    s01 = sum((v - psi.mean()) ** 2 for v in v01) / (len(v01) - 1)
    found = delong(positives, negatives)
    assert found.area == pytest.approx(roc_auc_score(*joined(positives, negatives)), abs=1e-14)
    assert found.variance == pytest.approx(s10 / rows[0] + s01 / rows[1], rel=1e-12)


@pytest.mark.parametrize("decimals", [8, 0], ids=["distinct", "ties"])
def test_variance_and_degrees_of_freedom_are_those_of_scipy(decimals: int) -> None:
    """Brunner and Munzel's test of an AUC of 0.5 divides by the same error, with the same Student's t."""
    positives, negatives = (part.round(decimals) for part in drawn(np.random.default_rng(2), (9, 50), 0.7))
    found, scipys = delong(positives, negatives), brunnermunzel(negatives, positives)
    statistic = (found.area - 0.5) / math.sqrt(found.variance)
    assert statistic == pytest.approx(abs(scipys.statistic), rel=1e-12)
    assert 2 * t.sf(statistic, found.freedom) == pytest.approx(scipys.pvalue, rel=1e-10)


def test_interval_is_symmetric_in_log_odds_and_within_bounds() -> None:
    """It is AUC's log-odds, give or take t errors; it stays below 1 where AUC ± t errors would not."""
    positives, negatives = drawn(np.random.default_rng(3), (6, 54), 0.97)
    found = delong(positives, negatives)
    low, high = auc_interval(*joined(positives, negatives), level=0.95) or (math.nan, math.nan)
    middle = math.log(found.area / (1 - found.area))
    reach = t.ppf(0.975, found.freedom) * math.sqrt(found.variance) / (found.area * (1 - found.area))
    assert [math.log(low / (1 - low)), math.log(high / (1 - high))] == pytest.approx(
        [middle - reach, middle + reach]
    )
    assert found.area + t.ppf(0.975, found.freedom) * math.sqrt(found.variance) > 1 > high


@pytest.mark.parametrize(
    ("rows", "auc"), [((10, 90), 0.75), ((6, 54), 0.97), ((5, 495), 0.85), ((50, 500), 0.85)]
)
def test_it_covers_the_truth_also_with_few_rows_of_a_class(rows: tuple[int, int], auc: float) -> None:
    """400 test sets: 90 % at the least with 5 positives, where bootstrap percentiles have 75 to 90 %."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        low, high = auc_interval(*joined(*drawn(rng, rows, auc)), level=0.95) or (math.nan, math.nan)
        held += low <= auc <= high
    assert held / 400 >= 0.90


def of_pairs(rng: np.random.Generator, k: int) -> bool:
    """Whether k positives are all above k negatives, where a positive is above all or below all."""
    return bool((rng.random(k) < 0.9).all())


def test_classes_that_do_not_overlap_leave_room_for_doubt() -> None:
    """An AUC of 1 is no certainty: from k rows of the rarer class, AUC^k = 2.5 % is the least that may be."""
    y, p = joined(np.array([0.7, 0.8, 0.9]), np.linspace(0, 0.5, 40))
    assert auc_interval(y, p, level=0.95) == pytest.approx((0.025 ** (1 / 3), 1.0))
    assert auc_interval(1 - y, p, level=0.95) == pytest.approx((0.0, 1 - 0.025 ** (1 / 3)))
    worst = np.mean([of_pairs(np.random.default_rng([5, i]), 10) for i in range(2_000)])
    assert worst == pytest.approx(0.9**10, abs=0.03)  # no distribution separates more often


@pytest.mark.parametrize("swap", [False, True])
def test_a_class_of_one_row_has_no_interval(*, swap: bool) -> None:
    """The spread among rows of that class is unknown."""
    y = np.array([1.0, 0, 0, 0, 0])
    assert auc_interval(1 - y if swap else y, np.array([0.5, 0.1, 0.2, 0.6, 0.3]), level=0.95) is None


def test_scores_that_all_tie_are_surely_worth_nothing() -> None:
    """A model that says the same of every row has an AUC of 0.5 on any test rows."""
    assert auc_interval(np.repeat([1.0, 0.0], 5), np.full(10, 0.3), level=0.95) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("rescale", [np.sqrt, lambda p: p / 1e6], ids=["root", "tiny"])
def test_only_the_order_of_scores_counts(rescale: Callable[[Floats], Floats]) -> None:
    """Any rising function of the scores leaves AUC and its interval as they are."""
    y, z = joined(*drawn(np.random.default_rng(6), (20, 80), 0.8))
    p = 1 / (1 + np.exp(-z))
    assert auc_interval(y, rescale(p), level=0.95) == auc_interval(y, p, level=0.95)


def test_a_million_rows_take_no_time() -> None:
    """Sorting, not pairs: a quarter of a million million pairs would not fit anywhere."""
    y, p = joined(*drawn(np.random.default_rng(7), (500_000, 500_000), 0.8))
    low, high = auc_interval(y, p, level=0.95) or (math.nan, math.nan)
    assert 0.798 < low < 0.8 < high < 0.802


def test_every_model_of_a_run_has_this_interval() -> None:
    """And whoever reads metrics.json is told the method."""
    y, z = joined(*drawn(np.random.default_rng(8), (30, 200), 0.8))
    p = 1 / (1 + np.exp(-z))
    found = intervals(y, p, pooled=p**2, local={"a": 1 - p}, seed=0)
    assert found["federated"]["roc_auc"] == auc_interval(y, p, level=0.95)
    assert found["pooled"]
    assert found["pooled"]["roc_auc"] == found["federated"]["roc_auc"]
    assert found["local"]["a"]["roc_auc"] == auc_interval(y, 1 - p, level=0.95)
    assert "DeLong" in found["method"]
