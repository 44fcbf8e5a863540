"""The learning task: load the client's tables, fit, score and save its logistic regression."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self, cast

import joblib
import numpy as np
import pandas as pd
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from link import ClientError

Floats = NDArray[np.float64]


class TableError(ClientError):
    """A table of this client cannot be used; says which column and row, never the value."""

    exit_code = 54


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows with a binary label.

    Parameters
    ----------
    features : tuple of str
        Names of the feature columns, in the order of ``X``.
    X : ndarray of float64, shape (n, d)
        Finite feature values.
    y : ndarray of int64, shape (n,)
        0 or 1.
    """

    features: tuple[str, ...]
    X: Floats
    y: NDArray[np.int64]

    def reordered(self, features: tuple[str, ...], *, whose: str = "the server") -> Self:
        """Return the same rows with their columns in the order of ``features``, those of ``whose``."""
        if features == self.features:
            return self
        if sorted(features) != sorted(self.features):
            differing = sorted(set(features) ^ set(self.features))
            raise TableError(f"the columns differ from those of {whose}: {', '.join(differing)}.")
        columns = [self.features.index(name) for name in features]
        return type(self)(features=features, X=self.X[:, columns], y=self.y)


@dataclass(frozen=True, kw_only=True, eq=False)
class Preprocessing:
    """What is done to every raw row before the model sees it, agreed by all clients.

    Parameters
    ----------
    features : tuple of str
        Names of the d feature columns, in order.
    log1p : ndarray of bool, shape (d,)
        Which columns are replaced by ``log(1 + x)``.
    mean, scale : ndarray of float64, shape (d,)
        Subtracted, then divided by; of the pooled training rows.
    """

    features: tuple[str, ...]
    log1p: NDArray[np.bool_]
    mean: Floats
    scale: Floats

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what the server sent along with the model."""
        parts = json.loads(text)
        return cls(
            features=tuple(parts["features"]),
            log1p=np.array(parts["log1p"], dtype=np.bool_),
            mean=np.array(parts["mean"], dtype=np.float64),
            scale=np.array(parts["scale"], dtype=np.float64),
        )

    def transform(self, X: Floats) -> Floats:
        """Return ``X``, raw and in the order of ``features``, standardised."""
        Z = X.copy()
        Z[:, self.log1p] = np.log1p(Z[:, self.log1p])
        Z -= self.mean
        Z /= self.scale
        return Z


@dataclass(kw_only=True)
class Task:
    """What one client knows: its rows, and how it fits them.

    Parameters
    ----------
    name, label : str
        The client, and its label column.
    train, validation : Table
        Rows to fit, rows to score.
    penalty : {"l2", "none"}
        Regularisation of the fit.
    max_iter : int
        Most iterations of one local fit.
    model_dir : Path
        Where the final model goes.
    """

    name: str
    label: str
    train: Table
    validation: Table
    penalty: str
    max_iter: int
    model_dir: Path
    _prepared: tuple[str, "Prepared"] | None = field(default=None, repr=False)

    def prepared(self, agreement: str) -> "Prepared":
        """Return this client's tables after the preprocessing in ``agreement``, computed once."""
        if self._prepared is None or self._prepared[0] != agreement:
            preprocessing = Preprocessing.from_json(agreement)
            train, validation = (
                Table(features=table.features, X=preprocessing.transform(table.X), y=table.y)
                for table in (t.reordered(preprocessing.features) for t in (self.train, self.validation))
            )
            self._prepared = (agreement, Prepared(preprocessing, train, validation))
        return self._prepared[1]


class Prepared(NamedTuple):
    """A client's tables, standardised, and how."""

    preprocessing: Preprocessing
    train: Table
    validation: Table


def design_chunks(table: Table, rows: int = 8192) -> Iterator[tuple[Floats, NDArray[np.int64]]]:
    """Yield ``table`` in parts that may be overwritten: its columns and one of ones, and its labels."""
    for start in range(0, len(table.y), rows):
        part = slice(start, start + rows)
        yield np.column_stack([table.X[part], np.ones(len(table.y[part]))]), table.y[part]


def load_table(path: Path, label: str) -> Table:
    """Read a CSV file with a header, whose label column holds 0 and 1 and all others finite numbers.

    Raises
    ------
    TableError
        The file is missing or empty, the label is absent, not 0/1 or the only column, or a value is not a
        finite number.
    """
    if not path.is_file():
        raise TableError(
            f'there is no "{path.name}" in the training channel. Publish the prepared data again.'
        )
    try:
        with warnings.catch_warnings():
            # Rows longer than the header: pandas would drop values, or take the first for the row's name.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, index_col=False)
    except (ValueError, pd.errors.ParserWarning) as error:
        raise TableError(f"{path.name} is not a CSV file with a header ({type(error).__name__}).") from error
    if label not in frame.columns:
        raise TableError(f'{path.name} has no label column "{label}".')
    if frame.empty:
        raise TableError(f"{path.name} has no rows.")
    if len(frame.columns) == 1:
        raise TableError(f'{path.name} has no column besides the label "{label}".')
    values = _numbers(frame, path.name)
    position = frame.columns.get_loc(label)
    y = values[:, position]
    if not np.isin(y, (0, 1)).all():
        raise TableError(f'{path.name}: the label "{label}" holds values other than 0 and 1.')
    features = tuple(map(str, frame.columns.drop(label)))
    return Table(features=features, X=np.delete(values, position, axis=1), y=y.astype(np.int64))


def _numbers(frame: pd.DataFrame, file: str) -> Floats:
    """Return all values as floats; name the first one that is not a finite number."""
    numeric = frame.apply(pd.to_numeric, errors="coerce")
    values: Floats = numeric.to_numpy(dtype=np.float64)
    if not (finite := np.isfinite(values)).all():
        row, column = np.argwhere(~finite)[0]
        raise TableError(
            f'{file}: column "{frame.columns[column]}", data row {row + 1}: not a finite number.'
        )
    return values


def moments(train: Table, validation: Table) -> tuple[dict[str, Floats], list[bool]]:
    """Return what the server needs to agree on a scaling: sums over the training rows, never a row.

    Parameters
    ----------
    train, validation : Table
        The validation rows count only for the signs: their logarithms are needed too.

    Returns
    -------
    arrays : dict of ndarray of float64, shape (d,)
        ``mean`` and ``m2`` (sum of squared deviations from that mean) of each column, and the same of
        ``log1p`` of each column that is nowhere negative (0 for the others). Means and deviations carry the
        same information as Σx and Σx² and lose no digits when merged (Chan, Golub and LeVeque 1983).
    non_negative : list of bool, length d
        Which columns are nowhere negative.

    Raises
    ------
    TableError
        The values of a column are too large to be squared.
    """
    tables = (train, validation.reordered(train.features, whose="the training rows"))
    non_negative = np.logical_and.reduce([(table.X >= 0).all(axis=0) for table in tables])
    logs = np.log1p(np.where(non_negative, train.X, 0.0))
    arrays: dict[str, Floats] = {}
    for name, values in (("", train.X), ("log1p-", logs)):
        with np.errstate(over="ignore"):  # found below
            mean = values.mean(axis=0)
            m2 = np.square(values - mean).sum(axis=0)
        if not (finite := np.isfinite(m2)).all():
            raise TableError(f'column "{train.features[np.argmin(finite)]}": its values are too large.')
        arrays |= {f"{name}mean": mean, f"{name}m2": m2}
    return arrays, cast("list[bool]", non_negative.tolist())


def new_model(penalty: str, max_iter: int) -> LogisticRegression:
    """Return an unfitted model that goes on from the parameters it is given."""
    return LogisticRegression(C=np.inf if penalty == "none" else 1.0, max_iter=max_iter, warm_start=True)


def initialise_parameters(model: LogisticRegression, n_features: int) -> None:
    """Give an unfitted model zero parameters for two classes: ``coef_`` (1, d), ``intercept_`` (1,)."""
    model.classes_ = np.array([0, 1])
    model.n_features_in_ = n_features
    model.coef_ = np.zeros((1, n_features))
    model.intercept_ = np.zeros(1)


def get_parameters(model: LogisticRegression) -> ArrayRecord:
    """Return the parameters as an update: ``coef`` (1, d) and ``intercept`` (1,), float64."""
    return ArrayRecord({"coef": Array(model.coef_), "intercept": Array(model.intercept_)})


def set_parameters(model: LogisticRegression, arrays: ArrayRecord) -> None:
    """Give ``model`` the parameters in ``arrays``, as :func:`get_parameters` returns them."""
    coef, intercept = arrays["coef"].numpy(), arrays["intercept"].numpy()
    initialise_parameters(model, coef.shape[1])
    model.coef_, model.intercept_ = coef.copy(), intercept.copy()


def fit(model: LogisticRegression, table: Table, class_weight: tuple[float, float]) -> None:
    """Fit in place, starting from the model's parameters.

    A table whose rows are all of one class is fitted too: two rows of weight zero, one per class, tell
    scikit-learn about both classes and change nothing in the loss.
    """
    X, y = table.X, table.y
    weight = np.asarray(class_weight)[y]
    if np.unique(y).size == 1:
        X = np.vstack([X, np.zeros((2, X.shape[1]))])
        y = np.append(y, [0, 1])
        weight = np.append(weight, [0.0, 0.0])
    with warnings.catch_warnings():
        # A round is a few iterations by design; the rounds together converge.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y, sample_weight=weight)


def loss(model: LogisticRegression, table: Table) -> float:
    """Return the mean log loss on ``table``, unpenalised and unweighted."""
    signed = np.where(table.y == 1, -1.0, 1.0) * (table.X @ model.coef_[0] + model.intercept_[0])
    return float(np.mean(np.logaddexp(0.0, signed)))


def score(model: LogisticRegression, table: Table) -> dict[str, float]:
    """Return loss and quality on ``table``; ROC-AUC is NaN where there is only one class."""
    p = model.predict_proba(table.X)[:, 1]
    return {
        "loss": loss(model, table),
        "brier": float(np.mean((p - table.y) ** 2)),
        "accuracy": float(np.mean((p >= 0.5) == table.y)),  # noqa: PLR2004 - the usual threshold
        "roc_auc": roc_auc(table.y, p),
    }


def roc_auc(y: NDArray[np.int64], p: Floats) -> float:
    """Return the share of (positive, negative) pairs that ``p`` ranks right, ties counting half.

    The Mann-Whitney statistic; equal to scikit-learn's ``roc_auc_score``, most of whose time goes into
    checking its input, in every round.
    """
    positives, negatives = int(y.sum()), int((1 - y).sum())
    if not positives * negatives:
        return float("nan")
    rank_sum = float(rankdata(p)[y == 1].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def pipeline(preprocessing: Preprocessing, model: LogisticRegression) -> Pipeline:
    """Return one fitted pipeline that takes raw columns by name: transform, scale, classify."""
    order = np.argsort(~preprocessing.log1p, kind="stable")  # the transformer puts log1p columns first
    names = {
        kind: [
            name
            for name, log1p in zip(preprocessing.features, preprocessing.log1p, strict=True)
            if log1p == kind
        ]
        for kind in (True, False)
    }
    log1p = FunctionTransformer(np.log1p, feature_names_out="one-to-one")
    parts = [("log1p", log1p, names[True]), ("identity", "passthrough", names[False])]
    transform = ColumnTransformer([part for part in parts if part[2]], verbose_feature_names_out=False).fit(
        pd.DataFrame(np.zeros((1, order.size)), columns=list(preprocessing.features))
    )
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = preprocessing.mean[order], preprocessing.scale[order]
    scaler.var_, scaler.n_features_in_, scaler.n_samples_seen_ = scaler.scale_**2, order.size, 0
    classifier = LogisticRegression()
    initialise_parameters(classifier, order.size)
    classifier.coef_, classifier.intercept_ = model.coef_[:, order], model.intercept_
    classifier.n_iter_ = np.zeros(1, dtype=np.int32)
    return Pipeline([("transform", transform), ("scale", scaler), ("classify", classifier)])


def save_model(preprocessing: Preprocessing, model: LogisticRegression, folder: Path) -> None:
    """Write ``model.joblib``, whole or not at all, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "model.joblib.partial"
    try:
        joblib.dump(pipeline(preprocessing, model), partial)
        partial.replace(folder / "model.joblib")
    finally:
        partial.unlink(missing_ok=True)  # SageMaker packs all that is in this folder
