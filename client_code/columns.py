"""The columns of this client: what each holds, and the counts and sums of them that the server may know.

A column is numeric, or categorical: then its values are levels, and a table holds their positions among them.
Of a level that fewer than `LEAST_ROWS` training rows hold, neither name nor count leaves this account, nor of
so few numbers where they lie.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from errors import TableError
from protocol.cells import Profile, Words, days, is_missing, numbers, spellings
from protocol.columns import CATEGORICAL, MOMENTS, MOST_LEVELS
from protocol.contract import Rule
from protocol.dates import Dates
from protocol.medians import BINS, Cells, edges

Floats = NDArray[np.float64]

# Else each piece of a file has its own types, 01 in one and 1 in another; and pandas 2, which SageMaker's
# image has, misses the last bit of a number. Pandas 3 misses none, and warns of the option.
WHOLE_AND_EXACT: Mapping[str, Any] = MappingProxyType(
    {"low_memory": False, **({"float_precision": "round_trip"} if pd.__version__.startswith("2.") else {})}
)
_PART = 1024  # rows

LEAST_ROWS = 10
"""Fewest rows that must hold a level for its name to leave: the client's own rule, nobody else's setting."""


class Columns(NamedTuple):
    """Values as numbers, shape (n, d), NaN where one is missing; and the levels of categorical columns."""

    X: Floats
    levels: Mapping[str, tuple[str, ...]]


def read_csv(path: Path, as_texts: Iterable[str], missing: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV file; some columns as texts, and words ``missing`` as gaps.

    Blanks around names, and before values, do not count.
    """
    header = pd.read_csv(path, nrows=0, index_col=False, skipinitialspace=True).columns
    return pd.read_csv(
        path,
        names=[str(name).strip() for name in header],
        header=0,
        index_col=False,
        skipinitialspace=True,
        keep_default_na=False,
        na_values=[*spellings(), *missing],
        **WHOLE_AND_EXACT,
        dtype=dict.fromkeys(as_texts, "str"),
    )


def read_columns(
    frame: pd.DataFrame,
    file: str,
    given: Mapping[str, str] = MappingProxyType({}),
    *,
    missing: Sequence[str] = (),
    dates: Mapping[str, Dates] = MappingProxyType({}),
) -> Columns:
    """Return the columns of a frame as numbers.

    What a cell is, and what a column of such cells holds, is in `protocol.cells`. What ``given`` says a
    column holds, it holds; words ``missing`` stand for a gap, and ``dates`` become numbers.

    Raises
    ------
    TableError
        A numeric column holds something else than a finite number; names column and row.
    """
    columns, levels, words = list[Floats](), dict[str, tuple[str, ...]](), Words(missing)
    for position, name in enumerate(map(str, frame.columns)):
        values = frame.iloc[:, position]
        if (plain := plain_numbers(values)) is not None and name not in dates:
            columns.append(words.without(plain))
        else:
            cells = words.emptied(texts(values))
            if given.get(name) == CATEGORICAL or (name not in given and _kind(cells) == CATEGORICAL):
                codes, levels[name] = _codes(cells)
                columns.append(codes)
                continue
            columns.append(days(cells, dates[name]) if name in dates else numbers(cells))
        if (bad := np.isinf(columns[-1])).any():
            raise TableError(
                f'{file}: column "{name}", data row {int(np.argmax(bad)) + 1}: not a finite number.'
            )
    return Columns(_side_by_side(columns), levels)


def _side_by_side(columns: Sequence[Floats]) -> Floats:
    """Return columns as an array of rows, filled a part at a time: in a processor's cache."""
    X = np.empty((len(columns[0]), len(columns)))
    for start in range(0, len(X), _PART):
        part = slice(start, start + _PART)
        for position, values in enumerate(columns):
            X[part, position] = values[part]
    return X


def plain_numbers(values: pd.Series) -> Floats | None:
    """Return a column of numbers, NaN where one is missing; None if pandas took it for anything else."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return None
    plain: Floats = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return plain


def texts(values: pd.Series) -> list[str]:
    """Return the cells of a column as texts, empty where pandas says that one is missing."""
    return [str(cell) for cell in values.astype(object).where(values.notna(), "")]


def _kind(cells: Sequence[str]) -> str:
    profile = Profile()
    profile.add(cells)
    return profile.kind


def _codes(cells: Sequence[str]) -> tuple[Floats, tuple[str, ...]]:
    """Return the position of each cell's level, NaN for a gap; and the levels, in the order they come."""
    levels = dict.fromkeys(cell.strip() for cell in cells if not is_missing(cell))
    codes = dict(zip(levels, map(float, range(len(levels))), strict=True))
    return np.array([codes.get(cell.strip(), np.nan) for cell in cells]), tuple(levels)


def frequent_levels(codes: Floats, levels: tuple[str, ...]) -> dict[str, int]:
    """Return the levels that enough rows hold, at most `MOST_LEVELS`, and how many hold each."""
    counts = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=len(levels)).tolist()
    ranked = sorted(zip(levels, counts, strict=True), key=lambda one: (-one[1], one[0]))
    return {level: count for level, count in ranked[:MOST_LEVELS] if count >= LEAST_ROWS}


def cells(values: Floats, rule: Rule) -> Cells:
    """Return how many values, NaN left out, lie where between a rule's minimum and maximum.

    No cell holds fewer than `LEAST_ROWS` values if there are as many at all: a bin of enough values is a
    cell, and takes along the few before it; others are put together.
    """
    told: Cells = []
    first, held = 0, 0
    counts, _ = np.histogram(values[~np.isnan(values)], edges(rule))
    for at, count in enumerate(counts.tolist()):
        held += count
        if held >= LEAST_ROWS:
            told.append([at if count >= LEAST_ROWS else first, at + 1, held])
            first, held = at + 1, 0
    if held and told:
        told[-1][-1] += held
    elif held:
        told.append([0, BINS, held])
    return told


def same_gaps(X: Floats) -> list[int]:
    """Return for each column the position of the first whose values are missing in the same rows."""
    patterns = [np.packbits(missing).tobytes() for missing in np.isnan(X).T]
    first = {pattern: at for at, pattern in reversed(list(enumerate(patterns)))}
    return [first[pattern] for pattern in patterns]


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over the values that there are: how many, their mean, squared and cubed deviations; shape (d,)."""

    observed: Floats
    mean: Floats
    m2: Floats
    m3: Floats

    @classmethod
    def of(cls, X: Floats, change: Callable[[Floats], Floats] = lambda rows: rows) -> "Moments":
        """Return the moments of columns, NaN left out; not finite where the values are too large.

        They are those of what ``change`` makes of the rows: a part at a time stays in a processor's cache.
        """
        parts = [X[start : start + _PART] for start in range(0, len(X), _PART)]
        if X.shape[1] == 1 or not parts:  # numpy adds a single column up in another order
            parts = [X]
        observed, total = np.zeros(X.shape[1]), np.empty((0, X.shape[1]))
        m2 = m3 = total
        with np.errstate(over="ignore", invalid="ignore"):
            for values in map(change, parts):
                there = ~np.isnan(values)
                observed += there.sum(axis=0)
                total = _added(total, np.where(there, values, 0.0))
            mean = total[0] / np.maximum(observed, 1.0)
            for values in map(change, parts):
                deviation = np.where(np.isnan(values), 0.0, values - mean)
                square = np.square(deviation)
                m2, m3 = _added(m2, square), _added(m3, square * deviation)
        return cls(observed, mean, m2[0], m3[0])

    def arrays(self, prefix: str = "") -> dict[str, Floats]:
        """Return what travels."""
        return {f"{prefix}{name}": getattr(self, name) for name in MOMENTS}


def _added(sums: Floats, rows: Floats) -> Floats:
    """Return the sums of rows before and of these, shape (1, d), added up as if all were one array."""
    total: Floats = np.vstack([sums, rows]).sum(axis=0, keepdims=True)
    return total
