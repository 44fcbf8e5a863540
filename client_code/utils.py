"""The learning task: load the client's tables, fit, score and save its logistic regression."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self, cast

import joblib
import numpy as np
import pandas as pd
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

import firth
import newton
import quality
from columns import (
    Moments,
    cells,
    frequent_levels,
    plain_numbers,
    read_columns,
    read_csv,
    same_gaps,
    texts,
)
from errors import TableError
from parquet import read_parquet
from preprocessing import Preprocessing, pipeline
from protocol.cells import numbers
from protocol.columns import CATEGORICAL, LOG1P, NUMERIC, kinds
from protocol.contract import Rule
from protocol.dates import Dates
from protocol.medians import Cells

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows with a binary label.

    Parameters
    ----------
    features : tuple of str
        Names of the feature columns, in the order of ``X``.
    X : ndarray of float64, shape (n, d)
        Numbers, or positions of levels in `levels`; NaN where a value is missing.
    y : ndarray of int64, shape (n,)
        0 or 1.
    levels : mapping of str to tuple of str
        The levels of each categorical column.
    """

    features: tuple[str, ...]
    X: Floats
    y: NDArray[np.int64]
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def counts(self) -> tuple[int, int]:
        """Return the numbers of rows and of positive ones."""
        return len(self.y), int(self.y.sum())

    def reordered(self, features: tuple[str, ...], *, whose: str = "the server") -> Self:
        """Return the same rows with their columns in the order of ``features``, those of ``whose``."""
        if features == self.features:
            return self
        if sorted(features) != sorted(self.features):
            differing = sorted(set(features) ^ set(self.features))
            raise TableError(f"the columns differ from those of {whose}: {', '.join(differing)}.")
        columns = [self.features.index(name) for name in features]
        return replace(self, features=features, X=self.X[:, columns])


@dataclass(kw_only=True)
class Task:
    """What one client knows: its rows, and how it fits them.

    Parameters
    ----------
    name, label : str
        The client, and its label column.
    train, validation : Table
        Rows to fit, rows to score.
    max_iter : int
        Most iterations of one local fit.
    model_dir : Path
        Where the final model goes.
    medians : mapping of str to Rule, optional
        The columns whose missing values become the median of all clients', and their rules.
    """

    name: str
    label: str
    train: Table
    validation: Table
    max_iter: int
    model_dir: Path
    medians: Mapping[str, Rule] = field(default_factory=dict)
    _prepared: tuple[str, "Prepared"] | None = field(default=None, repr=False)

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of the feature columns."""
        return self.train.features

    def statistics(self) -> "Statistics":
        """Return what the server needs to agree on a preprocessing, see :func:`statistics`."""
        return statistics(self.train, self.validation, self.medians)

    def newton(
        self,
        agreement: str,
        model: LogisticRegression,
        class_weight: tuple[float, float],
        direction: Floats | None = None,
    ) -> newton.Contribution:
        """Return the sums of Newton's method over the prepared training rows."""
        w = flat(model)
        chunks = design_chunks(self.prepared(agreement).train)
        return newton.total(newton.sums(A, y, w, class_weight, direction) for A, y in chunks)

    def firth(self, agreement: str, model: LogisticRegression, inverse: Floats) -> firth.Correction:
        """Return Firth's correction over the prepared training rows, see :func:`firth.correction`."""
        w = flat(model)
        chunks = design_chunks(self.prepared(agreement).train)
        return firth.total(firth.correction(A, y, w, inverse) for A, y in chunks)

    def score(self, agreement: str, model: LogisticRegression) -> tuple[int, dict[str, float]]:
        """Return the number of validation rows, and the model's quality there."""
        table = self.prepared(agreement).validation
        return len(table.y), score(model, table)

    def prepared(self, agreement: str) -> "Prepared":
        """Return this client's tables after the preprocessing in ``agreement``, computed once."""
        if self._prepared is None or self._prepared[0] != agreement:
            preprocessing = Preprocessing.from_json(agreement)
            train, validation = (
                Table(
                    features=preprocessing.features,
                    X=preprocessing.transform(preprocessing.encode(table.features, table.X, table.levels)),
                    y=table.y,
                )
                for table in (self.train, self.validation)
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


def load_table(
    path: Path,
    label: str,
    kinds_given: Mapping[str, str] = MappingProxyType({}),
    *,
    missing: Sequence[str] = (),
    dates: Mapping[str, Dates] = MappingProxyType({}),
) -> Table:
    """Read a Parquet or CSV file whose label column holds 0 and 1.

    Parameters
    ----------
    path : Path
        The file.
    label : str
        Its label column.
    kinds_given : mapping of str to str
        What each column holds; found out from its values where it is not given.
    missing : sequence of str
        Words that stand for a gap, besides those that do in every table.
    dates : mapping of str to Dates
        How the dates of columns become numbers.

    Raises
    ------
    TableError
        The file is missing or empty, the label is absent, not 0/1 or the only column, or a value does not fit
        its column.
    """
    if not path.is_file():
        raise TableError(
            f'there is no "{path.name}" in the training channel. Publish the prepared data again.'
        )
    try:
        with warnings.catch_warnings():
            # Rows longer than the header: pandas would drop values, or take the first for the row's name.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            is_parquet = path.suffix == ".parquet"
            as_texts = [*(name for name, kind in kinds_given.items() if kind == CATEGORICAL), *dates]
            frame = read_parquet(path, as_texts) if is_parquet else read_csv(path, as_texts, missing)
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        what = "Parquet file" if is_parquet else "CSV file with a header"
        raise TableError(f"{path.name} is not a {what} ({type(error).__name__}).") from error
    if label not in frame.columns:
        raise TableError(f'{path.name} has no label column "{label}".')
    if frame.empty:
        raise TableError(f"{path.name} has no rows.")
    if len(frame.columns) == 1:
        raise TableError(f'{path.name} has no column besides the label "{label}".')
    features = tuple(map(str, frame.columns.drop(label)))
    X, levels = read_columns(frame.drop(columns=label), path.name, kinds_given, missing=missing, dates=dates)
    return Table(features=features, X=X, y=_labels(frame[label], label, path.name), levels=levels)


def _labels(values: pd.Series, label: str, file: str) -> NDArray[np.int64]:
    plain = plain_numbers(values)
    y = numbers(texts(values)) if plain is None else plain
    if (missing := np.isnan(y)).any():
        raise TableError(f'{file}: column "{label}", data row {int(np.argmax(missing)) + 1}: no label.')
    if not np.isin(y, (0, 1)).all():
        raise TableError(f'{file}: the label "{label}" holds values other than 0 and 1.')
    labels: NDArray[np.int64] = y.astype(np.int64)
    return labels


class Statistics(NamedTuple):
    """What the server needs to agree on a preprocessing: sums over the training rows, never a row.

    Parameters
    ----------
    arrays : dict of ndarray of float64, shape (d,)
        ``observed``, how many values are not missing; ``mean``, ``m2`` and ``m3`` (sums of squared and cubed
        deviations from that mean) of each numeric column, and the same of ``log1p`` of each that is nowhere
        negative; 0 for the others. Means and deviations carry the same information as Σx, Σx² and Σx³ and
        lose no digits when merged (Chan, Golub and LeVeque 1983).
    non_negative, gaps : list of bool, length d
        Which columns are nowhere negative, and which have a missing value.
    kinds : list of {"numeric", "categorical", "empty"}, length d
        What they hold.
    levels : dict
        Of each categorical column the levels that enough rows hold, and how many do.
    same_gaps : list of int, length d
        For each column the position of the first whose values are missing in the same training rows.
    cells : dict
        Of each column whose median is asked for, how many values lie where, see :func:`columns.cells`.
    """

    arrays: dict[str, Floats]
    non_negative: list[bool]
    gaps: list[bool]
    kinds: list[str]
    levels: dict[str, dict[str, int]]
    same_gaps: list[int]
    cells: dict[str, Cells]


def statistics(
    train: Table, validation: Table, medians: Mapping[str, Rule] = MappingProxyType({})
) -> Statistics:
    """Describe the columns of the training rows.

    Parameters
    ----------
    train, validation : Table
        The validation rows count only for signs and gaps: they will be transformed too.
    medians : mapping of str to Rule, optional
        The columns whose median is asked for.

    Raises
    ------
    TableError
        The values of a column are too large to be cubed, or of another kind in the validation rows.
    """
    tables = (train, validation.reordered(train.features, whose="the training rows"))
    held, other = (kinds(table.features, table.X, table.levels) for table in tables)
    for name, *both in zip(train.features, held, other, strict=True):
        if {*both} == {NUMERIC, CATEGORICAL}:
            raise TableError(f'column "{name}" holds numbers in one file and texts in the other.')
    words = np.array([kind == CATEGORICAL for kind in held])
    non_negative = np.logical_and.reduce([~(table.X < 0).any(axis=0) for table in tables])
    arrays = {"observed": (~np.isnan(train.X)).sum(axis=0).astype(np.float64)}
    changes: dict[str, Callable[[Floats], Floats]] = {
        "": lambda rows: np.where(words, 0.0, rows),
        LOG1P: lambda rows: np.log1p(np.where(words | ~non_negative, 0.0, rows)),
    }
    for prefix, change in changes.items():
        of_values = Moments.of(train.X, change)
        if not (finite := np.isfinite(of_values.m2) & np.isfinite(of_values.m3)).all():
            raise TableError(f'column "{train.features[np.argmin(finite)]}": its values are too large.')
        arrays |= of_values.arrays(prefix)
    return Statistics(
        arrays=arrays,
        non_negative=cast("list[bool]", non_negative.tolist()),
        gaps=np.logical_or.reduce([np.isnan(table.X).any(axis=0) for table in tables]).tolist(),
        kinds=held,
        levels={
            name: frequent_levels(train.X[:, train.features.index(name)], levels)
            for name, levels in train.levels.items()
        },
        same_gaps=same_gaps(train.X),
        cells={name: cells(train.X[:, train.features.index(name)], rule) for name, rule in medians.items()},
    )


def new_model(max_iter: int) -> LogisticRegression:
    """Return an unfitted model that goes on from the parameters it is given."""
    return LogisticRegression(max_iter=max_iter, warm_start=True)


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


def flat(model: LogisticRegression) -> Floats:
    """Return the coefficients, then the intercept, shape (d + 1,)."""
    return np.append(model.coef_[0], model.intercept_)


def fit(model: LogisticRegression, table: Table, class_weight: tuple[float, float], *, C: float) -> None:
    """Fit in place, starting from the model's parameters.

    Parameters
    ----------
    model : LogisticRegression
        To be fitted.
    table : Table
        Its training rows.
    class_weight : tuple of float
        Weights of a negative and of a positive row.
    C : float
        Inverse strength of the l2 penalty beside the sum of the rows' losses, > 0; infinite for none.

    Notes
    -----
    A table whose rows are all of one class is fitted too: two rows of weight zero, one per class, tell
    scikit-learn about both classes and change nothing in the loss.
    """
    model.C = C
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
    return quality.log_loss(table.y, log_odds(model, table))


def score(model: LogisticRegression, table: Table) -> dict[str, float]:
    """Return loss and quality on ``table``; ROC-AUC is NaN where there is only one class."""
    return quality.figures(table.y, log_odds(model, table))


def log_odds(model: LogisticRegression, table: Table) -> Floats:
    """Return the log-odds of every row, shape (n,)."""
    z: Floats = table.X @ model.coef_[0] + model.intercept_[0]
    return z


def save_model(preprocessing: Preprocessing, model: LogisticRegression, folder: Path) -> None:
    """Write ``model.joblib``, whole or not at all, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "model.joblib.partial"
    try:
        joblib.dump(pipeline(preprocessing, model), partial)
        partial.replace(folder / "model.joblib")
    finally:
        partial.unlink(missing_ok=True)  # SageMaker packs all that is in this folder
