"""FedProx's local fit: near the rows' own optimum, and held near the model that the server sent.

With n rows of weights v, the global model w₀, and coefficients w whose last is the intercept, it minimises

    (Σ v log(1 + exp(∓A w)) + λ/2 ‖w without intercept‖²) / n  +  μ/2 ‖w - w₀‖²

Li et al. 2020, "Federated Optimization in Heterogeneous Networks", equation 2, whose local loss is a mean
over rows: so one μ means the same at clients of any size. The intercept is held like the coefficients.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import utils

Floats = NDArray[np.float64]
MEMORY, LINE_SEARCH, FLAT = 10, 50, 64 * float(np.finfo(np.float64).eps)
"""L-BFGS-B's: pairs that it keeps, steps of a line search, relative fall that ends it; scikit-learn's own."""


def fit(
    model: LogisticRegression, table: utils.Table, class_weight: tuple[float, float], *, mu: float, l2: float
) -> None:
    """Fit in place, starting from the model's parameters, which are the global model's.

    Parameters
    ----------
    model : LogisticRegression
        Gives ``max_iter`` and ``tol``, the largest component of the gradient of the mean loss at the end.
    table : Table
        Prepared rows, of one class or both.
    class_weight : tuple of float
        Weights of a negative and of a positive row.
    mu : float
        μ above.
    l2 : float
        λ above; 0 for no penalty.
    """
    centre, n = utils.flat(model), len(table.y)
    v, sign = np.asarray(class_weight, dtype=np.float64)[table.y], np.where(table.y == 1, 1.0, -1.0)
    penalty = np.append(np.full(centre.size - 1, l2), 0.0)

    def objective(w: Floats) -> tuple[float, Floats]:
        margin = sign * (table.X @ w[:-1] + w[-1])
        residual = -v * sign * expit(-margin)
        away = w - centre
        value = (v @ np.logaddexp(0.0, -margin) + penalty @ w**2 / 2.0) / n + mu * (away @ away) / 2.0
        slope = (np.append(residual @ table.X, residual.sum()) + penalty * w) / n + mu * away
        return float(value), slope

    found = minimize(
        objective,
        centre,
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": model.max_iter,
            "gtol": model.tol,
            "ftol": FLAT,
            "maxls": LINE_SEARCH,
            "maxcor": MEMORY,
        },
    ).x
    model.coef_, model.intercept_ = found[np.newaxis, :-1].copy(), found[-1:].copy()
