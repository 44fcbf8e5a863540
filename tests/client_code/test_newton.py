"""What a client sends to federated Newton: sums over its rows, right for any rows and any parameters."""

import numpy as np
import pytest
from numpy.typing import NDArray

import newton
import utils

Floats = NDArray[np.float64]


def _table(rows: int = 1000, *, d: int = 4, seed: int = 0) -> utils.Table:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, d))
    y = (rng.random(rows) < 1 / (1 + np.exp(1 - X[:, 0]))).astype(np.int64)
    return utils.Table(features=tuple("abcdefgh"[:d]), X=X, y=y)


def _sums(
    table: utils.Table, w: Floats, weights: tuple[float, float] = (1.0, 1.0), rows: int = 128
) -> newton.Contribution:
    return newton.contribution(utils.design_chunks(table, rows), w, weights)


def _full(packed: Floats, k: int) -> Floats:
    square = np.zeros((k, k))
    square[np.triu_indices(k)] = packed
    return square + np.triu(square, 1).T


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 4.0), (0.0, 1.0)])
def test_sums_are_those_of_the_formulas(weights: tuple[float, float]) -> None:
    """Loss, gradient, Hessian and scores in chunks equal the plain formulas over all rows."""
    table, w = _table(), np.array([0.3, -0.2, 0.1, 0.0, -0.5])
    sums = _sums(table, w, weights)
    A, y = np.column_stack([table.X, np.ones(len(table.y))]), table.y
    p, v = 1 / (1 + np.exp(-A @ w)), np.asarray(weights)[table.y]
    assert sums.rows == 1000
    losses = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    assert sums.loss == pytest.approx((v * losses).sum(), rel=1e-12)
    assert sums.mean_loss == pytest.approx(losses.mean(), rel=1e-12)
    np.testing.assert_allclose(sums.gradient, A.T @ (v * (p - y)), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(_full(sums.hessian, 5), (A.T * (v * p * (1 - p))) @ A, rtol=1e-11, atol=1e-11)
    if weights[0] == weights[1]:
        assert sums.scores is None
    else:
        assert sums.scores is not None
        np.testing.assert_allclose(
            _full(sums.scores, 5), (A.T * (v * (p - y)) ** 2) @ A, rtol=1e-11, atol=1e-11
        )


def test_the_derivatives_are_those_of_the_loss() -> None:
    """Central differences of the loss give the gradient, and those of the gradient the Hessian."""
    table, w, step = _table(200), np.array([0.3, -0.2, 0.1, 0.0, -0.5]), 1e-6
    at = _sums(table, w, (1.0, 3.0))
    moves = [(_sums(table, w + e, (1.0, 3.0)), _sums(table, w - e, (1.0, 3.0))) for e in step * np.eye(5)]
    slopes = [(up.loss - down.loss) / (2 * step) for up, down in moves]
    np.testing.assert_allclose(at.gradient, slopes, rtol=1e-6, atol=1e-5)
    curvature = np.array([(up.gradient - down.gradient) / (2 * step) for up, down in moves])
    np.testing.assert_allclose(_full(at.hessian, 5), curvature, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("size", [1e4, 1e300])
def test_large_parameters_overflow_nothing(size: float) -> None:
    """Far from the data the loss is large and finite, and no warning is raised."""
    table = utils.Table(features=("a",), X=np.array([[1.0], [-1.0]]), y=np.array([0, 0]))
    sums = _sums(table, np.array([size, 0.0]))
    assert sums.loss == size
    np.testing.assert_array_equal(sums.gradient, [1.0, 1.0])
    np.testing.assert_array_equal(sums.hessian, [0.0, 0.0, 0.0])


def test_rows_without_weight_count_for_nothing() -> None:
    """Rows of a class of weight zero change no sum, and are counted."""
    table, w = _table(), np.full(5, 0.1)
    only = utils.Table(features=table.features, X=table.X[table.y == 1], y=table.y[table.y == 1])
    both, ones = _sums(table, w, (0.0, 1.0)), _sums(only, w, (0.0, 1.0))
    assert both.loss == pytest.approx(ones.loss, rel=1e-13)
    np.testing.assert_allclose(both.hessian, ones.hessian, rtol=1e-12, atol=1e-12)
    assert (both.rows, ones.rows) == (1000, len(only.y))


def test_the_rows_stay_as_they_are() -> None:
    """The work is done on copies of chunks: a second pass gives the same to the last bit."""
    table, w = _table(), np.full(5, 0.1)
    before = table.X.copy()
    first, second = _sums(table, w), _sums(table, w)
    np.testing.assert_array_equal(table.X, before)
    np.testing.assert_array_equal(first.hessian, second.hessian)
    assert first.loss == second.loss


def test_what_travels_does_not_grow_with_the_rows() -> None:
    """Ten or a thousand rows: the same arrays of the same shapes, none with a row's length."""
    few, many = (
        {name: values.shape for name, values in _sums(_table(rows), np.zeros(5)).arrays().items()}
        for rows in (10, 1000)
    )
    assert few == many == {"loss": (1,), "gradient": (5,), "hessian": (15,)}
