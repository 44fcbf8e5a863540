"""The yardsticks are the models a data scientist would fit by hand, and never fail a run."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from federation.data.table import Table
from federation.errors import EmptyClientError, SchemaMismatchError
from federation.model.quality.yardsticks import fit_local, fit_pooled

FEATURES = ("claims", "delta", "constant")


def a_table(n: int = 150, seed: int = 0, positives: int | None = None) -> Table:
    """Draw a table with one column to log, one with negatives and one without spread."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.lognormal(2, 1, n), rng.normal(0, 5, n), np.full(n, 0.1)])
    y = (np.log(X[:, 0]) + X[:, 1] / 5 + rng.normal(0, 1, n) > 2).astype(np.int64)
    if positives is not None:
        y = (np.arange(n) < positives).astype(np.int64)
    return Table(features=FEATURES, X=X, y=y, label="fraud")


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("penalty", ["l2", "none"])
def test_pooled_equals_the_fit_by_hand(penalty: str, class_weight: str | None) -> None:
    """Log, scale and fit all rows together: the pooled model is that, whatever the clients' borders."""
    tables = {f"client-{seed}": a_table(seed=seed) for seed in range(3)}
    X = np.concatenate([table.X for table in tables.values()])
    y = np.concatenate([table.y for table in tables.values()])
    Z = StandardScaler().fit_transform(np.column_stack([np.log1p(X[:, 0]), X[:, 1:]]))
    strength = math.inf if penalty == "none" else 0.5
    by_hand = LogisticRegression(C=strength, class_weight=class_weight, tol=1e-10, max_iter=1000).fit(Z, y)
    model = fit_pooled(tables, C=0.5, penalty=penalty, class_weight=class_weight)  # type: ignore[arg-type]
    assert model.preprocessing.log1p == (True, False, True)
    np.testing.assert_allclose(model.predict_proba(X), by_hand.predict_proba(Z)[:, 1], atol=1e-5)
    assert model.provenance["rows"] == 450
    assert model.provenance["converged"] is True


def test_local_models_see_their_own_rows_only() -> None:
    """A client's model is the pooled model of that client alone."""
    tables = {"a": a_table(seed=1), "b": a_table(seed=2)}
    local = fit_local(tables)
    assert list(local) == ["a", "b"]
    for name, table in tables.items():
        np.testing.assert_array_equal(local[name].coef, fit_pooled({name: table}).coef)


def test_constant_column_keeps_scale_one() -> None:
    """A column without spread, even one that has no exact binary value, neither blows up nor matters."""
    model = fit_pooled({"a": a_table()})
    assert model.preprocessing.scale[2] == 1.0
    assert model.coef[2] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("positives", "expected"), [(0, 1 / 152), (150, 151 / 152)])
def test_single_class_client_predicts_the_smoothed_prevalence(positives: int, expected: float) -> None:
    """A client that has seen one class has a model, flagged as such, not an exception."""
    table = a_table(positives=positives)
    model = fit_local({"a": table})["a"]
    assert model.provenance["single_class"] is True
    assert not model.coef.any()
    assert model.predict_proba(table.X) == pytest.approx(expected)


@pytest.mark.parametrize("separable", [False, True])
def test_firths_fit_is_where_the_penalised_likelihood_is_largest(*, separable: bool) -> None:
    """Found by a general search from the pooled, scaled rows; finite for separable ones too."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = (X[:, 0] + (0 if separable else 1) * rng.normal(size=60) > 0).astype(np.int64)
    table = Table(features=("a", "b"), X=X, y=y, label="y")
    model = fit_pooled(
        {"one": table.take(np.arange(20)), "two": table.take(np.arange(20, 60))}, penalty="firth"
    )
    assert model.provenance["converged"]
    A = np.column_stack([model.preprocessing.apply(X), np.ones(60)])

    def minus(w: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-A @ w))
        _, log_determinant = np.linalg.slogdet((A.T * (p * (1 - p))) @ A)
        return float(np.logaddexp(0, np.where(y == 1, -1, 1) * (A @ w)).sum() - log_determinant / 2)

    found = minimize(minus, np.zeros(3), method="BFGS", jac="3-point", options={"gtol": 1e-8}).x
    np.testing.assert_allclose([*model.coef, model.intercept], found, rtol=1e-6, atol=1e-7)


def test_separable_rows_without_penalty_stay_finite() -> None:
    """Where no optimum exists the fit ends silently with a usable model."""
    table = a_table(n=20)
    separable = Table(features=FEATURES, X=table.X, y=(table.X[:, 1] > 0).astype(np.int64), label="fraud")
    model = fit_local({"a": separable}, penalty="none")["a"]
    assert ((model.predict_proba(separable.X) > 0.5) == separable.y).all()


def test_transforms_can_be_given() -> None:
    """A caller who knows of negative rows elsewhere can keep a column from being logged."""
    model = fit_pooled({"a": a_table()}, log1p=(False, False, False))
    assert model.preprocessing.log1p == (False, False, False)
    assert model.predict_proba(np.array([[-1.0, -1.0, -1.0]])).shape == (1,)


def test_clients_with_other_columns_are_named() -> None:
    """Pooling never glues together columns of different meaning."""
    other = Table(features=("x", "y", "z"), X=a_table().X, y=a_table().y, label="fraud")
    with pytest.raises(SchemaMismatchError, match='"a" and "b"'):
        fit_pooled({"a": a_table(), "b": other})


def test_client_without_rows_is_named() -> None:
    """No rows is an error that says whose."""
    empty = Table(features=FEATURES, X=np.empty((0, 3)), y=np.empty(0, dtype=np.int64), label="fraud")
    with pytest.raises(EmptyClientError, match='"b"'):
        fit_local({"a": a_table(), "b": empty})
