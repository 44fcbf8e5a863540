"""The learning task for rows that do not fit into memory: one pass over blocks for each answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

import newton
import utils
from columns import NUMERIC
from memory import check_fits
from rows import Rows, Scratch, in_order
from utils import Floats, TableError

Prepared = tuple[Floats, NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Sums over rows, merged pairwise (Chan et al. 1983; Pébay 2008); arrays of shape (2, d): raw, log1p."""

    rows: int
    positives: int
    mean: Floats
    m2: Floats
    m3: Floats
    non_negative: NDArray[np.bool_]

    def __add__(self, other: Self) -> Self:
        total = self.rows + other.rows
        delta = other.mean - self.mean
        return type(self)(
            rows=total,
            positives=self.positives + other.positives,
            mean=self.mean + delta * (other.rows / total),
            m2=self.m2 + other.m2 + np.square(delta) * (self.rows * other.rows / total),
            m3=self.m3
            + other.m3
            + delta**3 * (self.rows * other.rows * (self.rows - other.rows) / total**2)
            + 3.0 * delta * ((self.rows * other.m2 - other.rows * self.m2) / total),
            non_negative=self.non_negative & other.non_negative,
        )


@dataclass(kw_only=True, eq=False)
class StreamedTable:
    """A table that stays in its file.

    Parameters
    ----------
    source : Rows
        The file.

    Attributes
    ----------
    moments : Moments or None
        Of all rows, once they have been seen.
    """

    source: Rows
    moments: Moments | None = None
    _scratch: Scratch | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of the feature columns."""
        return self.source.features

    def describe(self) -> Moments:
        """Return the moments of all rows; the first pass also keeps the decoded rows for the next ones."""
        if self.moments is None:
            self.moments = self._first_pass()
        return self.moments

    def counts(self) -> tuple[int, int]:
        """Return the numbers of rows and of positive ones."""
        told = self.describe()
        return told.rows, told.positives

    def _first_pass(self) -> Moments:
        total: Moments | None = None
        scratch = Scratch()

        def described(item: tuple[int, Callable[[], Floats]]) -> Moments:
            start, read = item
            block = read()
            scratch.write(start, block)
            return _moments(block)

        placed = ((scratch.place(shape), read) for shape, read in self.source.readers())
        for part in in_order(described, placed):
            total = part if total is None else total + part
        assert total is not None  # the source refuses a file without rows
        if not (finite := np.isfinite(total.m2[0]) & np.isfinite(total.m3[0])).all():
            raise TableError(f'column "{self.features[np.argmin(finite)]}": its values are too large.')
        if scratch.complete:
            self._scratch = scratch
        return total

    def design(self, preprocessing: utils.Preprocessing) -> Iterator[Callable[[], Prepared]]:
        """Yield what makes each block of prepared rows, (m, d + 1) with ones in the last column, and labels.

        Raises
        ------
        TableError
            As :meth:`Rows.blocks`.
        """
        # No value is missing here: what marks one, for clients that lack some, is 0 in every row.
        columns = [
            self.features.index(feature.column) if feature.kind == "number" else None
            for feature in preprocessing.made_of
        ]
        logged = [
            column
            for column, is_logged in zip(columns, preprocessing.log1p, strict=True)
            if is_logged and column is not None
        ]
        mean, scale = preprocessing.mean[:, np.newaxis], preprocessing.scale[:, np.newaxis]
        finish = partial(_standardised, mean=mean, scale=scale, columns=columns, logged=logged)
        for _, read in (self._scratch or self.source).readers():
            yield partial(_after, read, finish)

    def loaded(self) -> utils.Table:
        """Return all rows in memory."""
        rows = self.describe().rows
        X, y, start = np.empty((rows, len(self.features))), np.empty(rows, dtype=np.int64), 0
        for block in self.source.blocks():
            part = slice(start, start + block.shape[1])
            X[part], y[part] = block[:-1].T, block[-1]
            start = part.stop
        return utils.Table(features=self.features, X=X, y=y)


def _moments(block: Floats) -> Moments:
    """Return a block's moments, of logarithms too where nothing in it is negative."""
    values = block[:-1]
    non_negative = values.min(axis=1) >= 0
    sums = np.zeros((3, 2, len(values)))
    # A column at a time stays in a processor's cache: three times as fast as all at once.
    for j, column in enumerate(values):
        sums[:, 0, j] = _sums(column)
        if non_negative[j]:
            sums[:, 1, j] = _sums(np.log1p(column))
    return Moments(
        rows=block.shape[1],
        positives=int(block[-1].sum()),
        mean=sums[0],
        m2=sums[1],
        m3=sums[2],
        non_negative=non_negative,
    )


def _sums(values: Floats) -> tuple[float, float, float]:
    """Return the mean, and the sums of squared and of cubed deviations from it."""
    with np.errstate(over="ignore", invalid="ignore"):  # found when all is added up
        mean = values.mean()
        deviation = values - mean
        square = np.square(deviation)
        return mean, deviation @ deviation, square @ deviation


def _standardised(
    block: Floats, *, mean: Floats, scale: Floats, columns: list[int | None], logged: list[int]
) -> Prepared:
    for column in logged:
        np.log1p(block[column], out=block[column])
    y = block[-1].astype(np.int64)
    block[-1] = 1.0
    if columns != list(range(len(block) - 1)):
        block = np.stack([*(np.zeros(y.size) if c is None else block[c] for c in columns), block[-1]])
    block[:-1] -= mean
    block[:-1] /= scale
    return block.T, y


def _after(read: Callable[[], Floats], finish: Callable[[Floats], Prepared]) -> Prepared:
    return finish(read())


@dataclass(kw_only=True)
class StreamedTask:
    """What one client knows: as :class:`utils.Task`, of rows that stay in their files.

    Parameters
    ----------
    name, label, penalty, max_iter, model_dir
        As there.
    train, validation : StreamedTable
        Rows to fit, rows to score.
    """

    name: str
    label: str
    train: StreamedTable
    validation: StreamedTable
    penalty: str
    max_iter: int
    model_dir: Path
    _loaded: utils.Task | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of the feature columns."""
        return self.train.features

    def statistics(self) -> utils.Statistics:
        """Return what :func:`utils.statistics` does, in one pass over each file; here all are numbers."""
        told, others = self.train.describe(), self.validation.describe()
        non_negative = told.non_negative & others.non_negative
        d = len(self.features)
        arrays = {"observed": np.full(d, float(told.rows))}
        for name, both in (("mean", told.mean), ("m2", told.m2), ("m3", told.m3)):
            arrays |= {name: both[0], f"log1p-{name}": np.where(non_negative, both[1], 0.0)}
        return utils.Statistics(
            arrays=arrays,
            non_negative=cast("list[bool]", non_negative.tolist()),
            gaps=[False] * d,
            kinds=[NUMERIC] * d,
            levels={},
        )

    def prepared(self, agreement: str) -> utils.Prepared:
        """Return the tables in memory, prepared, for strategies that fit a model there.

        Raises
        ------
        TooLargeError
            They would not fit.
        """
        if self._loaded is None:
            tables = (self.train, self.validation)
            size = sum(8 * table.describe().rows * (len(self.features) + 1) for table in tables)
            check_fits(size, self.train.source.path.name)
            self._loaded = utils.Task(
                name=self.name,
                label=self.label,
                train=self.train.loaded(),
                validation=self.validation.loaded(),
                penalty=self.penalty,
                max_iter=self.max_iter,
                model_dir=self.model_dir,
            )
        return self._loaded.prepared(agreement)

    def newton(
        self, agreement: str, model: LogisticRegression, class_weight: tuple[float, float]
    ) -> newton.Contribution:
        """Return the sums over the training rows, in one pass by all cores."""
        w = utils.flat(model)
        blocks = self.train.design(utils.Preprocessing.from_json(agreement))
        return newton.total(in_order(lambda make: newton.sums(*make(), w, class_weight), blocks))

    def score(self, agreement: str, model: LogisticRegression) -> tuple[int, dict[str, float]]:
        """Return the number of validation rows, and the model's quality there.

        ROC-AUC needs the score and the class of every row: 16 bytes a row are kept for it.
        """
        w = utils.flat(model)

        def scored(make: Callable[[], Prepared]) -> Prepared:
            A, y = make()
            return A @ w, y

        parts = list(in_order(scored, self.validation.design(utils.Preprocessing.from_json(agreement))))
        z, y = np.concatenate([z for z, _ in parts]), np.concatenate([y for _, y in parts])
        return y.size, utils.quality(y, z)
