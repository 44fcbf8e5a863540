"""Federations of the clients' and the server's own code in one process: many of them for simulations."""

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from benchmarks.poisoning import Peers, Silent
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import Table, read_table
from federation.learning.federate import Federated, federate
from federation.learning.settings import TrainingSettings

Floats = NDArray[np.float64]
Rows = tuple[Floats, NDArray[np.int64]]
App = Callable[..., Message]


def train_here(apps: Mapping[str, App], test: Table, settings: TrainingSettings) -> Federated:
    """Run one federation of these clients' apps."""
    peers = Peers(apps, None)
    name_of = peers.names.__getitem__
    return federate(peers, settings, test, name_of=name_of, observer=Silent(), provenance={})


def newton_of(clients: Sequence[Rows], features: Sequence[str], **options: Any) -> Federated:
    """Run federated Newton among clients with these rows, which nothing is held back of.

    Parameters
    ----------
    clients : sequence of (X, y)
        Their rows.
    features : sequence of str
        The columns' names.
    **options
        Further fields of the training's settings.
    """
    utils = _client_module("utils")
    apps = {}
    with tempfile.TemporaryDirectory() as folder:
        for i, (X, y) in enumerate(clients):
            rows = utils.Table(features=tuple(features), X=X, y=y)
            task = utils.Task(
                name=f"c{i}",
                label="y",
                train=rows,
                validation=rows,
                max_iter=1,
                model_dir=Path(folder) / f"c{i}",
            )
            apps[f"c{i}"] = _app(task, None)
        X, y = clients[0]
        test = Table(features=tuple(features), X=X[:10], y=y[:10], label="y")
        return train_here(apps, test, TrainingSettings(strategy="fednewton", rounds=50, **options))


def prepared(source: Path, out: Path, settings: PreparationSettings) -> tuple[dict[str, App], Table]:
    """Prepare a table; return each client's app, for l2 fits of ten iterations, and the server's rows."""
    prepare(source, out, settings)
    apps = {}
    for part in sorted(out.glob("client-*")):
        task = _client_module("memory").open_task(
            part / "train.csv",
            part / "validation.csv",
            name=part.name,
            label=settings.label,
            max_iter=10,
            model_dir=out / "models" / part.name,
        )
        apps[part.name] = _app(task, _client_module("preparation").read(part))
    return apps, read_table(out / "server" / "test.csv", label=settings.label)


def _app(task: object, preparation: object) -> App:
    return cast("App", _client_module("client").create_app(task, preparation))


def _client_module(name: str) -> Any:  # noqa: ANN401 - the clients' flat modules, which nothing here imports
    folder = str(Path(__file__).resolve().parent.parent / "client_code")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return __import__(name)
