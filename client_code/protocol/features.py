"""Features: the numbers that the model sees, and what of a table each is made of."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, NoneType, UnionType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FeatureKind = Literal["number", "missing", "level", "other"]

_PARTS: Mapping[str, tuple[type | UnionType, ...]] = MappingProxyType(
    {
        "number": (str, NoneType, NoneType | float, NoneType),
        "missing": (str, NoneType, NoneType, NoneType),
        "level": (str, str, NoneType, NoneType),
        "other": (str, NoneType, NoneType, tuple),
    }
)
"""The types of column, level, filling and levels, by kind."""


def other_than(levels: Sequence[str]) -> str:
    """Return a word for all other levels of a column that is no level itself."""
    word = "other"
    while word in levels:
        word = f"any {word}"
    return word


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number the model sees.

    Parameters
    ----------
    column : str
        The column it is made of.
    kind : {"number", "missing", "level", "other"}
        The column's number; 1 where its value is missing; 1 where its value is `level`; or 1 where there is a
        value and it is none of `levels`.
    level : str, optional
        Only of kind "level".
    fill : float, optional
        What stands for a missing number; without it none may be missing.
    levels : tuple of str, optional
        Only of kind "other": the reference level first, then the levels that are features; a list, as JSON
        has it, becomes a tuple.
    """

    column: str
    kind: FeatureKind = "number"
    level: str | None = None
    fill: float | None = None
    levels: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Make a list of levels, as JSON has it, a tuple."""
        if isinstance(self.levels, list):
            object.__setattr__(self, "levels", tuple(self.levels))

    def check(self) -> None:
        """Raise TypeError where a part, read from a file, cannot be."""
        wanted = _PARTS.get(self.kind)
        given = (self.column, self.level, self.fill, self.levels)
        if wanted is None or not all(map(isinstance, given, wanted)) or not math.isfinite(self.fill or 0.0):
            raise TypeError("no such feature")
        if not all(isinstance(level, str) for level in self.levels or ()):
            raise TypeError("a level is no text")

    @property
    def is_plain(self) -> bool:
        """Whether it is a column as it is."""
        return self.kind == "number" and self.fill is None

    @property
    def as_parts(self) -> Mapping[str, str | float | Sequence[str]]:
        """Its parameters, those that are not given left out."""
        return {key: value for key, value in vars(self).items() if value is not None}

    @property
    def name(self) -> str:
        """What reports call it."""
        if self.kind == "number":
            return self.column
        if self.kind == "missing":
            return f"{self.column} is missing"
        return f"{self.column} = {self.level if self.kind == 'level' else other_than(self.levels or ())}"

    def values(self, column: NDArray[np.float64], levels: Sequence[str] = ()) -> NDArray[np.float64]:
        """Return the feature of every row; NaN where a number is missing and nothing stands for it.

        Parameters
        ----------
        column : ndarray of float64, shape (n,)
            Numbers, or positions of levels; NaN where a value is missing.
        levels : sequence of str
            The levels of a categorical column.
        """
        if self.kind == "missing":
            return np.isnan(column).astype(np.float64)
        if self.kind == "level":
            held: NDArray[np.bool_] = column == (levels.index(self.level) if self.level in levels else -1)
            return held.astype(np.float64)
        if self.kind == "other":
            known = [at for at, level in enumerate(levels) if level in (self.levels or ())]
            return (~np.isnan(column) & ~np.isin(column, known)).astype(np.float64)
        return column if self.fill is None else np.where(np.isnan(column), self.fill, column)
