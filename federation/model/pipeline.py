"""Write a model as one fitted scikit-learn Pipeline, which needs none of our code to load.

Every step gets its numbers by fitting public transformers to a row or two that hold them, or by setting the
attributes that a fit would.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from federation.files import replacing
from federation.model.features import Encoding
from federation.model.linear import LinearModel

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_pipeline(model: LinearModel) -> Pipeline:
    """Return a model as one fitted scikit-learn Pipeline: transform, scale, classify.

    It takes a DataFrame of raw columns by name, in any order; other columns are ignored, a missing one
    raises. It refers to scikit-learn and NumPy only, so loading it needs no code of ours.
    """
    preprocessing, encoding = model.preprocessing, model.preprocessing.encoding
    groups = _groups(encoding, preprocessing.log1p)
    # The ColumnTransformer puts out one group after the other: everything after it follows that order.
    order = np.array([position for group in groups.values() for position in group], dtype=np.int64)
    rows = model.provenance.get("rows")
    return Pipeline(
        [
            ("transform", _transform(encoding, groups)),
            (
                "scale",
                _scaler(
                    preprocessing.mean[order],
                    preprocessing.scale[order],
                    rows if isinstance(rows, int) else 0,
                ),
            ),
            ("classify", _classifier(model.coef[order], model.intercept)),
        ]
    )


def _groups(encoding: Encoding, log1p: tuple[bool, ...]) -> dict[str, list[int]]:
    """Return the positions of the features that are made alike, by how; levels column by column."""
    groups: dict[str, list[int]] = {
        name: [] for name in ("log1p", "identity", "filled-log1p", "filled", "missing", "levels")
    }
    for position, (feature, logged) in enumerate(zip(encoding.features, log1p, strict=True)):
        if feature.kind == "number":
            kind = "log1p" if logged else "identity"
            filled = "filled-log1p" if logged else "filled"
            groups[kind if feature.fill is None else filled].append(position)
        else:
            groups["missing" if feature.kind == "missing" else "levels"].append(position)
    return {name: positions for name, positions in groups.items() if positions}


def _transform(encoding: Encoding, groups: dict[str, list[int]]) -> ColumnTransformer:
    """Return the transformer of the raw columns, fitted to rows that tell it names, fillings and levels."""
    of_group = {
        name: list(dict.fromkeys(encoding.features[position].column for position in positions))
        for name, positions in groups.items()
    }
    levels = of_group.get("levels", [])
    fill = {feature.column: feature.fill or 0.0 for feature in encoding.features if feature.kind == "number"}
    row = {column: ["" if column in levels else fill.get(column, 0.0)] for column in encoding.columns}
    parts = [(name, _step(name, encoding, columns), columns) for name, columns in of_group.items()]
    return ColumnTransformer(parts, verbose_feature_names_out=False).fit(pd.DataFrame(row))


def _step(name: str, encoding: Encoding, columns: list[str]) -> Any:  # noqa: ANN401 - any transformer
    log1p = FunctionTransformer(np.log1p, feature_names_out="one-to-one")
    if name == "identity":
        return "passthrough"
    if name == "log1p":
        return log1p
    if name.startswith("filled"):
        filling = [("number", _as_type("float64")), ("fill", SimpleImputer(strategy="mean"))]
        return Pipeline([*filling, ("log1p", log1p)] if name == "filled-log1p" else filling)
    if name == "missing":
        names_out = FunctionTransformer(pd.isna, feature_names_out=None)
        return Pipeline([("missing", names_out), ("number", _as_type("float64"))])
    categories = [np.array(encoding.levels(column)) for column in columns]
    encoder = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
    return Pipeline([("text", _as_type("str")), ("encode", encoder)])


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
