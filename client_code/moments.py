"""Moments of rows in blocks, of values and of their logarithms; for rows in memory see `columns.Moments`."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from preprocessing import Preprocessing

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockMoments:
    """Sums over rows, merged pairwise (Chan et al. 1983; Pébay 2008); arrays of shape (2, d): raw, log1p."""

    rows: int
    positives: int
    mean: Floats
    m2: Floats
    m3: Floats
    non_negative: NDArray[np.bool_]

    def __add__(self, other: Self) -> Self:
        total = self.rows + other.rows
        delta = other.mean - self.mean
        return type(self)(
            rows=total,
            positives=self.positives + other.positives,
            mean=self.mean + delta * (other.rows / total),
            m2=self.m2 + other.m2 + np.square(delta) * (self.rows * other.rows / total),
            m3=self.m3
            + other.m3
            + delta**3 * (self.rows * other.rows * (self.rows - other.rows) / total**2)
            + 3.0 * delta * ((self.rows * other.m2 - other.rows * self.m2) / total),
            non_negative=self.non_negative & other.non_negative,
        )

    @property
    def skewness(self) -> Floats:
        """Return that of each column, shape (2, d); 0 where it does not vary."""
        spread = (self.m2 / self.rows) ** 1.5
        return np.divide(self.m3 / self.rows, spread, out=np.zeros_like(spread), where=spread > 0)


def moments(block: Floats, guess: Preprocessing | None = None) -> BlockMoments:
    """Return the moments of a block (d + 1, m), the label last; of logarithms where nothing is negative.

    With a ``guess`` of what will be agreed on, of the same columns, the block is standardised by it.
    """
    values = block[:-1]
    non_negative = values.min(axis=1) >= 0
    sums = np.zeros((3, 2, len(values)))
    with np.errstate(over="ignore", invalid="ignore"):  # found when all is added up
        # A column at a time stays in a processor's cache: three times as fast as all at once.
        for j, column in enumerate(values):
            sums[:, 0, j] = _sums(column)
            chosen = column
            if non_negative[j]:
                logs = np.log1p(column)
                sums[:, 1, j] = _sums(logs)
                chosen = logs if guess and guess.log1p[j] else column
            if guess:
                np.subtract(chosen, guess.mean[j], out=column)
                values[j] /= guess.scale[j]
    return BlockMoments(
        rows=block.shape[1],
        positives=int(block[-1].sum()),
        mean=sums[0],
        m2=sums[1],
        m3=sums[2],
        non_negative=non_negative,
    )


def _sums(values: Floats) -> tuple[float, float, float]:
    """Return the mean, and the sums of squared and of cubed deviations from it."""
    mean = values.sum() / values.size
    deviation = values - mean
    return mean, deviation @ deviation, np.square(deviation) @ deviation
