"""Write a model as one fitted scikit-learn Pipeline, which needs none of our code to load.

Every step gets its numbers by fitting public transformers to a row or two that hold them, or by setting the
attributes that a fit would.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from client_code.protocol.pipeline import STEPS, Plan, plan
from federation.files import replacing
from federation.model.linear import LinearModel

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_pipeline(model: LinearModel) -> Pipeline:
    """Return a model as one fitted scikit-learn Pipeline: transform, scale, classify.

    It takes a DataFrame of raw columns by name, in any order; other columns are ignored, a missing one
    raises. It refers to scikit-learn and NumPy only, so loading it needs no code of ours.
    """
    preprocessing = model.preprocessing
    planned = plan(preprocessing.encoding.features, preprocessing.log1p)
    order, rows = planned.order, model.provenance.get("rows")
    n_samples = rows if isinstance(rows, int) else 0
    return Pipeline(
        [
            ("transform", _transformer(planned)),
            ("scale", _scaler(preprocessing.mean[order], preprocessing.scale[order], n_samples)),
            ("classify", _classifier(model.coef[order], model.intercept)),
        ]
    )


def _transformer(planned: Plan) -> ColumnTransformer:
    """Return the transformer of the raw columns, fitted to a row that tells it names and fillings."""
    steps = {
        "log1p": FunctionTransformer(np.log1p, feature_names_out="one-to-one"),
        "numbers": _as_type("float64"),
        "texts": _as_type("str"),
        "fill": SimpleImputer(strategy="mean"),  # fitted to the one row, it fills in that row's values
        "missing": FunctionTransformer(pd.isna),
        "levels": OneHotEncoder(categories=planned.levels, handle_unknown="ignore", sparse_output=False),
    }
    made = {part: Pipeline([(name, steps[name]) for name in names]) for part, names in STEPS.items() if names}
    made |= {
        part: Pipeline([("texts", steps["texts"]), ("others", _none_of(known))])
        for part, known in planned.known.items()
    }
    parts = [(part, made.get(part, "passthrough"), columns) for part, columns in planned.columns.items()]
    return ColumnTransformer(parts, verbose_feature_names_out=False).fit(pd.DataFrame(planned.row))


def _none_of(known: list[str]) -> FunctionTransformer:
    return FunctionTransformer(np.isin, kw_args={"test_elements": known, "invert": True})


def _as_type(dtype: str) -> FunctionTransformer:
    return FunctionTransformer(np.asarray, kw_args={"dtype": dtype}, feature_names_out="one-to-one")


def _scaler(mean: "NDArray[np.float64]", scale: "NDArray[np.float64]", rows: int) -> StandardScaler:
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = mean, scale, scale**2
    scaler.n_features_in_, scaler.n_samples_seen_ = len(mean), rows
    return scaler


def _classifier(coef: "NDArray[np.float64]", intercept: float) -> LogisticRegression:
    classifier = LogisticRegression()
    classifier.classes_ = np.array([0, 1])
    classifier.coef_, classifier.intercept_ = coef[np.newaxis, :], np.array([intercept])
    classifier.n_features_in_, classifier.n_iter_ = len(coef), np.zeros(1, dtype=np.int32)
    return classifier


def save(model: LinearModel, folder: Path) -> None:
    """Write ``model.joblib`` and ``model.json`` into `folder`; each appears whole or not at all."""
    with replacing(folder / "model.joblib") as path:
        joblib.dump(to_pipeline(model), path)
    with replacing(folder / "model.json") as path:
        path.write_text(model.to_json(), encoding="utf-8")
