"""Moments of columns: how those of several clients are merged, and what no values could have led to."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST = 1e90
"""Of means and standard deviations that a client tells; up to there cubes of differences are finite."""
ROUNDING = 1e-6
"""Relative; far above what sums of a billion values lose."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over n values: how many, their mean, and the sums of squared and cubed deviations; shape (d,)."""

    n: Floats
    mean: Floats
    m2: Floats
    m3: Floats

    def merged(self, other: "Moments") -> "Moments":
        """Return the moments of both together.

        Chan, Golub and LeVeque 1983; for cubes Pébay 2008, "Formulas for robust, one-pass parallel
        computation of covariances and arbitrary-order statistical moments".
        """
        n = self.n + other.n
        total = np.maximum(n, 1.0)
        delta = other.mean - self.mean
        both = self.n * other.n
        return Moments(
            n=n,
            mean=self.mean + delta * (other.n / total),
            m2=self.m2 + other.m2 + np.square(delta) * (both / total),
            m3=self.m3
            + other.m3
            + delta**3 * (both * (self.n - other.n) / np.square(total))
            + 3.0 * delta * ((self.n * other.m2 - other.n * self.m2) / total),
        )

    def of_columns(self, counted: NDArray[np.bool_]) -> "Moments":
        """Return the same without the values of the columns that are not ``counted``."""
        return Moments(*(np.where(counted, part, 0.0) for part in (self.n, self.mean, self.m2, self.m3)))

    @property
    def variance(self) -> Floats:
        """The mean squared deviation; 0 where there is no value."""
        return self.m2 / np.maximum(self.n, 1.0)

    def impossible(self, low: Floats, high: Floats) -> NDArray[np.bool_]:
        """Return of which columns no values from ``low`` to ``high`` have these moments.

        A mean lies in the range; a variance is (high - mean) (mean - low) or less, and so at most the square
        of half the range (Bhatia and Davis 2000, "A Better Bound on the Variance"); a sum of cubes is at most
        that of squares to the power 3/2; and where nothing is negative, E[x²]² is at most E[x] E[x³] and the
        largest value is no more than the sum of all.

        Parameters
        ----------
        low, high : ndarray of float64, shape (d,)
            Infinite where there is no bound.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is beyond MOST
            bad = self._beyond(low, high)
        told = (self.mean != 0.0) | (self.m2 != 0.0) | (self.m3 != 0.0)
        return np.where(self.n > 0, bad, told)

    def _beyond(self, low: Floats, high: Floats) -> NDArray[np.bool_]:
        reach = np.maximum(1.0, np.maximum(_finite(abs(low)), _finite(abs(high))))
        slack = ROUNDING * reach
        variance, below, above = self.variance, self.mean - low, high - self.mean
        bad = (below < -slack) | (above < -slack) | (abs(self.mean) > MOST) | (variance > MOST**2)
        both = np.isfinite(low) & np.isfinite(high)
        room = np.where(both, np.maximum(_finite(below), 0.0) * np.maximum(_finite(above), 0.0), np.inf)
        bad |= variance > room + slack * (reach + slack)
        noise = self.n * (slack + ROUNDING**1.5 * abs(self.mean)) ** 3
        bad |= abs(self.m3) > self.m2**1.5 * (1.0 + ROUNDING) + noise
        second = variance + np.square(self.mean)
        third = self.m3 / np.maximum(self.n, 1.0) + 3.0 * self.mean * variance + self.mean**3
        positive = low >= 0.0
        bad |= positive & (np.square(second) > third * self.mean * (1.0 + ROUNDING) + slack**4)
        bad |= positive & (second > self.n * np.square(self.mean) * (1.0 + ROUNDING) + slack**2)
        return np.asarray(bad)

    @property
    def skewness(self) -> Floats:
        """The third standardised moment; 0 where the values do not vary."""
        spread = np.where(self.m2 > 0, self.m2, 1.0)
        return np.where(self.m2 > 0, np.sqrt(self.n) * self.m3 / spread**1.5, 0.0)


def merged(each: Sequence[Moments]) -> Moments:
    """Return the moments of all together."""
    return functools.reduce(Moments.merged, each)


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, 0.0)
