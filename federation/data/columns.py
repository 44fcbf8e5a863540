"""Turn the cells of a column into numbers, or say which one its column cannot hold, and why.

What a cell is, is in `client_code.protocol.cells`, for every reader.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.cells import TRUTHS, Kind, finite, is_missing, number, word
from federation.data.notation import of_cell


class BadValueError(ValueError):
    """A value that its column cannot hold.

    Parameters
    ----------
    index : int
        Its position among the values given.
    problem, remedy : str
        Without the value.
    """

    def __init__(self, index: int, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.index, self.problem, self.remedy = index, problem, remedy


@dataclass
class Reader:
    """Turn the values of one column into numbers, part by part.

    Parameters
    ----------
    kind : {"numeric", "boolean", "categorical"}
        What the column holds.
    codes : dict of str to int
        The number of each level met so far; grows as a categorical column is read.
    """

    kind: Kind
    codes: dict[str, int] = field(default_factory=dict)

    def read(self, values: list[str]) -> NDArray[np.float64]:
        """Return a number for each value: itself, 1 or 0, or its level's number; NaN where it is missing.

        Raises
        ------
        BadValueError
            The first value that is of another kind.
        """
        if self.kind == "numeric" and (numbers := finite(values)) is not None:
            return numbers
        known: dict[str, float] = {}
        for index, value in enumerate(values):
            if value not in known:
                known[value] = self._number(value, index)
        return np.array([known[value] for value in values], dtype=np.float64)

    def _number(self, value: str, index: int) -> float:
        text = value.strip()
        if is_missing(text):
            return math.nan
        if self.kind == "categorical":
            return self.codes.setdefault(text, len(self.codes))
        if self.kind == "boolean":
            if word(text) not in TRUTHS:
                raise BadValueError(index, "neither true nor false", "Correct it, or leave it empty.")
            return TRUTHS[word(text)]
        if word(text) in ("true", "false"):
            return TRUTHS[word(text)]
        if (found := number(text)) is None:
            if notation := of_cell(text):
                raise BadValueError(
                    index,
                    f"not a number, but written as {notation} are",
                    "Write every number plainly (1234.5).",
                )
            raise BadValueError(
                index,
                "not a number",
                "Correct it, leave it empty, or let a contract say that the column is categorical.",
            )
        if not math.isfinite(found):
            raise BadValueError(index, "infinity or too large", "Correct it, or leave it empty.")
        return found


def levels_of(readers: Mapping[str, Reader]) -> dict[str, tuple[str, ...]]:
    """Return the levels of the categorical columns, in the order of their numbers."""
    return {name: tuple(reader.codes) for name, reader in readers.items() if reader.kind == "categorical"}
