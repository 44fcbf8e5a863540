"""Firth's penalty: what a client's rows add to the correction of the score.

The penalised log-likelihood is l(w) + ½ log |I(w)|, I the information of all clients' rows, and its score

    Aᵀ (y - p + h (½ - p)),    h_i = p_i (1 - p_i) a_iᵀ I⁻¹ a_i

h the leverages: how much each row alone says. The first part is that of :mod:`newton`; the second, given I⁻¹,
is a sum over rows again. See Firth 1993, "Bias reduction of maximum likelihood estimates", and Heinze and
Schemper 2002, "A solution to the problem of separation in logistic regression".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Correction:
    """Sums over this client's rows, k = d + 1 with the intercept last.

    Parameters
    ----------
    rows : int
        How many.
    loss : float
        Of all rows.
    values : ndarray of float64, shape (k,)
        Aᵀ (h (½ - p)).
    """

    rows: int
    loss: float
    values: Floats

    def __add__(self, other: Self) -> Self:
        return type(self)(
            rows=self.rows + other.rows, loss=self.loss + other.loss, values=self.values + other.values
        )


def correction(A: Floats, y: NDArray[np.int64], w: Floats, inverse: Floats) -> Correction:
    """Return the sums over some rows at the parameters ``w``.

    Parameters
    ----------
    A : ndarray of float64, shape (m, k)
        Prepared rows with ones in the last column.
    y : ndarray of int64, shape (m,)
        0 or 1.
    w : ndarray of float64, shape (k,)
        Coefficients, then the intercept.
    inverse : ndarray of float64, shape (k, k)
        The inverse of the information of all clients' rows at ``w``: its part for these parameters.
    """
    z = A @ w
    p = expit(z)
    leverages = p * (1.0 - p) * np.einsum("ij,ij->i", A @ inverse, A)
    loss = float(np.logaddexp(0.0, np.where(y == 1, -z, z)).sum())
    return Correction(rows=y.size, loss=loss, values=(leverages * (0.5 - p)) @ A)


def total(parts: Iterable[Correction]) -> Correction:
    """Return the sum of ``parts``, of which there is one at least, in their order."""
    return reduce(add, parts)
