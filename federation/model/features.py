"""Turn the columns of a table into the numbers that the model sees: its features.

A numeric column is a feature as it is, its missing values filled in; a column in which values are missing
gets a second feature that marks them; a categorical column gets a feature for each of its levels. A level
that is none of these, rare in training or new, leaves all of them 0.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from federation.data.table import Table
from federation.errors import FeatureError

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


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What every feature of a model is made of.

    Parameters
    ----------
    features : tuple of Feature
        In the order of the model's coefficients.
    """

    features: tuple[Feature, ...]

    @classmethod
    def plain(cls, columns: Sequence[str]) -> Self:
        """Return the encoding of columns of numbers without gaps: each is a feature as it is."""
        return cls(features=tuple(Feature(column=name) for name in columns))

    @property
    def is_plain(self) -> bool:
        """Whether each feature is a column as it is."""
        return all(feature.is_plain for feature in self.features)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(feature.name for feature in self.features)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are needed, each once."""
        return tuple(dict.fromkeys(feature.column for feature in self.features))

    def levels(self, column: str) -> tuple[str, ...]:
        """Return the levels of a column that are features."""
        return tuple(
            str(feature.level)
            for feature in self.features
            if feature.column == column and feature.kind == "level"
        )

    def of_table(self, table: Table, first_row: int = 1) -> NDArray[np.float64]:
        """Return the features of every row, shape (n, d).

        Parameters
        ----------
        table : Table
            With all `columns`, in any order; other columns do not count.
        first_row : int
            The number that messages give to the first row.

        Raises
        ------
        FeatureError
            A number is missing that may not be, or a column is of another kind; names column and row.
        """
        parts = [self._feature(feature, table, first_row) for feature in self.features]
        return np.column_stack(parts)

    def _feature(self, feature: Feature, table: Table, first_row: int) -> NDArray[np.float64]:
        values = table.X[:, table.features.index(feature.column)]
        missing = np.isnan(values)
        if feature.kind == "missing":
            return missing.astype(np.float64)
        levels = table.levels.get(feature.column)
        if (levels is None) == (feature.kind == "level") and not missing.all():
            found, trained = ("numbers", "texts") if levels is None else ("texts", "numbers")
            raise FeatureError(
                f'column "{feature.column}" holds {found}, and the model takes {trained}.',
                "Give it the values it had in training.",
            )
        if feature.kind == "level":
            held: NDArray[np.bool_] = values == _position(str(feature.level), levels or ())
            return held.astype(np.float64)
        if feature.fill is not None:
            return np.where(missing, feature.fill, values)
        if missing.any():
            raise FeatureError(
                f'column "{feature.column}", data row {first_row + int(np.argmax(missing))}: empty or NaN.',
                "No row was so in training: fill it in, or remove the row.",
            )
        return values


def _position(level: str, levels: Sequence[str]) -> int:
    return levels.index(level) if level in levels else -1


def encoded(encoding: Encoding, table: Table) -> Table:
    """Return the same rows as a table of features, which holds only numbers."""
    return Table(features=encoding.names, X=encoding.of_table(table), y=table.y, label=table.label)
