"""One client's rows and task, small and made up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import utils
from federation.learning.rounds.training import as_record
from federation.model import linear as model
from preprocessing import Preprocessing

FEATURES = ("amount", "balance", "count")


@pytest.fixture
def make_table() -> Callable[..., utils.Table]:
    """Make tables of a heavy-tailed, a signed and a counted column; ``only`` gives all rows one class."""

    def make(rows: int = 80, *, seed: int = 0, only: int | None = None) -> utils.Table:
        rng = np.random.default_rng(seed)
        X = np.column_stack([rng.lognormal(3, 2, rows), rng.normal(-5, 3, rows), rng.poisson(4, rows)])
        risk = np.log1p(X[:, 0]) - X[:, 1] / 3 + rng.normal(0, 1, rows)
        y = (risk > np.median(risk)).astype(np.int64) if only is None else np.full(rows, only)
        return utils.Table(features=FEATURES, X=X.astype(np.float64), y=y)

    return make


@pytest.fixture
def preprocessing() -> Preprocessing:
    """Return a scaling that fits those tables, with its columns in another order than theirs."""
    return Preprocessing(
        features=("balance", "count", "amount"),
        log1p=np.array([False, True, True]),
        mean=np.array([-5.0, 1.5, 3.0]),
        scale=np.array([3.0, 0.5, 1 / 3]),
    )


@pytest.fixture
def agreed(preprocessing: Preprocessing) -> model.Preprocessing:
    """Return the server's form of that scaling."""
    return model.Preprocessing(
        features=preprocessing.features,
        log1p=tuple(preprocessing.log1p.tolist()),
        mean=preprocessing.mean,
        scale=preprocessing.scale,
    )


@pytest.fixture
def agreement(agreed: model.Preprocessing) -> str:
    """Return that scaling as the server writes it down for its clients."""
    return str(as_record(agreed)["json"])


@pytest.fixture
def make_task(make_table: Callable[..., utils.Table], tmp_path: Path) -> Callable[..., utils.Task]:
    """Make a client's task with so many training rows."""

    def make(rows: int = 80, **changes: object) -> utils.Task:
        parts = {
            "name": "a",
            "label": "fraud",
            "train": make_table(rows),
            "validation": make_table(40, seed=1),
            "max_iter": 10,
            "model_dir": tmp_path / "model",
        }
        return utils.Task(**(parts | changes))  # type: ignore[arg-type]

    return make
