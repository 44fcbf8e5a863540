"""Newton's method: what a client's rows add to the loss of the pooled objective and to its derivatives.

With p = 1 / (1 + exp(-z)), z = A w, A the prepared rows with a column of ones, and v the rows' weights:

    loss      Σ v log(1 + exp(∓z))       gradient   Aᵀ (v (p - y))       Hessian   Aᵀ diag(v p (1 - p)) A

All are sums over rows, so those of all clients add up to those of the pooled rows. The penalty is the
server's business. See McCullagh and Nelder 1989, "Generalized Linear Models", ch. 4.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk
from scipy.special import expit

Floats = NDArray[np.float64]
Chunk = tuple[Floats, NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Contribution:
    """Sums over this client's rows, k = d + 1 with the intercept last.

    Parameters
    ----------
    rows : int
        How many.
    loss : float
        Of all rows, weighted.
    mean_loss : float
        Of a row, unweighted: what people compare.
    gradient : ndarray of float64, shape (k,)
        Of the loss.
    hessian : ndarray of float64, shape (k (k + 1) / 2,)
        Of the loss: its upper triangle, row by row.
    scores : ndarray of float64, shape (k (k + 1) / 2,), optional
        Sum over rows of the outer product of a row's own gradient, packed likewise.
    """

    rows: int
    loss: float
    mean_loss: float
    gradient: Floats
    hessian: Floats
    scores: Floats | None

    def arrays(self) -> dict[str, Floats]:
        """Return what travels."""
        sums = {"loss": np.array([self.loss]), "gradient": self.gradient, "hessian": self.hessian}
        return sums if self.scores is None else sums | {"scores": self.scores}


def contribution(chunks: Iterable[Chunk], w: Floats, class_weight: tuple[float, float]) -> Contribution:
    """Sum up over ``chunks`` at the parameters ``w``.

    Parameters
    ----------
    chunks : iterable of (A, y)
        A (m, k), C-ordered, with ones in its last column: it is overwritten. y (m,), 0 or 1.
    w : ndarray of float64, shape (k,)
        Coefficients, then the intercept.
    class_weight : tuple of float
        Weights of a negative and of a positive row. Where they differ, standard errors need ``scores`` too.
    """
    k = w.size
    weights = np.asarray(class_weight, dtype=np.float64)
    weighted = class_weight[0] != class_weight[1]
    gradient, loss, plain, rows = np.zeros(k), 0.0, 0.0, 0
    hessian, scores = (np.zeros((k, k), order="F") for _ in range(2))
    for A, y in chunks:
        z, v = A @ w, weights[y]
        losses = np.logaddexp(0.0, np.where(y == 1, -z, z))  # exp of a large number never overflows here
        rows += y.size
        plain += float(losses.sum())
        loss += float(losses @ v)
        residual = v * (expit(z) - y)
        gradient += residual @ A
        if weighted:
            scores = _add_gram(scores, A * residual[:, np.newaxis])
        np.multiply(A, np.sqrt(v * expit(z) * expit(-z))[:, np.newaxis], out=A)
        hessian = _add_gram(hessian, A)
    return Contribution(
        rows=rows,
        loss=loss,
        mean_loss=plain / max(rows, 1),
        gradient=gradient,
        hessian=_packed(hessian),
        scores=_packed(scores) if weighted else None,
    )


def _add_gram(total: Floats, A: Floats) -> Floats:
    """Return ``total + Aᵀ A``, its upper triangle only: half the work of a general product, and in place."""
    result: Floats = dsyrk(1.0, A.T, beta=1.0, c=total, overwrite_c=1)
    return result


def _packed(square: Floats) -> Floats:
    return square[np.triu_indices(len(square))]
