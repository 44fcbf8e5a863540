"""Intervals of the metrics: bootstrap on the right metrics, on the same draws; ROC-AUC: test_delong."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from federation.model.quality.intervals import Intervals, intervals, weighted_metrics
from federation.model.quality.metrics import evaluate
from tests.unit.pooling import Pool, made_up, thirds

METRICS = (
    "average_precision",
    "recall_at_1_percent",
    "recall_at_5_percent",
    "log_loss",
    "brier",
    "accuracy",
)


def scored(n: int, seed: int = 0, decimals: int = 8) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return classes, 10 % positive, and scores that rank them well; few decimals make ties."""
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 10 == 0).astype(np.float64)
    return y, np.clip(rng.normal(0.3 + 0.2 * y, 0.15), 0, 1).round(decimals)


@pytest.mark.parametrize("decimals", [8, 1])
def test_every_row_once_gives_the_metrics_themselves(decimals: int) -> None:
    """With weights of one the values equal those of `evaluate`, ties included."""
    y, p = scored(600, decimals=decimals)
    expected = evaluate(y, p)
    values = weighted_metrics(y, p, np.ones((2, len(y))))
    assert tuple(values) == METRICS
    for name, value in values.items():
        assert value == pytest.approx([expected[name]] * 2, abs=1e-12)  # type: ignore[literal-required]


@pytest.mark.parametrize("decimals", [8, 1])
def test_a_draw_is_the_rows_drawn(decimals: int) -> None:
    """Weights stand for repeated and left-out rows, for every metric."""
    y, p = scored(600, decimals=decimals)
    rng = np.random.default_rng(1)
    for _ in range(20):
        rows = rng.integers(0, len(y), len(y))
        expected = evaluate(y[rows], p[rows])
        weights = np.bincount(rows, minlength=len(y)).astype(np.float64)[None]
        for name, value in weighted_metrics(y, p, weights).items():
            assert value[0] == pytest.approx(expected[name], abs=1e-12)  # type: ignore[literal-required]


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Over 100 test sets from one world, 95 % intervals of the Brier score hold its true value as often."""
    y, p = scored(300_000)
    true = evaluate(y, p)["brier"]
    assert true is not None
    covered = 0
    for seed in range(100):
        y, p = scored(300, seed=seed + 1)
        interval = intervals(y, p, local={}, seed=seed)["federated"]["brier"]
        assert interval is not None
        covered += interval[0] <= true <= interval[1]
    assert 0.88 <= covered / 100 <= 0.99


def test_the_same_seed_gives_the_same_intervals() -> None:
    """And another seed slightly different ones."""
    y, p = scored(300)

    def drawn(seed: int) -> Intervals:
        return intervals(y, p, pooled=p, local={"a": p}, seed=seed)

    assert drawn(1) == drawn(1)
    assert drawn(1)["federated"] != drawn(2)["federated"]


def test_all_models_are_compared_on_the_same_draws() -> None:
    """Equal scores have equal intervals, so a difference is one of the models."""
    y, p = scored(300)
    found = intervals(y, p, pooled=p, local={"a": p}, seed=0)
    assert found["federated"] == found["pooled"] == found["local"]["a"]


def test_more_rows_make_narrower_intervals() -> None:
    """Four times the rows, about half the width."""
    widths = []
    for n in (250, 1_000):
        interval = intervals(*scored(n), local={}, seed=0)["federated"]["log_loss"]
        assert interval is not None
        widths.append(interval[1] - interval[0])
    assert widths[1] / widths[0] == pytest.approx(0.5, abs=0.15)


def test_what_is_undefined_has_no_interval() -> None:
    """One class leaves ranking undefined, no row everything; neither is an error or a warning."""
    y, p = scored(600)
    one_class = intervals(np.zeros(600), p, local={}, seed=0)["federated"]
    assert [name for name, found in one_class.items() if found is None] == ["roc_auc", *METRICS[:3]]
    assert set(intervals([], [], local={}, seed=0)["federated"].values()) == {None}
    assert tuple(intervals([], [], local={}, seed=0)["federated"]) == ("roc_auc", *METRICS)
    assert intervals(y, p, local={}, seed=0)["pooled"] is None


def test_a_draw_without_a_positive_does_not_spoil_an_interval() -> None:
    """With two positive rows, one draw in eight has none: the others count."""
    y, p = scored(20)
    interval = intervals(y, p, local={}, seed=0)["federated"]["average_precision"]
    assert interval is not None
    assert 0 <= interval[0] <= interval[1] <= 1


def test_the_top_of_few_rows_has_neither_recall_nor_interval() -> None:
    """1 % of 499 rows is fewer than five; the metric and its interval agree on that."""
    for n, defined in ((499, False), (500, True)):
        y, p = scored(n)
        assert (evaluate(y, p)["recall_at_1_percent"] is not None) is defined
        assert (intervals(y, p, local={}, seed=0)["federated"]["recall_at_1_percent"] is not None) is defined


def test_few_test_rows_are_told_before_training(tmp_path: Path) -> None:
    """Beside what the clients' rows are noted for, the server's own are: terminal, report and run.json."""
    X, y = made_up(900)
    few = np.flatnonzero(y == 1)[:7]
    test = [(X[rows], y[rows]) for rows in (few, np.flatnonzero(y == 0)[:60])]
    result = Pool(thirds(X, y), tmp_path, test=test).train()
    assert [note.split(";")[0] for note in result.notes if "server" in note] == [
        "the server: only 7 positive test rows"
    ]
