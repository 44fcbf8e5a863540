"""Say which columns of a table say nothing that a model could use as it stands, and why: never a value.

Data preparation leaves these out, and ``contract infer`` proposes to: one function decides for both. Columns
that only the clients' training rows tell of (constants, levels that are too rare) are not among them, see
:func:`federation.learning.preprocessing.pooling.left_out`.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from federation.data.columns.notation import of_dates
from federation.data.table import Table
from federation.words import some

Floats = NDArray[np.float64]

FEWEST = 50
"""Values of a numeric column below which it is not called an identifier: few numbers differ by chance."""

IDENTIFIER = "whole numbers, all different: an identifier"
"""The reason to leave out a column that a model can use all the same: its values are numbers."""

ASKED, BY_CONTRACT = "ignored, as asked", "the contract ignores it"
"""Reasons to leave out a column that are not found in its values."""

_DIFFERENT = 0.5
_NEIGHBOURS = 10
_SKEWNESS, _KURTOSIS = 0.5, 2.3  # of evenly spread numbers 0 and 1.8


def unused(table: Table) -> dict[str, str]:
    """Return the columns that cannot be used as they stand, each with the reason.

    Parameters
    ----------
    table : Table
        All rows at hand.

    Returns
    -------
    dict of str to str
        Texts of which at least 90 % are dates; texts, or codes with leading zeros, of which more than half
        differ; whole numbers that are all different, at least
        50, and lie so close together, or spread so evenly, that they name rows. Numbers with fractions are
        measurements, whatever else they are.
    """
    found = {}
    for at, name in enumerate(table.features):
        values = table.X[:, at]
        there = values[~np.isnan(values)]
        if name in table.levels:
            counts = np.bincount(there.astype(np.int64), minlength=len(table.levels[name]))
            reason = _of_texts(dict(zip(table.levels[name], counts.tolist(), strict=True)), table.rows)
        else:
            reason = IDENTIFIER if _identifies(there) else None
        if reason:
            found[name] = reason
    return found


def lines(left_out: Mapping[str, str], *, hint: bool = False) -> list[str]:
    """Return what tells a user of columns that are left out: one line for each reason.

    Parameters
    ----------
    left_out : mapping of str to str
        The reason of each column.
    hint : bool
        Say also how numbers are used all the same; words that hardly repeat would make no feature if kept,
        and dates are to be converted, as their reasons say.
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, []).append(name)
    told = []
    for reason, names in by_reason.items():
        named = some([f'"{name}"' for name in names])
        how = " --keep COLUMN uses it all the same." if hint and reason == IDENTIFIER else ""
        told.append(f"{named}: left out. {reason[0].upper()}{reason[1:]}.{how}")
    return told


def _of_texts(counts: Mapping[str, int], rows: int) -> str | None:
    if found := of_dates(counts):
        return found
    if len(counts) <= _DIFFERENT * rows:
        return None
    what = "codes" if all(text.isdigit() for text in counts) else "texts"
    if len(counts) == sum(counts.values()):
        return f"{what}, all different: an identifier"
    return f"{what}, most of them different: an identifier{'' if what == 'codes' else ', or prose'}"


def _identifies(values: Floats) -> bool:
    """Whether numbers count or name rows, rather than measure them.

    Of a measurement, half as many pairs of values are equal as differ by one: if none is equal and ten or
    more differ by one, it is none (probability below 1 %). Fewer may be of either kind; then their
    distribution decides: numbers that were given out are spread evenly (kurtosis 1.8), measurements are
    bell-shaped (3) or heavy-tailed.
    """
    if len(values) < FEWEST or values.max() - values.min() + 1 < len(values):  # some of them are equal
        return False
    if (values != np.round(values)).any():
        return False
    steps = np.diff(np.sort(values))
    if not steps.all():
        return False
    if int((steps == 1).sum()) >= _NEIGHBOURS:
        return True
    scaled = (values - values.mean()) / values.std()
    return bool(abs(np.mean(scaled**3)) <= _SKEWNESS and np.mean(scaled**4) <= _KURTOSIS)
