"""What is done to every raw row before the model sees it, as all clients agreed; also as a pipeline."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from errors import TableError
from protocol.features import Feature
from protocol.pipeline import STEPS, Plan, plan

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Preprocessing:
    """Columns to features, then their logarithm or not, then standardised.

    Parameters
    ----------
    features : tuple of str
        Names of the d features, in order.
    log1p : ndarray of bool, shape (d,)
        Which features are replaced by ``log(1 + x)``.
    mean, scale : ndarray of float64, shape (d,)
        Subtracted, then divided by; of the pooled training rows.
    made_of : tuple of Feature
        What each feature is made of; unless given, of the column of its name.
    """

    features: tuple[str, ...]
    log1p: NDArray[np.bool_]
    mean: Floats
    scale: Floats
    made_of: tuple[Feature, ...] = field(default=())

    def __post_init__(self) -> None:
        """Fill in what a plain agreement leaves out."""
        if not self.made_of:
            object.__setattr__(self, "made_of", tuple(Feature(column=name) for name in self.features))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what the server sent along with the model."""
        parts = json.loads(text)
        return cls(
            features=tuple(parts["features"]),
            log1p=np.array(parts["log1p"], dtype=np.bool_),
            mean=np.array(parts["mean"], dtype=np.float64),
            scale=np.array(parts["scale"], dtype=np.float64),
            made_of=tuple(Feature(**feature) for feature in parts.get("made_of", ())),
        )

    def encode(self, columns: tuple[str, ...], X: Floats, levels: Mapping[str, tuple[str, ...]]) -> Floats:
        """Return the features of raw rows, shape (n, d), ready for `transform`.

        Parameters
        ----------
        columns : tuple of str
            Names of the columns of ``X``.
        X : ndarray of float64
            Numbers, positions of levels, and NaN where a value is missing.
        levels : mapping of str to tuple of str
            The levels of each categorical column.

        Raises
        ------
        TableError
            A column is not there.
        """
        if absent := sorted({feature.column for feature in self.made_of} - set(columns)):
            raise TableError(f"the model takes columns that are not here: {', '.join(absent)}.")
        parts = [
            feature.values(X[:, columns.index(feature.column)], levels.get(feature.column, ()))
            for feature in self.made_of
        ]
        return np.column_stack(parts)

    def transform(self, X: Floats) -> Floats:
        """Return features, in their order, standardised.

        Where the logarithm is taken although rows here are negative, as a robust strategy may, these are 0.
        """
        Z = X.copy()
        Z[:, self.log1p] = np.log1p(np.maximum(Z[:, self.log1p], 0.0))
        Z -= self.mean
        Z /= self.scale
        return Z


def pipeline(preprocessing: Preprocessing, model: LogisticRegression) -> Pipeline:
    """Return one fitted pipeline that takes raw columns by name: transform, scale, classify."""
    planned = plan(preprocessing.made_of, preprocessing.log1p)
    order = planned.order
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = preprocessing.mean[order], preprocessing.scale[order]
    scaler.var_, scaler.n_features_in_, scaler.n_samples_seen_ = scaler.scale_**2, len(order), 0
    classifier = LogisticRegression()
    classifier.classes_, classifier.n_features_in_ = np.array([0, 1]), len(order)
    classifier.coef_, classifier.intercept_ = model.coef_[:, order], model.intercept_
    classifier.n_iter_ = np.zeros(1, dtype=np.int32)
    return Pipeline([("transform", _transformer(planned)), ("scale", scaler), ("classify", classifier)])


def _transformer(planned: Plan) -> ColumnTransformer:
    """Return the transformer of raw columns, fitted to one row that tells names and fillings."""
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
