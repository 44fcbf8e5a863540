"""Tell numbers from texts: what kind of column holds these values, and what number a value stands for.

A column is numeric, boolean (true and false, which become 1 and 0) or categorical. A missing value is an
empty cell or one of a few words for it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["numeric", "boolean", "categorical"]

MISSING = frozenset({"", "na", "n/a", "nan", "null"})
BOOLEAN = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
CLEAR_LABELS = {**BOOLEAN, "no": 0, "yes": 1, "n": 0, "y": 1, "negative": 0, "positive": 1}
"""Values of a label that say themselves which class they are, in any case."""


@dataclass
class Profile:
    """Count what the values of a column are.

    Parameters
    ----------
    numbers, booleans, texts, missing : int
        How many values are numbers; ``true`` or ``false``; anything else; missing.
    """

    numbers: int = 0
    booleans: int = 0
    texts: int = 0
    missing: int = 0

    def add(self, values: Iterable[str]) -> None:
        """Count these values too."""
        for value, count in Counter(values).items():
            what = _what(value)
            setattr(self, what, getattr(self, what) + count)

    @property
    def kind(self) -> Kind:
        """The kind of column: numeric if at least half of its values are numbers, or none is there at all.

        So one word among numbers is found as the mistake it is, instead of making levels of all the numbers.
        """
        if self.numbers >= self.booleans + self.texts:
            return "numeric"
        return "categorical" if self.texts else "boolean"


def _what(value: str) -> Literal["numbers", "booleans", "texts", "missing"]:
    text = value.strip().lower()
    if text in MISSING:
        return "missing"
    if text in ("true", "false"):
        return "booleans"
    try:
        float(text.replace("_", "x"))  # Python alone reads 1_000 as a number: no other reader would
    except ValueError:
        return "texts"
    return "numbers"


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
        if text.lower() in MISSING:
            return math.nan
        if self.kind == "categorical":
            return self.codes.setdefault(text, len(self.codes))
        if self.kind == "boolean":
            if text.lower() not in BOOLEAN:
                raise BadValueError(index, "neither true nor false", "Correct it, or leave it empty.")
            return BOOLEAN[text.lower()]
        if text.lower() in ("true", "false"):
            return BOOLEAN[text.lower()]
        if (number := finite([text])) is not None:
            return float(number[0])
        if _what(text) == "numbers":
            raise BadValueError(index, "infinity or too large", "Correct it, or leave it empty.")
        raise BadValueError(
            index,
            "not a number",
            "Correct it, leave it empty, or let a contract say that the column is categorical.",
        )


def finite(values: list[str]) -> NDArray[np.float64] | None:
    """Return the values as numbers, or None if any is something else than a finite number."""
    try:
        numbers = np.array(list(map(float, values)), dtype=np.float64)
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() and "_" not in "".join(values) else None


def levels_of(readers: Mapping[str, Reader]) -> dict[str, tuple[str, ...]]:
    """Return the levels of the categorical columns, in the order of their numbers."""
    return {name: tuple(reader.codes) for name, reader in readers.items() if reader.kind == "categorical"}
