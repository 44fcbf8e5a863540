"""What coefficients are worth as estimates: standard errors, tests and intervals, from sums that travelled.

The covariance of the estimates is the sandwich B⁻¹ M B⁻¹, B the Hessian of the penalised objective at the
optimum:

- Where rows weigh the same, M is the Hessian of the losses: without a penalty this is the inverse
  information, with one the covariance of ridge estimates (le Cessie and van Houwelingen 1992, "Ridge
  estimators in logistic regression"). It does not account for the penalty's pull towards zero.
- Where classes are weighted, M is the sum over rows of the outer products of their scores (White 1982,
  "Maximum likelihood estimation of misspecified models"; Binder 1983, "On the variances of asymptotically
  normal estimators from complex surveys", for weights). The slopes are those of unweighted rows, the
  intercept is shifted by the weights (Prentice and Pyke 1979).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.learning.strategies.fednewton import FedNewton
from federation.learning.strategies.newton import spectrum
from federation.model.linear import LinearModel

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
_QUANTILE = 1.959963984540054  # of the normal distribution, at 0.975
_VANISHING = 1e-8  # a share of a coefficient that rows say nothing about, or a deviation this small


def infer(strategy: FedNewton, model: LinearModel) -> dict[str, Any] | None:
    """Return what ``model.json`` tells of every coefficient, or None before the optimum is found.

    Parameters
    ----------
    strategy : FedNewton
        Holds the last sums.
    model : LinearModel
        The optimum; the mean and scale of its preprocessing lead back to the columns' own units.

    Returns
    -------
    dict
        ``method``, ``confidence``, ``intercept`` and ``features``: a list in the model's order. A figure that
        the rows leave undefined, as for a constant column, is None.
    """
    at = strategy.newton.accepted
    if at is None or not strategy.newton.converged:
        return None
    preprocessing, coef, intercept = model.preprocessing, model.coef, model.intercept
    penalty = np.append(np.full(len(coef), strategy.newton.penalty), 0.0)
    covariance, undefined = _covariance(at.hessian, at.scores, np.diag(penalty))
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    undefined |= errors <= _VANISHING * np.max(errors)
    errors[undefined] = np.nan
    back = np.append(-preprocessing.mean / preprocessing.scale, 1.0)
    natural_intercept = (
        intercept + float(back[:-1] @ coef),
        math.sqrt(max(float(back @ covariance @ back), 0.0)),
    )
    columns = zip(preprocessing.features, coef, errors[:-1], preprocessing.scale, strict=True)
    return {
        "method": _method(strategy),
        "confidence": CONFIDENCE,
        "intercept": _tested(intercept, errors[-1]) | {"natural": _estimate(*natural_intercept)},
        "features": [
            {"name": name} | _tested(b, e) | _odds_ratio(b, e) | {"natural": _estimate(b / s, e / s)}
            for name, b, e, s in columns
        ],
    }


def _method(strategy: FedNewton) -> str:
    if strategy.weighted:
        return "sandwich of the weighted scores"
    return "covariance of ridge estimates" if strategy.newton.penalty else "inverse information"


def _covariance(hessian: Floats, scores: Floats | None, penalty: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the covariance, and which coefficients have none for the rows do not tell them apart."""
    values, vectors, null = spectrum(hessian + penalty)
    bread = (vectors / values) @ vectors.T
    covariance = bread @ (hessian if scores is None else scores) @ bread
    return covariance, np.square(null).sum(axis=1) > _VANISHING


def _estimate(value: float, error: float) -> dict[str, float | None]:
    reach = _QUANTILE * error
    return _plain(coefficient=value, standard_error=error, low=value - reach, high=value + reach)


def _tested(value: float, error: float) -> dict[str, float | None]:
    z = value / error
    return _estimate(value, error) | _plain(z=z, p=math.erfc(abs(z) / math.sqrt(2.0)))


def _odds_ratio(value: float, error: float) -> dict[str, float | None]:
    low, middle, high = (_exp(value + sign * _QUANTILE * error) for sign in (-1, 0, 1))
    return _plain(odds_ratio=middle, odds_ratio_low=low, odds_ratio_high=high)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _plain(**figures: float) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in figures.items()}
