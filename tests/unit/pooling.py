"""Federations in this process whose clients' rows can be pooled, to compare with scikit-learn."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import Context, Message, RecordDict
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

import client
import link
import utils
from federation.data.table import Table
from federation.learning.federate import Federated, federate
from federation.learning.settings import TrainingSettings
from ledger import Ledger
from protocol.preparation import Preparation
from streamed import StreamedTask
from tests.unit.test_checked_strategy import FakeGrid, Notes, Spoil

if TYPE_CHECKING:
    from federation.learning.preprocessing.prepared import Prepared
    from federation.learning.rounds.record import Record

Floats = NDArray[np.float64]
Rows = tuple[Floats, NDArray[np.int64]]


class AnyOrder(FakeGrid):
    """A grid whose clients answer in an order drawn anew each time."""

    def __init__(self, clients: Sequence[link.Answer], spoil: Mapping[int, Spoil], seed: int) -> None:
        super().__init__(clients, spoil)
        self._rng = np.random.default_rng(seed)
        self.exchanges = 0

    def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> list[Message]:
        """Ask all clients and return their replies shuffled."""
        replies = super().send_and_receive(messages, timeout=timeout)
        self.exchanges += bool(replies)
        self._rng.shuffle(replies)
        return replies


class Pool:
    """Clients with the given rows; each also validates on them.

    Parameters
    ----------
    clients : sequence of (X, y)
        Their rows.
    folder : Path
        Where models go.
    spoil : mapping of int to callable
        As for FakeGrid, by node id from 2 on.
    seed : int
        Of the order of answers.
    test : sequence of (X, y), optional
        The server's rows.
    tasks : sequence of StreamedTask, optional
        Of the same rows, in files.
    prepared : sequence of Preparation or None, optional
        How each client's rows were prepared; unless given they are as they were.
    """

    def __init__(
        self,
        clients: Sequence[Rows],
        folder: Path,
        spoil: Mapping[int, Spoil] | None = None,
        seed: int = 0,
        test: Sequence[Rows] | None = None,
        tasks: Sequence[StreamedTask] | None = None,
        prepared: Sequence[Preparation | None] | None = None,
    ) -> None:
        self.X = np.concatenate([X for X, _ in clients])
        self.y = np.concatenate([y for _, y in clients])
        self.features = tuple(f"x{i}" for i in range(self.X.shape[1]))
        X, y = (np.concatenate([rows[i] for rows in test or clients]) for i in (0, 1))
        self.test = Table(features=self.features, X=X, y=y, label="y")
        tables = [utils.Table(features=self.features, X=X, y=y) for X, y in clients]
        in_memory = [
            utils.Task(
                name=f"c{i}",
                label="y",
                train=table,
                validation=table,
                max_iter=10,
                model_dir=folder / f"c{i}",
            )
            for i, table in enumerate(tables)
        ]
        rows: Sequence[utils.Task | StreamedTask] = tasks or in_memory
        as_they_were = [
            Preparation(resample="none", rows=len(y), positives=int(y.sum()), synthetic=False)
            for _, y in clients
        ]
        answers = [
            link.Answer(
                client.create_app(task, told),
                Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={}),
                Ledger(io.StringIO()),
            )
            for task, told in zip(rows, prepared or as_they_were, strict=True)
        ]
        self.notes = Notes()
        self.grid = AnyOrder(answers, spoil or {}, seed)

    def train(self, **settings: Any) -> Federated:
        """Run federated Newton, or another strategy; ``record`` keeps its rounds, ``prepared`` is known."""
        record: Record | None = settings.pop("record", None)
        prepared: Prepared | None = settings.pop("prepared", None)
        chosen: dict[str, Any] = {"strategy": "fednewton", "rounds": 20} | settings
        return federate(
            self.grid,
            TrainingSettings(**chosen),
            self.test,
            name_of=lambda node_id: f"c{node_id - 2}",
            observer=self.notes,
            provenance={},
            record=record,
            prepared=prepared,
        )

    def scaled(self, result: Federated) -> Floats:
        """Return the pooled rows, prepared as the federation agreed."""
        return result.model.preprocessing.prepare(
            Table(features=self.features, X=self.X, y=self.y, label="y")
        )

    def pooled(
        self, result: Federated, *, C: float = 1.0, weight: str | None = None, solver: str = "newton-cholesky"
    ) -> Floats:
        """Return scikit-learn's coefficients and intercept on those rows."""
        model = LogisticRegression(C=C, class_weight=weight, tol=1e-14, max_iter=1000, solver=solver)
        model.fit(self.scaled(result), self.y)
        return np.append(model.coef_[0], model.intercept_)


def parameters(result: Federated) -> Floats:
    """Return the coefficients, then the intercept, as trained: that of `pooled`."""
    sampling = result.model.sampling
    return np.append(result.model.coef, sampling["trained_intercept"] if sampling else result.model.intercept)


def distance(w: Floats, reference: Floats) -> float:
    """Return how far ``w`` is, relative to the reference."""
    return float(np.linalg.norm(w - reference) / np.linalg.norm(reference))


def thirds(X: Floats, y: NDArray[np.int64], by: int = 0) -> list[Rows]:
    """Cut rows into three clients by a column's values."""
    return [(X[part], y[part]) for part in np.array_split(np.argsort(X[:, by], kind="stable"), 3)]


def made_up(rows: int = 900, d: int = 6, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Draw rows whose classes overlap."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, d)) * np.logspace(-2, 2, d)
    z = X @ (rng.normal(size=d) / np.logspace(-2, 2, d)) - 1
    return X, (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(np.int64)
