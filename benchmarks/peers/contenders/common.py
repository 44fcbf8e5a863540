"""What every contender does alike: read standardised rows, fit, score, and note when a round ended.

It runs in every peer's own environment, so it needs numpy and scikit-learn only.
"""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

MAX_ITER = 10


class Rows(NamedTuple):
    """A client's standardised rows."""

    Z: Any
    y: Any
    Z_validation: Any
    y_validation: Any


def parser() -> argparse.ArgumentParser:
    """Return the options that every contender takes."""
    made = argparse.ArgumentParser()
    made.add_argument("--data", type=Path, required=True, help="what benchmarks.peers.rows wrote")
    made.add_argument("--rounds", type=int, required=True)
    made.add_argument("--out", type=Path, required=True, help="where the marks and the result go")
    return made


def names(data: Path) -> list[str]:
    """Return the clients' names."""
    return sorted(path.stem for path in (data / "standardised").glob("*.npz"))


def load(data: Path, name: str) -> Rows:
    """Read a client's rows."""
    with np.load(data / "standardised" / f"{name}.npz") as arrays:
        return Rows(*(arrays[field] for field in Rows._fields))


def fit(coef: Any, intercept: Any, rows: Rows) -> tuple[Any, Any]:
    """Go on from these coefficients for ten iterations; return the new ones."""
    model = _model(coef, intercept)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows.Z, rows.y)
    return model.coef_, model.intercept_


def score(coef: Any, intercept: Any, rows: Rows) -> dict[str, float]:
    """Score these coefficients on a client's validation rows."""
    p = _model(coef, intercept).predict_proba(rows.Z_validation)[:, 1]
    return {
        "loss": float(log_loss(rows.y_validation, p)),
        "roc_auc": float(roc_auc_score(rows.y_validation, p)),
    }


def mark(out: Path) -> None:
    """Note that a round has ended."""
    with (out / "marks").open("a") as file:
        file.write(f"{time.monotonic()!r}\n")


def write_result(out: Path, coef: Any, intercept: Any) -> None:
    """Write the final coefficients."""
    result = {"coef": np.ravel(coef).tolist(), "intercept": float(np.ravel(intercept)[0])}
    (out / "result.json").write_text(json.dumps(result))


def _model(coef: Any, intercept: Any) -> LogisticRegression:
    model = LogisticRegression(max_iter=MAX_ITER, warm_start=True)
    model.coef_ = np.array(coef, dtype=np.float64).reshape(1, -1)
    model.intercept_ = np.array(intercept, dtype=np.float64).reshape(1)
    model.classes_ = np.array([0, 1])
    model.n_features_in_ = model.coef_.shape[1]
    return model
