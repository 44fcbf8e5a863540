"""Read the cells of the columns that a model uses, and count what is found in each."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.cells import finite, numbers
from federation.data.columns.reader import BadValueError, Reader
from federation.model.linear import LinearModel, Preprocessing
from federation.model.scoring.findings import Found
from federation.model.scoring.levels import LevelReader, known_levels

Floats = NDArray[np.float64]


class NumberColumn:
    """A column of numbers.

    Parameters
    ----------
    model : LinearModel
        What uses it.
    name : str
        Its name.
    """

    levels: tuple[str, ...] = ()

    def __init__(self, model: LinearModel, name: str) -> None:
        preprocessing = model.preprocessing
        (self._at,) = [
            at
            for at, it in enumerate(preprocessing.encoding.features)
            if (it.column, it.kind) == (name, "number")
        ]
        self._filled = preprocessing.encoding.features[self._at].fill is not None
        self.found = Found(binary=was_binary(preprocessing, self._at))

    def read(self, cells: Sequence[str]) -> tuple[Floats, Mapping[int, str]]:
        """Return the numbers, NaN where there is none, and by position what is wrong with a cell."""
        values, wrong = _plain(cells), dict[int, str]()
        if values is None:
            values = numbers(cells)
            for row in np.flatnonzero(np.isinf(values)).tolist():
                try:
                    values[row] = Reader("numeric").read([cells[row]])[0]
                except BadValueError as error:
                    wrong[row] = error.problem
        if self._filled:
            self.found.gaps += int(np.count_nonzero(np.isnan(values)))
        values[list(wrong)] = np.nan
        return values, wrong


class LevelColumn:
    """A column of levels, or one of which only the gaps count.

    Parameters
    ----------
    model : LinearModel
        What uses it.
    name : str
        Its name.
    """

    def __init__(self, model: LinearModel, name: str) -> None:
        features = [it for it in model.preprocessing.encoding.features if it.column == name]
        reference = (model.references or {}).get(name)
        known = known_levels(features, reference)
        self._reader, self._has_levels = LevelReader(known), bool(known)
        kinds = {it.kind for it in features}
        base = "its reference level" if reference is not None else "no level"
        self.found = Found(
            fallback="other levels of training" if "other" in kinds else base,
            others="other" in kinds,
            gap=base,
        )

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels that positions stand for."""
        return self._reader.levels

    def read(self, cells: Sequence[str]) -> tuple[Floats, Mapping[int, str]]:
        """Return the positions of levels, NaN in a gap; no cell is wrong."""
        read = self._reader.read(cells)
        self.found.values += int(np.count_nonzero(~np.isnan(read.codes)))
        if self._has_levels:
            self.found.unknown += read.unknown
            self.found.other_case += read.other_case
            self.found.other_number += read.other_number
        return read.codes, {}

    def count_gaps(self, codes: Floats, marked: NDArray[np.bool_]) -> None:
        """Count the gaps among what `read` returned, and those in rows of which no gap is marked."""
        gaps = np.isnan(codes)
        unmarked = int(np.count_nonzero(gaps & ~marked))
        self.found.unmarked += unmarked
        self.found.gaps += int(np.count_nonzero(gaps)) - unmarked


def raw_columns(model: LinearModel) -> dict[str, NumberColumn | LevelColumn]:
    """Return a reader of each column that a model uses."""
    features = model.preprocessing.encoding.features
    numeric = {it.column for it in features if it.kind == "number"}
    return {
        name: NumberColumn(model, name) if name in numeric else LevelColumn(model, name)
        for name in model.preprocessing.encoding.columns
    }


def was_binary(preprocessing: Preprocessing, at: int) -> bool:
    """Whether every training row held 0 or 1: of numbers between them, only they vary by m (1 - m)."""
    mean, scale = preprocessing.mean[at], preprocessing.scale[at]
    return bool(0 < mean < 1 and math.isclose(scale**2, mean * (1 - mean), rel_tol=1e-6))


def _plain(cells: Sequence[str]) -> Floats | None:
    """Return cells of finite numbers and nothing, which are most; None if any is something else."""
    if (read := finite(cells)) is not None:
        return read
    if (read := finite([cell for cell in cells if cell])) is None:
        return None
    there = [bool(cell) for cell in cells]
    values = np.full(len(cells), np.nan)
    values[there] = read
    return values
