"""The cells in which clients count a column's values, so that all of them have one median.

They lie between the contract's minimum and maximum: `BINS` bins of equal width, on the scale of the logarithm
where the contract takes it. A client puts bins together until a cell holds enough values to be told.
"""

import numpy as np
from numpy.typing import NDArray

from .contract import Rule

BINS = 256
"""Bins between minimum and maximum: what the median is exact to."""

Cells = list[list[int]]
"""First bin, the one after the last, and how many values: cell by cell, in the order of the values."""


def edges(rule: Rule) -> NDArray[np.float64]:
    """Return where the bins of a column begin and end, shape (BINS + 1,).

    Parameters
    ----------
    rule : Rule
        Has a minimum and a maximum.
    """
    low, high = float(rule.minimum or 0.0), float(rule.maximum or 0.0)
    if not rule.log1p:
        return np.linspace(low, high, BINS + 1)
    inner = np.expm1(np.linspace(np.log1p(low), np.log1p(high), BINS + 1))
    inner[[0, -1]] = low, high  # not a rounding error beside them
    return inner
