"""Heart disease at four hospitals, one of them with a single class: ours beside what others published.

python -m benchmarks.heart ../shared/data/heart
"""

import datetime as dt
import logging
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from benchmarks.machine import describe
from benchmarks.prepared import write_prepared
from benchmarks.results import write_section
from federation.cli.progress import Progress
from federation.data.table import Table
from federation.learning.settings import TrainingSettings
from federation.model.linear import LinearModel
from federation.runs.local.training import LocalRun, train_locally

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
SINGLE_CLASS = "switzerland"  # its training rows; stratifying them is impossible
ROUNDS = {"fedavg": 50, "fednewton": 20}  # at most

# Published for the same preprocessing and split, mean of the four hospitals: Ogier du Terrail et al. 2022,
# "FLamby", and NVFlare's example of Newton's method.
PUBLISHED = {
    "FLamby, FedAvg (published)": 0.685,
    "FLamby, the best federated, FedYogi (published)": 0.731,
    "FLamby, pooled (published)": 0.735,
    "NVFlare, Newton (published)": 0.713,
}


def hospital(path: Path) -> tuple[Table, Table]:
    """Return a hospital's training and test rows, as FLamby prepares and splits them."""
    frame = pd.read_csv(path, header=None, na_values="?").drop(columns=[10, 11, 12]).dropna()
    y = (frame.pop(13) > 0).to_numpy(np.int64)
    for column, levels in ((2, (2, 3, 4)), (6, (1, 2))):  # one-hot, the first level dropped
        for level in levels:
            frame[f"{column}={level}"] = (frame[column] == level).astype(float)
        frame = frame.drop(columns=[column])
    stratify = None if path.stem.endswith(SINGLE_CLASS) else y
    parts = train_test_split(
        np.arange(len(y)),
        test_size=1 - 0.66,
        train_size=0.66,
        random_state=43,
        shuffle=True,
        stratify=stratify,
    )
    names = tuple(f"c{name}" for name in frame.columns)
    X = frame.to_numpy(np.float64)
    train, test = (Table(features=names, X=X[part], y=y[part], label="disease") for part in parts)
    return train, test


def federate(data: Path, out: Path, strategy: str) -> LinearModel:
    """Run one federation of four client processes."""
    train_locally(
        LocalRun(
            source=data,
            preparation=None,
            training=TrainingSettings(strategy=strategy, rounds=ROUNDS[strategy]),
            out=out,
            started=dt.datetime.now(dt.UTC),
        ),
        Progress(),
    )
    return LinearModel.from_json((out / "model.json").read_text())


def pooled(model: LinearModel, train: Table) -> LinearModel:
    """Return scikit-learn's optimum on all training rows in one place, with the scaling of ``model``."""
    fit = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1_000)
    fit.fit(model.preprocessing.apply(train.X), train.y)
    return LinearModel(
        label=model.label,
        preprocessing=model.preprocessing,
        coef=fit.coef_[0],
        intercept=float(fit.intercept_[0]),
        provenance={},
    )


def pooled_without_log(train: Table, tests: Mapping[str, Table]) -> list[float]:
    """Return the accuracies of the pooled optimum with plain standardisation, the usual recipe."""
    mean, scale = train.X.mean(axis=0), train.X.std(axis=0)
    fit = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit((train.X - mean) / scale, train.y)
    return [float(fit.score((test.X - mean) / scale, test.y)) for test in tests.values()]


def accuracies(model: LinearModel, tests: Mapping[str, Table]) -> list[float]:
    """Return the share of right decisions at each hospital."""
    return [float(np.mean((model.predict_proba(test.X) >= 0.5) == test.y)) for test in tests.values()]  # noqa: PLR2004


def main(source: Path) -> None:
    """Measure, and write the table."""
    logging.getLogger("flwr").setLevel(logging.ERROR)  # as every command of ours does
    machine = describe()
    clients = {name: hospital(source / f"processed.{name}.data") for name in HOSPITALS}
    tests = {name: pair[1] for name, pair in clients.items()}
    rows: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        train, _ = write_prepared(Path(folder) / "data", clients, synthetic=False)
        for strategy in ROUNDS:
            model = federate(Path(folder) / "data", Path(folder) / strategy, strategy)
            title = f"ours, {strategy}, {model.provenance['rounds']} rounds"
            optimum = pooled(model, train)
            rows[title] = _cells(accuracies(model, tests), f"{_distance(model, optimum):.1e}")
            rows["pooled scikit-learn, the same scaling"] = _cells(accuracies(optimum, tests), "–")
        rows["pooled scikit-learn, without log1p"] = _cells(pooled_without_log(train, tests), "–")
    rows |= {title: f"– | – | – | – | **{mean:.3f}** | –" for title, mean in PUBLISHED.items()}
    counts = ", ".join(f"{name} {len(pair[0].y)} ({int(pair[0].y.sum())})" for name, pair in clients.items())
    lines = [
        "Accuracy on each hospital's own test rows, preprocessing and split as in FLamby. Training rows",
        f"(positive): {counts}. The published figures are means; they were not measured here.",
        "",
        f"| | {' | '.join(HOSPITALS)} | mean | distance to pooled |",
        "|---|---|---|---|---|---|---|",
        *(f"| {title} | {cells} |" for title, cells in rows.items()),
    ]
    write_section("Heart disease, four hospitals", machine, lines)


def _cells(values: list[float], distance: str) -> str:
    return " | ".join(f"{value:.3f}" for value in values) + f" | **{np.mean(values):.3f}** | {distance}"


def _distance(model: LinearModel, optimum: LinearModel) -> float:
    ours, best = (np.append(one.coef, one.intercept) for one in (model, optimum))
    return float(np.linalg.norm(ours - best) / np.linalg.norm(best))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
