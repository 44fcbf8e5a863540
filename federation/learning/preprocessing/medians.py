"""The median of all clients' values, from what each tells of how they are distributed."""

from collections.abc import Sequence

import numpy as np

from client_code.protocol.contract import Rule
from client_code.protocol.medians import BINS, Cells, edges


def median(told: Sequence[Cells], rule: Rule) -> float:
    """Return the median of the values of all clients.

    Within a cell values count as spread evenly. The error is at most a bin of the contract's range where
    every cell is one bin wide; a client's rare values are told with their neighbours, so that each client may
    also shift the median by fewer than ten places in the order of all values.

    Parameters
    ----------
    told : sequence of Cells
        Of every client that has values.
    rule : Rule
        The column's rule in the contract.
    """
    grid = np.arange(BINS + 1.0)
    below = np.zeros(BINS + 1)
    for cells in told:
        first, end, count = np.array(cells, dtype=np.float64).T
        total = np.cumsum(count)
        steps = np.column_stack([total - count, total]).ravel()
        below += np.interp(grid, np.column_stack([first, end]).ravel(), steps)
    return float(np.interp(below[-1] / 2, below, edges(rule)))


def check_cells(cells: Cells, observed: float) -> None:
    """Raise ValueError where cells, read from a client's answer, cannot be those of so many values."""
    bounds = [bound for first, end, _ in cells for bound in (first, end)]
    ordered = all(first <= then for first, then in zip([0, *bounds], [*bounds, BINS], strict=True))
    if not ordered or any(first >= end or count < 1 for first, end, count in cells):
        raise ValueError("cells of values overlap or are empty")
    if sum(count for *_, count in cells) != observed:
        raise ValueError("cells of more or fewer values than there are")
