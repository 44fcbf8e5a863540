"""Decide which row goes where: held-back rows, clients, resampling. Pure functions."""

import os
import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from federation.data.table import Table
from federation.errors import SettingError
from federation.words import some

Resample = Literal["smote", "balanced", "none"]
Positions = npt.NDArray[np.int64]

_SMOTE_RATIO = 0.25
_NEIGHBOURS = 5
_LONGEST_NAME = 40


def split(
    y: npt.NDArray[np.int64], share: float, rng: np.random.Generator, group: Positions | None = None
) -> tuple[Positions, Positions]:
    """Hold back a share of at least two rows.

    Parameters
    ----------
    y : ndarray of int64, shape (n,)
        Labels. Both parts get the same prevalence, where each class has the rows for it.
    share : float
        Between 0 and 1; at least one row goes to either part.
    rng : Generator
        Decides which.
    group : ndarray of int64, shape (n,), optional
        Positions. Rows of the same number and label, of which there are two numbers at least, go the same
        way: then the share and the prevalence are those of the numbers, and nearly those of the rows.

    Returns
    -------
    kept, held : ndarray of int64
        Positions in `y`, shuffled.
    """
    first, of_row = _firsts(y, group)
    n = len(first)
    held = min(max(1, round(share * n)), n - 1)
    counts = np.unique_counts(y[first]).counts
    can_stratify = len(counts) > 1 and min(*counts, held, n - held) >= len(counts)
    parts = train_test_split(
        np.arange(n),
        test_size=held,
        random_state=_state(rng),
        stratify=y[first] if can_stratify else None,
    )
    kept, held_back = (first[part] if n == len(y) else _rows_of(part, of_row) for part in parts)
    return kept, held_back


def deal(
    y: npt.NDArray[np.int64], clients: int, rng: np.random.Generator, group: Positions | None = None
) -> Positions:
    """Give each row a client at random: no client gets two rows, or two positives, more than another.

    Rows of the same `group` (as in `split`) go to the same client, which then may get that many more.
    """
    first, of_row = _firsts(y, group)
    shuffled = rng.permutation(len(first))
    fewer = -np.bincount(of_row)[shuffled]  # the largest groups are dealt first, so that they even out
    by_class = shuffled[np.lexsort((fewer, y[first][shuffled]))]
    number = np.empty(len(first), dtype=np.int64)
    number[by_class] = np.arange(len(first)) % clients
    return number[of_row]


def cut_by_quantile(values: npt.NDArray[np.float64], clients: int) -> Positions:
    """Give each row a client by the size of its value; equal values stay together."""
    edges = np.quantile(values, np.arange(1, clients) / clients)
    return np.searchsorted(edges, values, side="right")


def client_names(values: Iterable[str]) -> dict[str, str]:
    """Make folder names of values: lower-case letters, digits and hyphens, each once and none ``server``."""
    taken = {"server"}
    names = {}
    for value in sorted(set(values)):
        ascii_only = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode().lower()
        stem = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:_LONGEST_NAME].strip("-") or "client"
        name, suffix = stem, 1
        while name in taken:
            suffix += 1
            name = f"{stem}-{suffix}"
        taken.add(name)
        names[value] = name
    return names


def refuse_smote(table: Table) -> None:
    """Refuse to make up rows of a table that does not hold numbers for them to lie between.

    Raises
    ------
    SettingError
        It holds texts or missing values; names the columns.
    """
    if table.plain:
        return
    gapped = [name for name, values in zip(table.features, table.X.T, strict=True) if np.isnan(values).any()]
    what = [name for name, there in (("texts", table.levels), ("missing values", gapped)) if there]
    columns = [name for name in table.features if name in table.levels or name in gapped]
    named = some([f'"{name}"' for name in columns])
    raise SettingError(
        f"resample by SMOTE: the table holds {' and '.join(what)}: {named}.",
        "Choose balanced or none, or leave these columns out with --ignore.",
    )


def smote(table: Table, rng: np.random.Generator) -> tuple[Table, str | None]:
    """Make up rows of the rarer class to a quarter of the other, then drop rows of the other down to 1:1.

    Returns
    -------
    table : Table
        The resampled rows, shuffled.
    note : str or None
        What could not go this way.

    References
    ----------
    Chawla et al., SMOTE: Synthetic Minority Over-sampling Technique, JAIR 16 (2002).
    """
    from imblearn.over_sampling import (  # noqa: PLC0415 - a fifth of a second that only SMOTE needs
        SMOTE,
        RandomOverSampler,
    )
    from imblearn.under_sampling import RandomUnderSampler  # noqa: PLC0415

    rarer, other = sorted((table.positives, table.rows - table.positives))
    if rarer == 0:
        return table, "not resampled: its training rows are all of one class"
    note = None
    X, y = table.X, table.y
    if rarer < int(_SMOTE_RATIO * other):
        neighbours = min(_NEIGHBOURS, rarer - 1)
        if neighbours < _NEIGHBOURS:
            note = f"{rarer} training rows of the rarer class: SMOTE with {neighbours} neighbours"
        # Else joblib counts physical cores, and prints a traceback where it finds none, as in a container.
        os.environ.setdefault("OMP_NUM_THREADS", str(joblib.cpu_count()))
        sampler = SMOTE(sampling_strategy=_SMOTE_RATIO, k_neighbors=neighbours, random_state=_state(rng))
        if neighbours == 0:
            note = "1 training row of the rarer class: repeated, as SMOTE needs two"
            sampler = RandomOverSampler(sampling_strategy=_SMOTE_RATIO, random_state=_state(rng))
        X, y = sampler.fit_resample(X, y)
    X, y = RandomUnderSampler(sampling_strategy=1.0, random_state=_state(rng)).fit_resample(X, y)
    order = rng.permutation(len(y))
    return Table(features=table.features, X=X[order], y=y[order], label=table.label), note


def _firsts(y: npt.NDArray[np.int64], group: Positions | None) -> tuple[Positions, Positions]:
    """Return the first row of each group, and for each row which of these it goes with."""
    if group is None:
        return np.arange(len(y)), np.arange(len(y))
    first = np.full(int(group.max()) + 1, -1)
    first[group[::-1]] = np.arange(len(group))[::-1]  # of several rows the first is written last, and stays
    there = first >= 0
    return first[there], (np.cumsum(there) - 1)[group]


def _rows_of(chosen: Positions, of_row: Positions) -> Positions:
    """Return the rows that go with the chosen ones, in their order."""
    rank = np.full(int(of_row.max()) + 1, -1)
    rank[chosen] = np.arange(len(chosen))
    rows = np.flatnonzero(rank[of_row] >= 0)
    return rows[np.argsort(rank[of_row][rows], kind="stable")]


def _state(rng: np.random.Generator) -> int:
    """Draw a seed for libraries that take no `Generator`."""
    return int(rng.integers(2**32))
