"""The rows of every contender: prepared once, and standardised for the peers that agree on no scaling."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from federation.data.preparation.manifest import read_manifest
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.data.table import read_table
from federation.model.quality.metrics import evaluate
from federation.model.quality.yardsticks import fit_pooled


class Reference:
    """The synthetic CMS table, cut into three sites, and the pooled optimum that every contender aims at.

    Parameters
    ----------
    data : Path
        Where the prepared rows go, and what the peers read.
    clients : int
        How many.
    """

    def __init__(self, data: Path, clients: int) -> None:
        prepare(None, data, PreparationSettings(label=LABEL, clients=clients, resample="none"))
        names = list(read_manifest(data).clients)
        train = {name: read_table(data / name / "train.csv", label=LABEL) for name in names}
        preprocessing = fit_pooled(train).preprocessing
        (data / "standardised").mkdir()
        for name, table in train.items():
            validation = read_table(data / name / "validation.csv", label=LABEL)
            np.savez(
                data / "standardised" / f"{name}.npz",
                Z=preprocessing.apply(table.X),
                y=table.y,
                Z_validation=preprocessing.apply(validation.X),
                y_validation=validation.y,
            )
        test = read_table(data / "server" / "test.csv", label=LABEL)
        self._Z, self._y = preprocessing.apply(test.X), test.y
        self._optimum = _optimum(
            np.concatenate([preprocessing.apply(table.X) for table in train.values()]),
            np.concatenate([table.y for table in train.values()]),
        )

    def judge(self, coef: NDArray[np.float64], intercept: float) -> dict[str, float]:
        """Score coefficients on the held-back rows, and tell how far they are from the pooled optimum."""
        figures = evaluate(self._y, 1.0 / (1.0 + np.exp(-(self._Z @ coef + intercept))))
        distance = np.linalg.norm(np.append(coef, intercept) - self._optimum) / np.linalg.norm(self._optimum)
        return {
            "roc_auc": figures["roc_auc"] or float("nan"),
            "average_precision": figures["average_precision"] or float("nan"),
            "distance": float(distance),
        }


def _optimum(Z: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    model = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1_000).fit(Z, y)
    return np.append(model.coef_[0], model.intercept_)
