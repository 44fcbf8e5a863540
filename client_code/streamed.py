"""The learning task for rows that do not fit into memory: one pass over blocks for each answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

import firth
import newton
import quality
import utils
from capacity import check_fits
from errors import TableError
from moments import BlockMoments, moments
from preprocessing import Preprocessing
from protocol.columns import NUMERIC
from rows import Rows, Scratch, in_order
from utils import Floats

Prepared = tuple[Floats, NDArray[np.int64]]


@dataclass(kw_only=True, eq=False)
class StreamedTable:
    """A table that stays in its file.

    Parameters
    ----------
    source : Rows
        The file.

    Attributes
    ----------
    moments : BlockMoments or None
        Of all rows, once they have been seen.
    """

    source: Rows
    moments: BlockMoments | None = None
    _scratch: Scratch | None = None
    _start: "Start | None" = None

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of the feature columns."""
        return self.source.features

    def describe(self) -> BlockMoments:
        """Return the moments of all rows; the first pass may also keep the decoded rows for the next ones."""
        if self.moments is None:
            self.moments = self._first_pass()
        return self.moments

    def counts(self) -> tuple[int, int]:
        """Return the numbers of rows and of positive ones."""
        told = self.describe()
        return told.rows, told.positives

    def _first_pass(self) -> BlockMoments:
        guess = _guess(self.features, next(self.source.blocks()))
        scratch = Scratch() if self.source.is_text else None

        def described(item: tuple[int, Callable[[], Floats]]) -> tuple[BlockMoments, newton.Products]:
            start, read = item
            block = read()
            if scratch:
                scratch.write(start, block)
            return moments(block, guess), newton.Products.of(*_as_rows(block))

        placed = ((scratch.place(shape) if scratch else 0, read) for shape, read in self.source.readers())
        total, products = reduce(lambda a, b: (a[0] + b[0], a[1] + b[1]), in_order(described, placed))
        self._start = Start(guess, products)
        if not (finite := np.isfinite(total.m2[0]) & np.isfinite(total.m3[0])).all():
            raise TableError(f'column "{self.features[np.argmin(finite)]}": its values are too large.')
        if scratch and scratch.complete:
            self._scratch = scratch
        return total

    def design(self, preprocessing: Preprocessing) -> Iterator[Callable[[], Prepared]]:
        """Yield what makes each block of prepared rows, (m, d + 1) with ones in the last column, and labels.

        Raises
        ------
        TableError
            As :meth:`Rows.blocks`.
        """
        columns = _columns(self.features, preprocessing)
        logged = [
            column
            for column, is_logged in zip(columns, preprocessing.log1p, strict=True)
            if is_logged and column is not None
        ]
        mean, scale = preprocessing.mean[:, np.newaxis], preprocessing.scale[:, np.newaxis]
        finish = partial(_standardised, mean=mean, scale=scale, columns=columns, logged=logged)
        for _, read in (self._scratch or self.source).readers():
            yield partial(_after, read, finish)

    def newton(
        self,
        preprocessing: Preprocessing,
        w: Floats,
        class_weight: tuple[float, float],
        direction: Floats | None = None,
    ) -> newton.Contribution:
        """Return the sums over all rows at the parameters ``w``, of the first pass or of one by all cores."""
        if self._start and class_weight == (1.0, 1.0) and not w[:-1].any() and direction is None:
            change = _change(self.features, self._start.guess, preprocessing)
            if change is not None:
                return self._start.products.sums(change, float(w[-1]))
        blocks = self.design(preprocessing)
        return newton.total(in_order(lambda make: newton.sums(*make(), w, class_weight, direction), blocks))

    def firth(self, preprocessing: Preprocessing, w: Floats, inverse: Floats) -> firth.Correction:
        """Return Firth's correction over all rows at the parameters ``w``, in one pass by all cores."""
        blocks = self.design(preprocessing)
        return firth.total(in_order(lambda make: firth.correction(*make(), w, inverse), blocks))

    def loaded(self) -> utils.Table:
        """Return all rows in memory."""
        rows = self.describe().rows
        X, y, start = np.empty((rows, len(self.features))), np.empty(rows, dtype=np.int64), 0
        for block in self.source.blocks():
            part = slice(start, start + block.shape[1])
            X[part], y[part] = block[:-1].T, block[-1]
            start = part.stop
        return utils.Table(features=self.features, X=X, y=y)


@dataclass(frozen=True)
class Start:
    """Products of all rows, prepared as the first block of them suggests."""

    guess: Preprocessing
    products: newton.Products


def _guess(features: tuple[str, ...], block: Floats) -> Preprocessing:
    """Return a preprocessing that resembles the one that will be agreed on."""
    told = moments(block)
    with np.errstate(over="ignore", invalid="ignore"):
        raw, logs = np.abs(told.skewness)
    log1p = told.non_negative & (logs < raw)
    mean, m2 = (np.where(log1p, both[1], both[0]) for both in (told.mean, told.m2))
    scale = np.sqrt(m2 / told.rows)
    scale[scale == 0] = 1.0
    return Preprocessing(features=features, log1p=log1p, mean=mean, scale=scale)


def _columns(features: tuple[str, ...], preprocessing: Preprocessing) -> list[int | None]:
    """Return which column each prepared one is made of.

    No value is missing here: what marks one, for clients that lack some, is 0 in every row, so it is of none.
    """
    return [
        features.index(feature.column) if feature.kind == "number" else None
        for feature in preprocessing.made_of
    ]


def _change(features: tuple[str, ...], guess: Preprocessing, agreed: Preprocessing) -> Floats | None:
    """Return the matrix that turns rows as guessed into rows as agreed, None if none does."""
    columns = _columns(features, agreed)
    change = np.zeros((len(features) + 1, len(columns) + 1))
    change[-1] = np.append(-agreed.mean / agreed.scale, 1.0)
    for j, column in enumerate(columns):
        if column is None:
            continue
        if guess.log1p[column] != agreed.log1p[j]:
            return None
        change[column, j] = guess.scale[column] / agreed.scale[j]
        change[-1, j] = (guess.mean[column] - agreed.mean[j]) / agreed.scale[j]
    return change


def _standardised(
    block: Floats, *, mean: Floats, scale: Floats, columns: list[int | None], logged: list[int]
) -> Prepared:
    for column in logged:
        np.maximum(block[column], 0.0, out=block[column])  # as `Preprocessing.transform`
        np.log1p(block[column], out=block[column])
    if columns != list(range(len(block) - 1)):
        nothing = np.zeros(block.shape[1])
        block = np.stack([*(nothing if c is None else block[c] for c in columns), block[-1]])
    block[:-1] -= mean
    block[:-1] /= scale
    return _as_rows(block)


def _as_rows(block: Floats) -> Prepared:
    """Return the rows of a prepared block, with ones in the place of the labels; and the labels."""
    y = block[-1].astype(np.int64)
    block[-1] = 1.0
    return block.T, y


def _after(read: Callable[[], Floats], finish: Callable[[Floats], Prepared]) -> Prepared:
    return finish(read())


@dataclass(kw_only=True)
class StreamedTask:
    """What one client knows: as :class:`utils.Task`, of rows that stay in their files.

    Parameters
    ----------
    name, label, max_iter, model_dir
        As there.
    train, validation : StreamedTable
        Rows to fit, rows to score.
    """

    name: str
    label: str
    train: StreamedTable
    validation: StreamedTable
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
            same_gaps=[0] * d,
            cells={},
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
                max_iter=self.max_iter,
                model_dir=self.model_dir,
            )
        return self._loaded.prepared(agreement)

    def newton(
        self,
        agreement: str,
        model: LogisticRegression,
        class_weight: tuple[float, float],
        direction: Floats | None = None,
    ) -> newton.Contribution:
        """Return the sums over the training rows."""
        preprocessing = Preprocessing.from_json(agreement)
        return self.train.newton(preprocessing, utils.flat(model), class_weight, direction)

    def firth(self, agreement: str, model: LogisticRegression, inverse: Floats) -> firth.Correction:
        """Return Firth's correction over the training rows."""
        return self.train.firth(Preprocessing.from_json(agreement), utils.flat(model), inverse)

    def score(self, agreement: str, model: LogisticRegression) -> tuple[int, dict[str, float]]:
        """Return the number of validation rows, and the model's quality there.

        ROC-AUC needs the score and the class of every row: 16 bytes a row are kept for it.
        """
        w = utils.flat(model)

        def scored(make: Callable[[], Prepared]) -> Prepared:
            A, y = make()
            return A @ w, y

        parts = list(in_order(scored, self.validation.design(Preprocessing.from_json(agreement))))
        z, y = np.concatenate([z for z, _ in parts]), np.concatenate([y for _, y in parts])
        return y.size, quality.figures(y, z)
