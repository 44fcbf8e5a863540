"""Standard errors, tests and intervals are those of the closed forms, computed here from the pooled rows."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import log_loss
from statsmodels.discrete.discrete_model import Logit

import newton
from client_code.protocol.preparation import Preparation
from federation.api.model import Model
from federation.learning.federate import Federated
from federation.learning.strategies.newton.descent import Sums
from federation.learning.strategies.newton.fednewton import FedNewton
from federation.learning.strategies.newton.inference import INTERCEPT, infer, reason_for_no_tests
from federation.model.linear import LinearModel, Preprocessing
from tests.unit.pooling import Floats, Pool, made_up, parameters, thirds


def _train(tmp_path: Path, **settings: Any) -> tuple[Pool, Federated]:
    pool = Pool(thirds(*made_up(1500), by=5), tmp_path)
    return pool, pool.train(**settings)


@pytest.fixture(scope="module")
def unpenalised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pool, Federated]:
    """Return a federation that was trained without a penalty."""
    return _train(tmp_path_factory.mktemp("unpenalised"), penalty="none")


def _design(pool: Pool, result: Federated) -> tuple[Floats, Floats]:
    """Return the pooled, prepared rows with a column of ones, and the probabilities."""
    A = np.column_stack([pool.scaled(result), np.ones(len(pool.y))])
    return A, 1 / (1 + np.exp(-A @ parameters(result)))


def _errors(result: Federated) -> Floats:
    assert result.model.inference is not None
    blocks = [*result.model.inference["features"], result.model.inference["intercept"]]
    return np.array([block["standard_error"] for block in blocks])


def test_without_a_penalty_they_are_the_inverse_information(unpenalised: tuple[Pool, Federated]) -> None:
    """What statsmodels' Logit and R's glm print: the diagonal of (Aᵀ diag(p (1 - p)) A)⁻¹."""
    pool, result = unpenalised
    A, p = _design(pool, result)
    covariance = np.linalg.inv((A.T * (p * (1 - p))) @ A)
    np.testing.assert_allclose(_errors(result), np.sqrt(np.diag(covariance)), rtol=1e-6)


def test_without_a_penalty_all_figures_are_those_of_statsmodels(unpenalised: tuple[Pool, Federated]) -> None:
    """Coefficients, standard errors, z, p and intervals of its Logit on the pooled rows."""
    pool, result = unpenalised
    A, _ = _design(pool, result)
    reference = Logit(pool.y, A).fit(disp=0, method="newton", tol=1e-14, maxiter=100)
    assert result.model.inference is not None
    blocks = [*result.model.inference["features"], result.model.inference["intercept"]]
    for name, values in (
        ("coefficient", reference.params),
        ("standard_error", reference.bse),
        ("z", reference.tvalues),
        ("p", reference.pvalues),
        ("low", reference.conf_int()[:, 0]),
        ("high", reference.conf_int()[:, 1]),
    ):
        np.testing.assert_allclose([block[name] for block in blocks], values, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(
            Model(result.model).coefficients[name], [block[name] for block in blocks[:-1]]
        )


@pytest.mark.parametrize("balanced", [False, True])
def test_under_an_l2_penalty_there_are_estimates_and_no_tests(*, balanced: bool, tmp_path: Path) -> None:
    """Coefficients and odds ratios, no figure of how sure they are, and one line of why."""
    _, result = _train(tmp_path, balanced=balanced)
    model = result.model
    assert model.inference is not None
    assert model.inference["penalty"] == "l2"
    assert "--penalty none or --penalty firth" in model.inference["reason"]
    assert not {"method", "confidence"} & set(model.inference)
    for one, b, scale in zip(model.inference["features"], model.coef, model.preprocessing.scale, strict=True):
        natural = {"coefficient": b / scale, "odds_ratio": math.exp(b / scale)}
        assert one == {"name": one["name"], "coefficient": b, "odds_ratio": np.exp(b), "natural": natural}
    assert model.inference["intercept"].keys() == {"coefficient", "natural"}
    assert "standard_error" not in Model(model).coefficients


def test_after_smote_there_are_estimates_and_no_tests(tmp_path: Path) -> None:
    """Synthetic rows are no observations, whatever the penalty."""
    told = Preparation(resample="smote", rows=4000, positives=400, synthetic=False)
    pool = Pool(thirds(*made_up(1500), by=5), tmp_path, prepared=[told] * 3)
    result = pool.train(penalty="none")
    assert result.model.inference is not None
    assert "--resample none" in result.model.inference["reason"]
    assert "p" not in result.model.inference["features"][0]


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


def test_the_figures_of_a_coefficient_belong_together(unpenalised: tuple[Pool, Federated]) -> None:
    """z, p, interval and odds ratio follow from coefficient and standard error; units change both alike."""
    _, result = unpenalised
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
        ratios = (natural["odds_ratio_low"], natural["odds_ratio"], natural["odds_ratio_high"])
        assert ratios == pytest.approx(tuple(np.exp(np.array([low, coefficient, high]) / scale)))


def test_the_natural_intercept_belongs_to_unscaled_columns(unpenalised: tuple[Pool, Federated]) -> None:
    """Natural coefficients and intercept score unscaled columns; errors are those of such a fit."""
    pool, result = unpenalised
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
    """A constant column is in no model, equal columns are named, and null without a penalty."""
    X, y = made_up(d=3)
    X = np.column_stack([X, X[:, 0], np.full(len(y), 7.0)])
    result = Pool(thirds(X, y), tmp_path).train(penalty=penalty)
    inference = result.model.inference
    assert inference is not None
    assert inference["undetermined"] == [["x0", "x3"]]
    assert inference["absent"] == []
    undefined = [one["coefficient"] is None for one in inference["features"]]
    assert undefined == [penalty == "none", False, False, penalty == "none"]
    assert [one["natural"]["coefficient"] is None for one in inference["features"]] == undefined
    assert [one["odds_ratio"] is None for one in inference["features"]] == undefined
    assert inference["intercept"]["coefficient"] is not None
    assert inference["intercept"]["natural"]["coefficient"] is not None


def _in_process(X: Floats, y: NDArray[np.int64]) -> dict[str, Any]:
    """Return what three clients' sums say, without a penalty and without a federation around them."""
    strategy, w = FedNewton(l2=0.0), np.zeros(X.shape[1] + 1)
    while not strategy.newton.converged:
        told = {}
        for part in range(3):
            A = np.column_stack([X[part::3], np.ones(len(X[part::3]))])
            one = newton.sums(A, y[part::3], w, (1.0, 1.0))
            told[f"c{part}"] = Sums(one.rows, one.loss, one.gradient, one.arrays()["hessian"], None)
        w = strategy.newton.propose(w, told)
    d = X.shape[1]
    preprocessing = Preprocessing(
        features=tuple(f"x{i}" for i in range(d)), log1p=(False,) * d, mean=np.zeros(d), scale=np.ones(d)
    )
    model = LinearModel(
        label="y", preprocessing=preprocessing, coef=w[:-1], intercept=float(w[-1]), provenance={}
    )
    inference = infer(strategy, model, penalty="none", reason=None)
    assert inference is not None
    return inference


def test_an_undefined_intercept_is_null_in_every_unit() -> None:
    """Indicators of all levels add up to the intercept's ones; two other columns add up to a third."""
    X, y = made_up(d=3)
    X /= X.std(axis=0)
    level = np.random.default_rng(0).integers(0, 3, len(y))
    X = np.column_stack([X, level[:, np.newaxis] == range(3), X[:, 1] - 5 * X[:, 2]])
    inference = _in_process(X, y)
    assert inference["undetermined"] == [["x1", "x2", "x6"], ["x3", "x4", "x5", INTERCEPT]]
    intercept = dict(inference["intercept"])
    assert set(intercept.pop("natural").values()) == {None}
    assert set(intercept.values()) == {None}
    assert inference["features"][0]["p"] is not None


def test_an_intercept_that_only_centred_columns_have_is_null_in_natural_units(tmp_path: Path) -> None:
    """Centred, the indicators of all levels say nothing of the intercept; as they are, they add up to it."""
    X, y = made_up(d=3)
    level = np.random.default_rng(0).integers(0, 3, len(y))
    X = np.column_stack([X, level[:, np.newaxis] == range(3)])
    inference = Pool(thirds(X, y), tmp_path).train(penalty="none").model.inference
    assert inference is not None
    assert inference["undetermined"] == [["x3", "x4", "x5"]]
    assert inference["intercept"]["p"] is not None
    assert set(inference["intercept"]["natural"].values()) == {None}


def test_a_null_effect_is_found_as_often_as_chance_has_it() -> None:
    """x1 is x0 with noise and has no effect: p < 0.05 in 3 to 7 % of 400 draws.

    From the spread of estimates under an l2 penalty, which share the effect of x0, it was 46 %.
    """
    rng, found = np.random.default_rng(3), 0
    for _ in range(400):
        x = rng.normal(size=200)
        X = np.column_stack([x, x + 0.1 * rng.normal(size=200)])
        y = (rng.random(200) < 1 / (1 + np.exp(-x))).astype(np.int64)
        found += _in_process(X, y)["features"][1]["p"] < 0.05
    assert 0.03 <= found / 400 <= 0.07


def test_each_reason_says_what_to_do() -> None:
    """Tests are valid without a penalty and with Firth's, of rows that were observed."""
    assert reason_for_no_tests("none") is None
    assert reason_for_no_tests("firth", "none") is None
    assert reason_for_no_tests("none", "balanced") is None
    assert "--resample none" in str(reason_for_no_tests("firth", "smote"))
    assert "--penalty firth" in str(reason_for_no_tests("l2", "none"))


def test_it_is_kept_in_the_model(tmp_path: Path) -> None:
    """model.json has it, in a format of its own number, and gives it back to the last bit."""
    _, result = _train(tmp_path)
    text = result.model.to_json()
    assert json.loads(text)["format_version"] == 2
    again = LinearModel.from_json(text)
    assert again.inference == result.model.inference
    assert again.to_json() == text
