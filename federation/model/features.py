"""Turn the columns of a table into the numbers that the model sees: its features.

A numeric column is a feature as it is, its missing values filled in; a column in which values are missing
gets a second feature that marks them; a categorical column gets a feature for each of its levels but one, the
reference, and one for all levels that are none of these, if there may have been such in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.features import Feature
from federation.data.table import Table
from federation.errors import FeatureError


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
        column = table.X[:, table.features.index(feature.column)]
        missing = np.isnan(column)
        levels = table.levels.get(feature.column)
        of_levels = feature.kind in ("level", "other")
        if feature.kind != "missing" and (levels is None) == of_levels and not missing.all():
            found, trained = ("numbers", "texts") if levels is None else ("texts", "numbers")
            raise FeatureError(
                f'column "{feature.column}" holds {found}, and the model takes {trained}.',
                "Give it the values it had in training.",
            )
        values = feature.values(column, levels or ())
        if np.isnan(values).any():
            raise FeatureError(
                f'column "{feature.column}", data row {first_row + int(np.argmax(missing))}: empty or NaN.',
                "No row was so in training: fill it in, or remove the row.",
            )
        return values


def encoded(encoding: Encoding, table: Table) -> Table:
    """Return the same rows as a table of features, which holds only numbers."""
    return Table(features=encoding.names, X=encoding.of_table(table), y=table.y, label=table.label)
