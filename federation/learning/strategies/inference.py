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
from functools import partial
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
        ``method``, ``confidence``, ``intercept`` and ``features``: a list in the model's order. With site
        intercepts ``intercept`` is their mean, and ``site_intercepts`` tells of each, by client. A figure
        that the rows leave undefined, as for a constant column, is None.
    """
    at = strategy.newton.accepted
    if at is None or not strategy.newton.converged:
        return None
    preprocessing, coef = model.preprocessing, model.coef
    penalty = np.zeros(len(at.hessian))
    penalty[: len(coef)] = strategy.newton.penalty
    covariance, undefined = _covariance(at.hessian, at.scores, np.diag(penalty))
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    undefined |= errors <= _VANISHING * np.max(errors)
    errors[undefined] = np.nan
    sites = model.site_intercepts or {}
    places = {site: len(coef) + strategy.newton.sites.index(site) for site in sites}
    told = partial(_intercept, model, covariance, undefined)
    columns = zip(preprocessing.features, coef, errors[: len(coef)], preprocessing.scale, strict=True)
    inference: dict[str, Any] = {
        "method": _method(strategy),
        "confidence": CONFIDENCE,
        "intercept": told(model.intercept, list(places.values()) or [len(coef)]),
        "features": [
            {"name": name} | _tested(b, e) | _odds_ratio(b, e) | {"natural": _estimate(b / s, e / s)}
            for name, b, e, s in columns
        ],
    }
    if sites:
        inference["site_intercepts"] = {site: told(value, [places[site]]) for site, value in sites.items()}
    return inference


def _intercept(
    model: LinearModel, covariance: Floats, undefined: NDArray[np.bool_], value: float, places: list[int]
) -> dict[str, Any]:
    """Tell of an intercept, the mean of those at ``places``; also of that of columns in their own units."""
    weights = np.zeros(len(covariance))
    weights[places] = 1.0 / len(places)
    shift = model.preprocessing.mean / model.preprocessing.scale
    natural = np.append(-shift, weights[len(shift) :])
    errors = [
        math.nan if undefined[places].any() else math.sqrt(max(float(one @ covariance @ one), 0.0))
        for one in (weights, natural)
    ]
    return _tested(value, errors[0]) | {"natural": _estimate(value - float(shift @ model.coef), errors[1])}


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
