"""What is done to every raw row before the model sees it, as all clients agreed; also as a pipeline."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from columns import TableError

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number the model sees: a column's number, 1 where its value is missing, or 1 where it is a level.

    Parameters
    ----------
    column : str
        What it is made of.
    kind : {"number", "missing", "level"}
        How.
    level : str, optional
        Only of kind "level".
    fill : float, optional
        What stands for a missing number; without it none may be missing.
    """

    column: str
    kind: str = "number"
    level: str | None = None
    fill: float | None = None


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
        parts = []
        for feature in self.made_of:
            values = X[:, columns.index(feature.column)]
            if feature.kind == "missing":
                values = np.isnan(values)
            elif feature.kind == "level":
                known = levels.get(feature.column, ())
                values = values == (known.index(feature.level) if feature.level in known else -1)
            elif feature.fill is not None:
                values = np.where(np.isnan(values), feature.fill, values)
            parts.append(values)
        return np.column_stack(parts).astype(np.float64)

    def transform(self, X: Floats) -> Floats:
        """Return features, in their order, standardised."""
        Z = X.copy()
        Z[:, self.log1p] = np.log1p(Z[:, self.log1p])
        Z -= self.mean
        Z /= self.scale
        return Z


def pipeline(preprocessing: Preprocessing, model: LogisticRegression) -> Pipeline:
    """Return one fitted pipeline that takes raw columns by name: transform, scale, classify."""
    groups = _groups(preprocessing)
    order = [position for positions in groups.values() for position in positions]
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = preprocessing.mean[order], preprocessing.scale[order]
    scaler.var_, scaler.n_features_in_, scaler.n_samples_seen_ = scaler.scale_**2, len(order), 0
    classifier = LogisticRegression()
    classifier.classes_, classifier.n_features_in_ = np.array([0, 1]), len(order)
    classifier.coef_, classifier.intercept_ = model.coef_[:, order], model.intercept_
    classifier.n_iter_ = np.zeros(1, dtype=np.int32)
    transform = _transformer(preprocessing, groups)
    return Pipeline([("transform", transform), ("scale", scaler), ("classify", classifier)])


def _groups(preprocessing: Preprocessing) -> dict[str, list[int]]:
    """Return the positions of the features that are made alike, in the order of the transformer."""
    names = ("log1p", "identity", "filled-log1p", "filled", "missing", "level")
    groups: dict[str, list[int]] = {name: [] for name in names}
    for position, feature in enumerate(preprocessing.made_of):
        logged = preprocessing.log1p[position]
        if feature.kind != "number":
            groups[feature.kind].append(position)
        elif feature.fill is None:
            groups["log1p" if logged else "identity"].append(position)
        else:
            groups["filled-log1p" if logged else "filled"].append(position)
    return {name: positions for name, positions in groups.items() if positions}


def _transformer(preprocessing: Preprocessing, groups: dict[str, list[int]]) -> ColumnTransformer:
    """Return the transformer of raw columns, fitted to one row that tells names and fillings."""
    made_of = preprocessing.made_of
    columns = {
        name: list(dict.fromkeys(made_of[position].column for position in positions))
        for name, positions in groups.items()
    }
    row: dict[str, list[object]] = {feature.column: [0.0] for feature in made_of}
    row |= {feature.column: [feature.fill] for feature in made_of if feature.fill is not None}
    row |= {column: [""] for column in columns.get("level", [])}
    levels = [
        np.array(
            [feature.level for feature in made_of if feature.column == column and feature.kind == "level"]
        )
        for column in columns.get("level", [])
    ]
    parts = [(name, _step(name, levels), of_name) for name, of_name in columns.items()]
    return ColumnTransformer(parts, verbose_feature_names_out=False).fit(pd.DataFrame(row))


def _step(name: str, levels: list[NDArray[np.str_]]) -> Any:  # noqa: ANN401 - any transformer
    log1p = FunctionTransformer(np.log1p, feature_names_out="one-to-one")
    numbers = FunctionTransformer(np.asarray, kw_args={"dtype": "float64"}, feature_names_out="one-to-one")
    texts = FunctionTransformer(np.asarray, kw_args={"dtype": "str"}, feature_names_out="one-to-one")
    fill = SimpleImputer(strategy="mean")  # fitted to the one row, it fills in that row's values
    encoder = OneHotEncoder(categories=levels, handle_unknown="ignore", sparse_output=False)
    return {
        "log1p": log1p,
        "identity": "passthrough",
        "filled-log1p": Pipeline([("numbers", numbers), ("fill", fill), ("log1p", log1p)]),
        "filled": Pipeline([("numbers", numbers), ("fill", fill)]),
        "missing": Pipeline([("missing", FunctionTransformer(pd.isna)), ("numbers", numbers)]),
        "level": Pipeline([("texts", texts), ("levels", encoder)]),
    }[name]
