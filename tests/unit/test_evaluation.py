"""Our metrics are scikit-learn's, and say so when they are undefined."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from federation.errors import DataError
from federation.model.quality.metrics import (
    evaluate,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
    warnings_of_rows,
)

# Few distinct scores, so that ties are the rule.
SCORES = st.one_of(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), st.floats(0, 1))
TWO_CLASSES = st.lists(st.tuples(st.integers(0, 1), SCORES), min_size=2, max_size=120).filter(
    lambda rows: len({y for y, _ in rows}) == 2
)


@given(TWO_CLASSES)
def test_metrics_equal_scikit_learns(rows: list[tuple[int, float]]) -> None:
    """Ties, extremes and all, both compute the same numbers."""
    y, p = (np.array(column) for column in zip(*rows, strict=True))
    ours = evaluate(y, p)
    assert ours["roc_auc"] == pytest.approx(sk.roc_auc_score(y, p), abs=1e-12)
    assert ours["average_precision"] == pytest.approx(sk.average_precision_score(y, p), abs=1e-12)
    assert ours["log_loss"] == pytest.approx(sk.log_loss(y, p, labels=[0, 1]), rel=1e-9, abs=1e-12)
    assert ours["brier"] == pytest.approx(sk.brier_score_loss(y, p), abs=1e-12)
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(y, p >= 0.5))
    tn, fp, fn, tp = sk.confusion_matrix(y, p >= 0.5, labels=[False, True]).ravel().tolist()
    assert ours["confusion_matrix"] == {"tn": tn, "fp": fp, "fn": fn, "tp": tp}


@given(TWO_CLASSES)
def test_curves_enclose_the_areas(rows: list[tuple[int, float]]) -> None:
    """The curves of the report and the numbers beside them tell the same story."""
    y, p = (np.array(column) for column in zip(*rows, strict=True))
    roc, pr = roc_curve(y, p), precision_recall_curve(y, p)
    assert roc is not None
    assert pr is not None
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(evaluate(y, p)["roc_auc"])
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)
    steps = np.diff(pr.x, prepend=0)
    assert float(steps @ pr.y) == pytest.approx(evaluate(y, p)["average_precision"])


def test_returns_exactly_the_agreed_keys() -> None:
    """metrics.json has these names and no others."""
    assert list(evaluate([0, 1], [0.2, 0.7])) == [
        "rows",
        "positives",
        "roc_auc",
        "average_precision",
        "recall_at_1_percent",
        "recall_at_5_percent",
        "log_loss",
        "brier",
        "accuracy",
        "confusion_matrix",
    ]


def test_recall_counts_the_highest_scores_rounded_up() -> None:
    """Of 501 rows the top 1 % are six and the top 5 % are 26."""
    y = np.zeros(501, dtype=int)
    y[[0, 5, 25, 26]] = 1
    p = np.linspace(1, 0, 501)
    result = evaluate(y, p)
    assert result["recall_at_1_percent"] == 2 / 4
    assert result["recall_at_5_percent"] == 3 / 4


def test_recall_does_not_depend_on_the_order_of_tied_rows() -> None:
    """A model that knows nothing finds 1 % of the positives in 1 % of the rows, wherever they stand."""
    y = np.repeat([1, 0], [50, 450])
    p = np.full(500, 0.3)
    assert evaluate(y, p)["recall_at_1_percent"] == pytest.approx(0.01)
    assert evaluate(y[::-1], p)["recall_at_1_percent"] == pytest.approx(0.01)


def test_recall_among_a_row_or_two_is_undefined() -> None:
    """In 130 rows the top 1 % is one row and a bit, whose labels decide all; the top 5 % is seven."""
    y = np.arange(130) % 10 == 0
    result = evaluate(y.astype(int), np.linspace(1, 0, 130))
    assert result["recall_at_1_percent"] is None
    assert result["recall_at_5_percent"] == pytest.approx(1 / 13)


def test_few_test_rows_of_a_class_are_told() -> None:
    """From 20 rows of either class on nothing is said."""
    assert warnings_of_rows(np.repeat([0, 1], 20)) == []
    [line] = warnings_of_rows(np.repeat([0, 1], [500, 19]))
    assert line.startswith("the server: only 19 positive test rows;")
    [line] = warnings_of_rows(np.repeat([0, 1], [1, 500]))
    assert line.startswith("the server: only 1 negative test row;")
    assert [line.split(";")[0] for line in warnings_of_rows([])] == [
        "the server: no positive test rows",
        "the server: no negative test rows",
    ]


@pytest.mark.parametrize(
    ("y", "undefined"),
    [
        ([0, 0, 0] * 200, {"roc_auc", "average_precision", "recall_at_1_percent", "recall_at_5_percent"}),
        ([1, 1, 1] * 200, {"roc_auc"}),
    ],
)
def test_one_class_leaves_metrics_undefined(y: list[int], undefined: set[str]) -> None:
    """Undefined is None, not a guess, an exception or a warning."""
    result: dict[str, Any] = dict(evaluate(y, [0.2, 0.2, 0.7] * 200))
    assert {key for key, value in result.items() if value is None} == undefined


def test_no_rows_leave_all_undefined() -> None:
    """Nothing to measure is no error."""
    result = evaluate([], [])
    assert (result["rows"], result["log_loss"], result["accuracy"]) == (0, None, None)
    assert result["confusion_matrix"] == {"tn": 0, "fp": 0, "fn": 0, "tp": 0}
    assert (roc_curve([], []), precision_recall_curve([], []), reliability_curve([], [])) == (
        None,
        None,
        None,
    )


def test_certain_mistakes_cost_a_finite_loss() -> None:
    """Probability 0 for a positive row is clipped, as scikit-learn clips it."""
    assert evaluate([1, 0], [0.0, 1.0])["log_loss"] == pytest.approx(sk.log_loss([1, 0], [0.0, 1.0]))


def test_reliability_bins_hold_equal_counts() -> None:
    """Each point stands for as many rows as any other, whatever the spread of the scores."""
    y = np.array([0, 0, 0, 1, 1, 1])
    curve = reliability_curve(y, [0.0, 0.01, 0.02, 0.03, 0.9, 1.0], bins=3)
    assert curve is not None
    assert curve.x.tolist() == pytest.approx([0.005, 0.025, 0.95])
    assert curve.y.tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("y", "p"), [([0, 1], [0.5]), ([0, 2], [0.5, 0.5]), ([0, 1], [0.5, 1.5]), ([0, 1], [0.5, np.nan])]
)
def test_values_out_of_range_are_refused(y: list[int], p: list[float]) -> None:
    """A broken model is an error, not a number."""
    with pytest.raises(DataError):
        evaluate(y, p)
