"""Firth's penalised likelihood of rows that are in one place: what a federation's is compared with."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
STEPS, CLOSE = 1000, 1e-8
FARTHEST = 5.0  # a step's largest change of a coefficient; logistf's default


def fit_firth(Z: Floats, y: NDArray[np.int64]) -> tuple[Floats, float, bool]:
    """Return the coefficients, the intercept, and whether the search for them ended.

    The maximum of l(w) + ½ log |I(w)|, by Fisher's scoring as in R's brglm2 and logistf: Firth 1993, "Bias
    reduction of maximum likelihood estimates". It is finite whatever the rows.

    Parameters
    ----------
    Z : ndarray of float64, shape (n, d)
        Prepared rows.
    y : ndarray of int64, shape (n,)
        0 or 1.
    """
    A = np.column_stack([Z, np.ones(len(y))])
    share = (y.sum() + 0.5) / (len(y) + 1.0)
    w = np.zeros(A.shape[1])
    w[-1] = math.log(share / (1.0 - share))
    for _ in range(STEPS):
        p = expit(A @ w)
        v = p * (1.0 - p)
        inverse = np.linalg.pinv((A.T * v) @ A, hermitian=True)
        leverages = v * np.einsum("ij,ij->i", A @ inverse, A)
        score = A.T @ (y - p + leverages * (0.5 - p))
        step = inverse @ score
        w += step * min(1.0, FARTHEST / max(float(np.abs(step).max()), 1e-300))
        if score @ step < CLOSE**2:
            return w[:-1], float(w[-1]), True
    return w[:-1], float(w[-1]), False
