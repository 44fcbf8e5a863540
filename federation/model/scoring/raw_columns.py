"""Read the cells of the columns that a model uses, and count what is found in each."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from federation.data.columns.written import Written
from federation.model.linear import LinearModel, Preprocessing
from federation.model.scoring.findings import Found
from federation.model.scoring.levels import LevelReader, known_levels
from federation.model.scoring.numbers import Mark, NumberReader

Floats = NDArray[np.float64]


class NumberColumn:
    """A column of numbers.

    Parameters
    ----------
    model : LinearModel
        What uses it.
    name : str
        Its name.
    written : Written
        How cells were written in training.
    """

    levels: tuple[str, ...] = ()

    def __init__(self, model: LinearModel, name: str, written: Written) -> None:
        preprocessing = model.preprocessing
        (self._at,) = [
            at
            for at, it in enumerate(preprocessing.encoding.features)
            if (it.column, it.kind) == (name, "number")
        ]
        self._filled = preprocessing.encoding.features[self._at].fill is not None
        notation, dates = written.numbers.get(name), written.dates.get(name)
        self.mark = written.mark_of(name)
        """What separated decimals in training where a cell leaves it open, if it is known."""
        self.found = Found(
            binary=was_binary(preprocessing, self._at),
            usual="dates" if dates else notation.words if notation else "plain numbers",
        )
        self._reader = NumberReader(self.found, notation, dates, commas=written.has_commas)
        self._plain_reader = NumberReader(self.found, None, dates, commas=False)

    def read(self, cells: Sequence[str], mark: Mark | None) -> tuple[Floats, Mapping[int, str]]:
        """Return the numbers, NaN where there is none, and by position what is wrong with a cell.

        ``mark`` separates decimals where a cell leaves it open; None: cells have no notation.
        """
        reader = self._plain_reader if mark is None else self._reader
        values, wrong = reader.read(cells, mark or Mark())
        if self._filled:
            self.found.gaps += int(np.count_nonzero(np.isnan(values))) - len(wrong)
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

    def read(self, cells: Sequence[str], _mark: Mark | None) -> tuple[Floats, Mapping[int, str]]:
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
    numeric, written = {it.column for it in features if it.kind == "number"}, model.cells
    return {
        name: NumberColumn(model, name, written) if name in numeric else LevelColumn(model, name)
        for name in model.preprocessing.encoding.columns
    }


def was_binary(preprocessing: Preprocessing, at: int) -> bool:
    """Whether every training row held 0 or 1: of numbers between them, only they vary by m (1 - m)."""
    mean, scale = preprocessing.mean[at], preprocessing.scale[at]
    return bool(0 < mean < 1 and math.isclose(scale**2, mean * (1 - mean), rel_tol=1e-6))
