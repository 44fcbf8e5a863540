"""What coefficients are worth as estimates: standard errors, tests and intervals, from sums that travelled.

The covariance of the estimates is the sandwich B⁻¹ M B⁻¹, B the Hessian of the losses at the optimum:

- Where rows weigh the same, M is B, and the covariance the inverse information: of the maximum of the
  likelihood as statsmodels and R's glm have it, of Firth's as R's brglm2 and logistf do.
- Where classes are weighted, M is the sum over rows of the outer products of their scores (White 1982,
  "Maximum likelihood estimation of misspecified models"; Binder 1983, "On the variances of asymptotically
  normal estimators from complex surveys", for weights). The slopes are those of unweighted rows, the
  intercept is shifted by the weights (Prentice and Pyke 1979).

Estimates under an l2 penalty have a spread too, but are centred elsewhere than at the truth, so what is
computed from it is no test and covers nothing as often as it says: they come without.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from federation.learning.strategies.newton.descent import spectrum
from federation.learning.strategies.newton.fednewton import FedNewton
from federation.model.linear import LinearModel

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
INTERCEPT = "(intercept)"
_QUANTILE = 1.959963984540054  # of the normal distribution, at 0.975
_VANISHING = 1e-8  # a share of a coefficient that rows say nothing about, or a deviation this small


def reason_for_no_tests(penalty: str, resample: str | None = None) -> str | None:
    """Return why no test or interval of a coefficient would be valid, with what to do; None where they are.

    Parameters
    ----------
    penalty : {"l2", "none", "firth"}
        Of the fit.
    resample : str, optional
        How training rows were prepared, where that is known: "smote" adds rows that nobody observed.
    """
    if resample == "smote":
        return "synthetic rows of SMOTE are no observations: use --resample none"
    if penalty == "l2":
        return (
            "under an l2 penalty estimates are pulled towards zero, so a p value would be wrong: "
            "use --penalty none or --penalty firth"
        )
    return None


def infer(
    strategy: FedNewton, model: LinearModel, *, penalty: str, reason: str | None
) -> dict[str, Any] | None:
    """Return what ``model.json`` tells of every coefficient, or None before the optimum is found.

    Parameters
    ----------
    strategy : FedNewton
        Holds the last sums.
    model : LinearModel
        The optimum; the mean and scale of its preprocessing lead back to the columns' own units.
    penalty : {"l2", "none", "firth"}
        Of the fit.
    reason : str, optional
        Why there are to be estimates only, see :func:`reason_for_no_tests`.

    Returns
    -------
    dict
        ``penalty``; ``method`` and ``confidence``, or ``reason`` where there are estimates only;
        ``absent``, features that are zero in every training row; ``undetermined``, groups of the others that
        the rows do not tell apart; ``intercept`` and ``features``, a list in the model's order, each with its
        figures also for one unit of its column (``natural``). With site intercepts ``intercept`` is their
        mean, and ``site_intercepts`` tells of each, by client. What the rows leave undefined is None.
    """
    at = strategy.newton.accepted
    if at is None or not strategy.newton.converged:
        return None
    names, d, sites = model.preprocessing.features, len(model.coef), model.site_intercepts or {}
    places = {site: d + strategy.newton.sites.index(site) for site in sites}
    intercepts = {at: f"(intercept of {site})" for site, at in places.items()} or {d: INTERCEPT}
    absent = {j for j in range(d) if at.hessian[j, j] == 0.0}  # a sum of squares: no row has it
    named = {j: name for j, name in enumerate(names) if j not in absent}
    spread = _Spread.of(at.hessian, at.scores)
    determined = spread._replace(null=spread.null[:, :0]) if penalty == "l2" else spread  # l2 does the rest
    tell = _Teller(model, determined, *((_plainly, _plainly, _ratio) if reason else _WITH_TESTS))
    inference: dict[str, Any] = {
        "penalty": penalty,
        **({"reason": reason} if reason else {"method": _method(strategy), "confidence": CONFIDENCE}),
        "absent": [names[j] for j in sorted(absent)],
        "undetermined": spread.undetermined(named | intercepts),
        "intercept": tell.intercept(model.intercept, list(intercepts)),
        "features": [{"name": name} | tell.feature(j) for j, name in enumerate(names)],
    }
    if sites:
        of_site = {site: tell.intercept(value, [places[site]]) for site, value in sites.items()}
        inference["site_intercepts"] = of_site
    return inference


def _method(strategy: FedNewton) -> str:
    return "sandwich of the weighted scores" if strategy.weighted else "inverse information"


class _Spread(NamedTuple):
    """The covariance of the estimates, (k, k), and what the rows say nothing about, (k, m) orthonormal."""

    covariance: Floats
    null: Floats

    @classmethod
    def of(cls, hessian: Floats, scores: Floats | None) -> Self:
        """Return those of a Hessian of losses, with the scores' outer products where rows are weighted."""
        values, vectors, null = spectrum(hessian)
        bread = (vectors / values) @ vectors.T
        return cls(bread if scores is None else bread @ scores @ bread, null)

    def figures(self, combination: Floats, value: float) -> tuple[float, float]:
        """Return a linear combination's value and standard error, NaN if the rows do not determine it."""
        share = np.abs(combination @ self.null).max(initial=0.0)
        if share > _VANISHING * np.linalg.norm(combination):
            return math.nan, math.nan
        return value, math.sqrt(max(float(combination @ self.covariance @ combination), 0.0))

    def undetermined(self, names: Mapping[int, str]) -> list[list[str]]:
        """Return the names, by their places, in groups within each of which the rows leave something open."""
        together = np.abs(self.null @ self.null.T) > _VANISHING
        _, group_of = connected_components(together, directed=False)
        groups: dict[int, list[str]] = {}
        for at, name in names.items():
            if together[at, at]:
                groups.setdefault(group_of[at], []).append(name)
        return list(groups.values())


Figures = Callable[[float, float], dict[str, float | None]]
"""Makes what is told of a value and its standard error."""


class _Teller(NamedTuple):
    """Say of a model's coefficients what ``estimate``, ``tested`` and ``ratio`` make of each."""

    model: LinearModel
    spread: _Spread
    estimate: Figures
    tested: Figures
    ratio: Figures

    def feature(self, j: int) -> dict[str, Any]:
        """Tell of the coefficient at ``j``, also for one unit of its column."""
        scale = float(self.model.preprocessing.scale[j])
        unit = np.eye(len(self.spread.covariance))[j]
        b, e = self.spread.figures(unit, self.model.coef[j])
        natural = self.estimate(b / scale, e / scale) | self.ratio(b / scale, e / scale)
        return self.tested(b, e) | self.ratio(b, e) | {"natural": natural}

    def intercept(self, value: float, places: list[int]) -> dict[str, Any]:
        """Tell of an intercept, the mean of those at ``places``, also for columns in their own units."""
        preprocessing, coef = self.model.preprocessing, self.model.coef
        weights, shift = np.zeros((2, len(self.spread.covariance)))
        weights[places], shift[: coef.size] = 1.0 / len(places), preprocessing.mean / preprocessing.scale
        scaled = self.spread.figures(weights, value)
        natural = self.spread.figures(weights - shift, value - float(shift[: coef.size] @ coef))
        natural = natural if math.isfinite(scaled[0]) else scaled
        return self.tested(*scaled) | {"natural": self.estimate(*natural)}


def _plainly(value: float, _: float) -> dict[str, float | None]:
    return _plain(coefficient=value)


def _estimate(value: float, error: float) -> dict[str, float | None]:
    reach = _QUANTILE * error
    return _plain(coefficient=value, standard_error=error, low=value - reach, high=value + reach)


def _tested(value: float, error: float) -> dict[str, float | None]:
    z = value / error if error else math.nan
    return _estimate(value, error) | _plain(z=z, p=math.erfc(abs(z) / math.sqrt(2.0)))


def _ratio(value: float, _: float) -> dict[str, float | None]:
    return _plain(odds_ratio=_exp(value))


def _ratios(value: float, error: float) -> dict[str, float | None]:
    low, middle, high = (_exp(value + sign * _QUANTILE * error) for sign in (-1, 0, 1))
    return _plain(odds_ratio=middle, odds_ratio_low=low, odds_ratio_high=high)


_WITH_TESTS: tuple[Figures, Figures, Figures] = (_estimate, _tested, _ratios)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _plain(**figures: float) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in figures.items()}
