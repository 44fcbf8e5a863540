"""Newton's method: what a client's rows add to the loss of the pooled objective and to its derivatives.

With p = 1 / (1 + exp(-z)), z = A w, A the prepared rows with a column of ones, and v the rows' weights:

    loss      Σ v log(1 + exp(∓z))       gradient   Aᵀ (v (p - y))       Hessian   Aᵀ diag(v p (1 - p)) A

All are sums over rows, so those of all clients add up to those of the pooled rows. The penalty is the
server's business. See McCullagh and Nelder 1989, "Generalized Linear Models", ch. 4.

Where the server suspects that the loss falls for ever along a direction d, the client also tells whether none
of its rows speaks against it: (2y - 1) A d is then nowhere negative. See Albert and Anderson 1984, "On the
existence of maximum likelihood estimates in logistic regression models".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk
from scipy.special import expit

from protocol.triangle import pack

Floats = NDArray[np.float64]
BORDER = 1e-6
"""What a row may lose, in log-odds, along a step that separates the classes, while other coefficients still
converge: each step leaves a seventh of it. Where classes overlap, some row loses a thousandth and more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contribution:
    """Sums over this client's rows, k = d + 1 with the intercept last.

    Parameters
    ----------
    rows : int
        How many.
    loss : float
        Of all rows, weighted.
    plain_loss : float
        Of all rows, unweighted: what people compare.
    gradient : ndarray of float64, shape (k,)
        Of the loss.
    hessian : ndarray of float64, shape (k, k)
        Of the loss; only its upper triangle counts.
    scores : ndarray of float64, shape (k, k), optional
        Sum over rows of the outer product of a row's own gradient; likewise.
    margin : float, optional
        The least (2y - 1) A d of a row, where a direction is to be judged.
    """

    rows: int
    loss: float
    plain_loss: float
    gradient: Floats
    hessian: Floats
    scores: Floats | None
    margin: float | None = None

    def __add__(self, other: Self) -> Self:
        return type(self)(
            rows=self.rows + other.rows,
            loss=self.loss + other.loss,
            plain_loss=self.plain_loss + other.plain_loss,
            gradient=self.gradient + other.gradient,
            hessian=self.hessian + other.hessian,
            scores=None if self.scores is None or other.scores is None else self.scores + other.scores,
            margin=None if self.margin is None or other.margin is None else min(self.margin, other.margin),
        )

    def arrays(self) -> dict[str, Floats]:
        """Return what travels: of the symmetric matrices the upper triangle, row by row."""
        arrays = {"loss": np.array([self.loss]), "gradient": self.gradient, "hessian": pack(self.hessian)}
        arrays |= {} if self.scores is None else {"scores": pack(self.scores)}
        if self.margin is not None:
            arrays["separates"] = np.array([float(self.margin >= -BORDER)])
        return arrays


def sums(
    A: Floats,
    y: NDArray[np.int64],
    w: Floats,
    class_weight: tuple[float, float],
    direction: Floats | None = None,
) -> Contribution:
    """Return the sums over some rows at the parameters ``w``.

    Parameters
    ----------
    A : ndarray of float64, shape (m, k)
        Prepared rows with ones in the last column, of either memory order: they are overwritten.
    y : ndarray of int64, shape (m,)
        0 or 1.
    w : ndarray of float64, shape (k,)
        Coefficients, then the intercept.
    class_weight : tuple of float
        Weights of a negative and of a positive row. Where they differ, standard errors need ``scores`` too.
    direction : ndarray of float64, shape (k,), optional
        A step to be judged: whether it separates the classes of these rows.
    """
    margin = None if direction is None else float(((2 * y - 1) * (A @ direction)).min())
    weights = np.asarray(class_weight, dtype=np.float64)
    z, v = A @ w, weights[y]
    e = np.exp(-np.abs(z))  # never of a large number, and once: it takes longer than all the rest
    q = 1.0 / (1.0 + e)
    losses = np.log1p(e) + np.maximum(np.where(y == 1, -z, z), 0.0)
    residual = v * (np.where(z < 0, e * q, q) - y)
    gradient = residual @ A
    scores = None if weights[0] == weights[1] else _gram(A * residual[:, np.newaxis])
    np.multiply(A, (np.sqrt(v * e) * q)[:, np.newaxis], out=A)
    return Contribution(
        rows=y.size,
        loss=float(losses @ v),
        plain_loss=float(losses.sum()),
        gradient=gradient,
        hessian=_gram(A),
        scores=scores,
        margin=margin,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Products:
    """What the sums at coefficients of 0 are made of, where all rows have the same p and no weights.

    Parameters
    ----------
    all : ndarray of float64, shape (k, k)
        AᵀA, its upper triangle.
    positive : ndarray of float64, shape (k,)
        Sum of the rows of A whose label is 1.
    """

    all: Floats
    positive: Floats

    @classmethod
    def of(cls, A: Floats, y: NDArray[np.int64]) -> Self:
        """Return those of some rows, with ones in the last column."""
        return cls(all=_gram(A), positive=y @ A)

    def __add__(self, other: Self) -> Self:
        return type(self)(all=self.all + other.all, positive=self.positive + other.positive)

    def sums(self, change: Floats, intercept: float) -> Contribution:
        """Return the sums of the rows ``A @ change``, whose last column is ones too, at this intercept."""
        gram = change.T @ (self.all + np.triu(self.all, 1).T) @ change
        positive = self.positive @ change
        p = expit(intercept)
        loss = float(gram[-1, -1] * np.logaddexp(0.0, intercept) - positive[-1] * intercept)
        return Contribution(
            rows=int(gram[-1, -1]),
            loss=loss,
            plain_loss=loss,
            gradient=p * gram[-1] - positive,
            hessian=p * (1.0 - p) * gram,
            scores=None,
        )


def total(parts: Iterable[Contribution]) -> Contribution:
    """Return the sum of ``parts``, of which there is one at least, in their order."""
    return reduce(add, parts)


def _gram(A: Floats) -> Floats:
    """Return AᵀA, its upper triangle only: the symmetric rank-k update does half a product's work."""
    square: Floats = dsyrk(1.0, A, trans=1) if A.flags.f_contiguous else dsyrk(1.0, A.T)
    return square
