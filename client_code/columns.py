"""The columns of this client: what each holds, and the counts and sums of them that the server may know.

A column is numeric, or categorical: then its values are levels, and a table holds their positions among them.
Of a level that fewer than `LEAST_ROWS` training rows hold, neither name nor count leaves this account.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from link import ClientError

Floats = NDArray[np.float64]

LEAST_ROWS = 10
"""Fewest rows that must hold a level for its name to leave: the client's own rule, nobody else's setting."""

MOST_LEVELS = 100
NUMERIC, CATEGORICAL, EMPTY = "numeric", "categorical", "empty"
MISSING = ("", "na", "NA", "Na", "n/a", "N/A", "N/a", "nan", "NaN", "NAN", "Nan", "null", "NULL", "Null")
"""Texts that stand for a missing value; the same as in data preparation."""


class TableError(ClientError):
    """A table of this client cannot be used; says which column and row, never the value."""

    exit_code = 54


class Columns(NamedTuple):
    """Values as numbers, shape (n, d), NaN where one is missing; and the levels of categorical columns."""

    X: Floats
    levels: Mapping[str, tuple[str, ...]]


def read_columns(frame: pd.DataFrame, file: str, given: Mapping[str, str] = MappingProxyType({})) -> Columns:
    """Return the columns of a frame as numbers.

    A column is numeric if at least half of its values are numbers, or none is there: one word among numbers
    is the mistake it is. True and false are 1 and 0. What ``given`` says a column holds, it holds.

    Raises
    ------
    TableError
        A numeric column holds something else than a finite number; names column and row.
    """
    X, levels = np.empty(frame.shape), {}
    for position, name in enumerate(map(str, frame.columns)):
        values = frame.iloc[:, position]
        missing = values.isna().to_numpy()
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            texts = values.astype(str).str.strip()
            numbers = texts.str.lower().replace({"true": "1", "false": "0"}).where(~missing)
            values = pd.to_numeric(numbers, errors="coerce")
            mostly_texts = 2 * values.notna().sum() < (~missing).sum()
            if given.get(name, CATEGORICAL if mostly_texts else NUMERIC) == CATEGORICAL:
                codes, found = pd.factorize(texts.where(~missing))
                X[:, position] = np.where(codes < 0, np.nan, codes)
                levels[name] = tuple(map(str, found))
                continue
        X[:, position] = values.to_numpy(dtype=np.float64)
        if (bad := ~missing & ~np.isfinite(X[:, position])).any():
            raise TableError(
                f'{file}: column "{name}", data row {int(np.argmax(bad)) + 1}: not a finite number.'
            )
    return Columns(X, levels)


def kinds(features: tuple[str, ...], X: Floats, levels: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return what each column holds."""
    empty: NDArray[np.bool_] = np.asarray(np.isnan(X).all(axis=0))
    return [
        CATEGORICAL if name in levels else EMPTY if nothing else NUMERIC
        for name, nothing in zip(features, empty, strict=True)
    ]


def frequent_levels(codes: Floats, levels: tuple[str, ...]) -> dict[str, int]:
    """Return the levels that enough rows hold, at most `MOST_LEVELS`, and how many hold each."""
    counts = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=len(levels)).tolist()
    ranked = sorted(zip(levels, counts, strict=True), key=lambda one: (-one[1], one[0]))
    return {level: count for level, count in ranked[:MOST_LEVELS] if count >= LEAST_ROWS}


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over the values that there are: how many, their mean, squared and cubed deviations; shape (d,)."""

    observed: Floats
    mean: Floats
    m2: Floats
    m3: Floats

    @classmethod
    def of(cls, X: Floats) -> "Moments":
        """Return the moments of columns, NaN left out; not finite where the values are too large."""
        there = ~np.isnan(X)
        observed = there.sum(axis=0).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.where(there, X, 0.0).sum(axis=0) / np.maximum(observed, 1.0)
            deviation = np.where(there, X - mean, 0.0)
            square = np.square(deviation)
            return cls(observed, mean, square.sum(axis=0), (square * deviation).sum(axis=0))

    def arrays(self, prefix: str = "") -> dict[str, Floats]:
        """Return what travels."""
        return {f"{prefix}mean": self.mean, f"{prefix}m2": self.m2, f"{prefix}m3": self.m3}
