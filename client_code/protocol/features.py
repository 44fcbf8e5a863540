"""Features: the numbers that the model sees, and what of a table each is made of."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FeatureKind = Literal["number", "missing", "level"]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number the model sees.

    Parameters
    ----------
    column : str
        The column it is made of.
    kind : {"number", "missing", "level"}
        The column's number; 1 where its value is missing; or 1 where its value is `level`.
    level : str, optional
        Only of kind "level".
    fill : float, optional
        What stands for a missing number; without it none may be missing.
    """

    column: str
    kind: FeatureKind = "number"
    level: str | None = None
    fill: float | None = None

    def check(self) -> None:
        """Raise TypeError where a part, read from a file, cannot be."""
        parts = {"number": (str, NoneType, NoneType | float), "missing": (str, NoneType, NoneType)}
        wanted = (parts | {"level": (str, str, NoneType)}).get(self.kind)
        given = (self.column, self.level, self.fill)
        if wanted is None or not all(map(isinstance, given, wanted)) or not math.isfinite(self.fill or 0.0):
            raise TypeError("no such feature")

    @property
    def is_plain(self) -> bool:
        """Whether it is a column as it is."""
        return self.kind == "number" and self.fill is None

    @property
    def as_parts(self) -> Mapping[str, str | float]:
        """Its parameters, those that are not given left out."""
        return {key: value for key, value in vars(self).items() if value is not None}

    @property
    def name(self) -> str:
        """What reports call it."""
        if self.kind == "number":
            return self.column
        return f"{self.column} is missing" if self.kind == "missing" else f"{self.column} = {self.level}"

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
        return column if self.fill is None else np.where(np.isnan(column), self.fill, column)
