"""FedProx's local fit is the optimum of its paper's objective, found here in another way."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from numpy.typing import NDArray
from scipy.special import expit

import client
import proximal
import utils
from client_code.protocol.training import PROXIMAL_MU, TRAIN_LOSS
from federation.learning.rounds.training import as_record
from federation.model import linear as server_model
from tests.client_code.test_client import model_of, parameters

START = ((0.4, -0.2, 0.1), -0.3)


def optimum(
    table: utils.Table, start: NDArray[np.float64], weights: tuple[float, float], mu: float, l2: float
) -> NDArray[np.float64]:
    """Return the objective's minimum by Newton's method, which has its second derivatives."""
    A, n = np.column_stack([table.X, np.ones(len(table.y))]), len(table.y)
    v, w = np.asarray(weights)[table.y], start.copy()
    ridge = np.diag([l2 / n] * (w.size - 1) + [0.0])
    for _ in range(50):
        p = expit(A @ w)
        gradient = A.T @ (v * (p - table.y)) / n + ridge @ w + mu * (w - start)
        hessian = (A.T * (v * p * (1 - p))) @ A / n + ridge + mu * np.eye(w.size)
        w = w - np.linalg.solve(hessian, gradient)
    assert np.abs(gradient).max() < 1e-13
    return w


@pytest.mark.parametrize("only", [None, 0, 1])
@pytest.mark.parametrize(
    ("mu", "l2", "weights"), [(0.1, 1.0, (1.0, 1.0)), (0.01, 0.0, (1.0, 1.0)), (1.0, 0.3, (0.6, 3.0))]
)
def test_the_fit_is_the_optimum(
    mu: float,
    l2: float,
    weights: tuple[float, float],
    only: int | None,
    make_table: Callable[..., utils.Table],
) -> None:
    """With iterations enough: with and without penalty and class weights, also with rows of one class."""
    raw = make_table(120, only=only)
    table = utils.Table(features=raw.features, X=(raw.X - raw.X.mean(axis=0)) / raw.X.std(axis=0), y=raw.y)
    model = model_of(parameters(*START))
    model.max_iter, model.tol = 1000, 1e-12
    start = utils.flat(model)
    proximal.fit(model, table, weights, mu=mu, l2=l2)
    np.testing.assert_allclose(utils.flat(model), optimum(table, start, weights, mu, l2), rtol=0, atol=1e-6)


def ask(task: utils.Task, agreed: server_model.Preprocessing, config: Mapping[str, Any]) -> Message:
    """Return a client's answer to a round with these settings."""
    asked = ConfigRecord({"class-weight": [1.0, 1.0], "l2": 1.0, "rows": len(task.train.y), **config})
    content = RecordDict({"arrays": parameters(*START), "config": asked, "preprocessing": as_record(agreed)})
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
    return client.create_app(task)(Message(content, 2, "train"), context)


def test_the_server_asks_for_it(
    make_task: Callable[..., utils.Task], agreed: server_model.Preprocessing, agreement: str
) -> None:
    """Flower's FedProx sends its weight; the penalty and the maximum of iterations are those of every fit."""
    task = make_task()
    update = ask(task, agreed, {PROXIMAL_MU: 0.1}).content.array_records["arrays"]
    expected = model_of(parameters(*START))
    proximal.fit(expected, task.prepared(agreement).train, (1.0, 1.0), mu=0.1, l2=1.0)
    np.testing.assert_array_equal(update["coef"].numpy(), expected.coef_)
    np.testing.assert_array_equal(update["intercept"].numpy(), expected.intercept_)


def test_a_weight_of_zero_is_the_usual_fit(
    make_task: Callable[..., utils.Task], agreed: server_model.Preprocessing
) -> None:
    """To the last bit."""
    task = make_task()
    with_it, without = (ask(task, agreed, config) for config in ({PROXIMAL_MU: 0.0}, {}))
    np.testing.assert_array_equal(
        with_it.content.array_records["arrays"]["coef"].numpy(),
        without.content.array_records["arrays"]["coef"].numpy(),
    )


def test_the_loss_before_the_fit_is_told_to_who_asks(
    make_task: Callable[..., utils.Task], agreed: server_model.Preprocessing, agreement: str
) -> None:
    """Of the model that was sent, on the training rows; nobody else is told."""
    task = make_task()
    asked, unasked = (ask(task, agreed, config) for config in ({TRAIN_LOSS: True}, {}))
    expected = utils.score(model_of(parameters(*START)), task.prepared(agreement).train)["loss"]
    assert asked.content.metric_records["metrics"][TRAIN_LOSS] == pytest.approx(expected, rel=1e-12)
    assert TRAIN_LOSS not in unasked.content.metric_records["metrics"]
