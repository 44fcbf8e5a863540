"""Standard errors, tests and intervals are those of the closed forms, computed here from the pooled rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import log_loss

from federation.learning.federate import Federated
from federation.model.linear import LinearModel
from tests.unit.pooling import Floats, Pool, made_up, parameters, thirds


def _train(tmp_path: Path, **settings: Any) -> tuple[Pool, Federated]:
    pool = Pool(thirds(*made_up(1500), by=5), tmp_path)
    return pool, pool.train(**settings)


def _design(pool: Pool, result: Federated) -> tuple[Floats, Floats]:
    """Return the pooled, prepared rows with a column of ones, and the probabilities."""
    A = np.column_stack([pool.scaled(result), np.ones(len(pool.y))])
    return A, 1 / (1 + np.exp(-A @ parameters(result)))


def _errors(result: Federated) -> Floats:
    assert result.model.inference is not None
    blocks = [*result.model.inference["features"], result.model.inference["intercept"]]
    return np.array([block["standard_error"] for block in blocks])


def test_without_a_penalty_they_are_the_inverse_information(tmp_path: Path) -> None:
    """What statsmodels' Logit and R's glm print: the diagonal of (Aᵀ diag(p (1 - p)) A)⁻¹."""
    pool, result = _train(tmp_path, penalty="none")
    A, p = _design(pool, result)
    covariance = np.linalg.inv((A.T * (p * (1 - p))) @ A)
    np.testing.assert_allclose(_errors(result), np.sqrt(np.diag(covariance)), rtol=1e-6)


def test_with_a_penalty_they_are_those_of_ridge_estimates(tmp_path: Path) -> None:
    """(I + Λ)⁻¹ I (I + Λ)⁻¹, which tends to the inverse information as rows outweigh the penalty."""
    pool, result = _train(tmp_path)
    A, p = _design(pool, result)
    information = (A.T * (p * (1 - p))) @ A
    bread = np.linalg.inv(information + np.diag([1.0] * 6 + [0.0]))
    np.testing.assert_allclose(_errors(result), np.sqrt(np.diag(bread @ information @ bread)), rtol=1e-6)


def test_with_class_weights_they_are_robust(tmp_path: Path) -> None:
    """The sandwich with the rows' own weighted scores in its middle (HC0)."""
    pool, result = _train(tmp_path, balanced=True, penalty="none")
    A, p = _design(pool, result)
    v = (len(pool.y) / (2 * np.bincount(pool.y)))[pool.y]
    bread = np.linalg.inv((A.T * (v * p * (1 - p))) @ A)
    middle = (A.T * (v * (p - pool.y)) ** 2) @ A
    np.testing.assert_allclose(_errors(result), np.sqrt(np.diag(bread @ middle @ bread)), rtol=1e-6)


def test_intervals_cover_the_truth_as_often_as_they_say(tmp_path: Path) -> None:
    """Over 25 draws, 95 % intervals hold the true coefficients in 90 to 99 % of cases, weighted or not."""
    rng, truth = np.random.default_rng(5), np.array([0.5, -0.8, 0.0])
    for balanced in (False, True):
        hits = []
        for _ in range(25):
            X = rng.normal(size=(800, 3))
            X[0] = -9.0  # no column is logged
            y = (rng.random(800) < 1 / (1 + np.exp(1.5 - X @ truth))).astype(np.int64)
            result = Pool(thirds(X, y), tmp_path).train(balanced=balanced, penalty="none")
            assert result.model.inference is not None
            natural = [one["natural"] for one in result.model.inference["features"]]
            hits += [n["low"] <= t <= n["high"] for n, t in zip(natural, truth, strict=True)]
        assert 0.90 <= np.mean(hits) <= 0.99


def test_the_figures_of_a_coefficient_belong_together(tmp_path: Path) -> None:
    """z, p, interval and odds ratio follow from coefficient and standard error; units change both alike."""
    _, result = _train(tmp_path)
    model = result.model
    assert model.inference is not None
    scales = model.preprocessing.scale
    for one, coefficient, scale in zip(model.inference["features"], model.coef, scales, strict=True):
        assert one["coefficient"] == coefficient
        assert one["z"] == pytest.approx(coefficient / one["standard_error"])
        assert one["p"] == pytest.approx(2 * norm.sf(abs(one["z"])), rel=1e-9)
        low, high = norm.interval(0.95, coefficient, one["standard_error"])
        assert (one["low"], one["high"]) == pytest.approx((low, high))
        ratios = (one["odds_ratio_low"], one["odds_ratio"], one["odds_ratio_high"])
        assert ratios == pytest.approx(tuple(np.exp([low, coefficient, high])))
        natural = one["natural"]
        assert natural["coefficient"] * scale == pytest.approx(coefficient)
        assert natural["standard_error"] * scale == pytest.approx(one["standard_error"])
        assert (natural["low"] * scale, natural["high"] * scale) == pytest.approx((low, high))


def test_the_natural_intercept_belongs_to_unscaled_columns(tmp_path: Path) -> None:
    """Natural coefficients and intercept score unscaled columns; errors are those of such a fit."""
    pool, result = _train(tmp_path, penalty="none")
    model = result.model
    assert model.inference is not None
    raw = pool.X.copy()
    raw[:, model.preprocessing.log1p] = np.log1p(raw[:, model.preprocessing.log1p])
    A = np.column_stack([raw, np.ones(len(raw))])
    natural = [one["natural"] for one in (*model.inference["features"], model.inference["intercept"])]
    p = 1 / (1 + np.exp(-A @ [one["coefficient"] for one in natural]))
    assert log_loss(pool.y, p) == pytest.approx(log_loss(pool.y, model.predict_proba(pool.X)), rel=1e-12)
    errors = np.sqrt(np.diag(np.linalg.inv((A.T * (p * (1 - p))) @ A)))
    np.testing.assert_allclose([one["standard_error"] for one in natural], errors, rtol=1e-6)


@pytest.mark.parametrize("penalty", ["l2", "none"])
def test_what_the_rows_leave_open_is_undefined(penalty: str, tmp_path: Path) -> None:
    """A constant column is in no model, equal columns have no error without a penalty; others keep theirs."""
    X, y = made_up(d=3)
    X = np.column_stack([X, X[:, 0], np.full(len(y), 7.0)])
    result = Pool(thirds(X, y), tmp_path).train(penalty=penalty)
    assert result.model.inference is not None
    undefined = [one["standard_error"] is None for one in result.model.inference["features"]]
    assert undefined == [penalty == "none", False, False, penalty == "none"]
    assert result.model.inference["intercept"]["standard_error"] is not None


def test_it_is_kept_in_the_model(tmp_path: Path) -> None:
    """model.json has it, in a format of its own number, and gives it back to the last bit."""
    _, result = _train(tmp_path)
    text = result.model.to_json()
    assert json.loads(text)["format_version"] == 2
    again = LinearModel.from_json(text)
    assert again.inference == result.model.inference
    assert again.to_json() == text
