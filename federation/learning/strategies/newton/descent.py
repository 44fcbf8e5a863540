"""Damped Newton's method on sums that clients send: where to look next, and whether that was it.

Minimises the sum over all rows of (weighted) log losses plus ‖w‖² / (2 C), the intercept unpenalised: what
scikit-learn's ``LogisticRegression`` minimises on the pooled rows. Boyd and Vandenberghe 2004, "Convex
Optimization", 9.5: the step solves H d = -g and is halved until Armijo's condition holds. The Newton
decrement, the square root of -gᵀd, is the step's length as the loss measures it; near the optimum each is
about the square of the last.

Where every client has an intercept of its own, client i's rows have a column of ones for it and none for the
others': its sums are embedded in those of all parameters, see :class:`Space`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, eigh
from scipy.linalg.lapack import dpocon, dpotrf
from scipy.special import expit

from federation.errors import NoOptimumError
from federation.learning.strategies.newton.space import Space

Floats = NDArray[np.float64]
ARMIJO = 1e-4
ROUNDING = 1e-13  # of a sum of losses, relative: smaller differences say nothing
ASTRAY = 0.5  # of the change that a client's gradient lets its loss make along a short step
CONVEX = 1e-9  # of a client's loss and slope, and alone: less below the tangent is rounding
AT_LOG_ODDS = 1e-9  # or less is the intercept's slope there, but for rounding
MOST_EXPLAINED = 0.5  # of the classes' variance: beyond, columns are hardly normal
STEADY = 0.5  # a step this much as long as the last one is no step of a method that converges
SUSPICIOUS = 2  # so many steady steps in a row suggest that they never end
LEAST_SHARE = 0.1  # of the largest intercept's step: those of rows of one class all grow by the same


class Sums(NamedTuple):
    """What one client says of its rows at a point; k = d + 1, the intercept last."""

    rows: int
    loss: float
    gradient: Floats
    hessian: Floats
    scores: Floats | None


def spectrum(hessian: Floats) -> tuple[Floats, Floats, Floats]:
    """Return eigenvalues, eigenvectors, and the eigenvectors of what is zero but for rounding."""
    values, vectors = eigh(hessian)
    kept = values > _negligible(len(values)) * max(values[-1], 0.0)
    return values[kept], vectors[:, kept], vectors[:, ~kept]


def newton_direction(hessian: Floats, gradient: Floats) -> Floats:
    """Return d with H d = -g: by Cholesky, or the shortest one where H is singular but for rounding.

    Constant and collinear columns without a penalty make H singular; along its null space the loss does not
    change, so the shortest step moves only what the rows tell about.
    """
    factor, failed = dpotrf(hessian)
    if not failed:
        rcond, _ = dpocon(factor, np.abs(hessian).sum(axis=0).max())
        if rcond > _negligible(len(gradient)):
            return np.asarray(cho_solve((factor, False), -gradient))
    values, vectors, _ = spectrum(hessian)
    return -(vectors @ ((vectors.T @ gradient) / values))


def _towards_discriminant(point: Floats, direction: Floats, decrement: float, slope: float) -> Floats:
    """Return the way from the log-odds alone to the linear discriminant, which starts closer than one step.

    At coefficients of 0 and the log-odds, where the intercept's ``slope`` is 0, Newton's step has the
    discriminant's direction and falls short of it, for it divides by the variance within both classes and
    between them. For normal columns the discriminant estimates the same coefficients: Efron 1975, "The
    Efficiency of Logistic Regression Compared to Normal Discriminant Analysis".
    """
    between = decrement**2  # the part of the classes' variance that the columns explain, R²
    if point[:-1].any() or abs(slope) > AT_LOG_ODDS or between > MOST_EXPLAINED:
        return direction
    p = expit(point[-1])
    longer = direction / (1.0 - between)
    longer[-1] -= (0.5 - p) * between / (1.0 - between) / (p * (1.0 - p))
    return np.asarray(longer)


def _negligible(k: int) -> float:
    return 8 * k * float(np.finfo(np.float64).eps)


@dataclass(kw_only=True, eq=False)
class Accepted:
    """The best point so far.

    Parameters
    ----------
    point, direction : ndarray of float64, shape (k,)
        Where, and where to go from there.
    losses, slopes : dict of str to float
        By client: its loss there, and its part of the directional derivative.
    hessian : ndarray of float64, shape (k, k)
        Of all clients' losses, without the penalty.
    scores : ndarray of float64, shape (k, k), optional
        Likewise.
    """

    point: Floats
    direction: Floats
    losses: dict[str, float]
    slopes: dict[str, float]
    hessian: Floats
    scores: Floats | None

    def enlarged(self, by: int, intercept: float) -> "Accepted":
        """Return the same with so many more intercepts, which start at ``intercept``."""
        return replace(
            self,
            point=np.append(self.point, np.full(by, intercept)),
            direction=np.append(self.direction, np.zeros(by)),
            hessian=np.pad(self.hessian, (0, by)),
            scores=None if self.scores is None else np.pad(self.scores, (0, by)),
        )


@dataclass(kw_only=True, eq=False)
class DampedNewton:
    """Propose points until the optimum is found.

    Parameters
    ----------
    penalty : float
        1 / C, 0 for none.
    tolerance : float
        Converged when neither the largest component of the gradient nor the Newton decrement exceeds it, both
        of the mean loss of a row. The step that follows squares it.
    max_halvings : int
        Most halvings of one step.

    Attributes
    ----------
    converged : bool
        Whether the last proposal is the optimum.
    gradient, decrement : float
        Of the last accepted point and the mean loss of a row.
    halvings, steady : int
        Of the current step; steps in a row that did not shrink.
    sites : tuple of str
        The clients that have an intercept of their own; empty: there is one for all.
    """

    penalty: float
    tolerance: float
    max_halvings: int
    converged: bool = False
    gradient: float = math.inf
    decrement: float = math.inf
    halvings: int = 0
    steady: int = 0
    accepted: Accepted | None = field(default=None)
    sites: tuple[str, ...] = ()

    def space(self, point: Floats) -> Space:
        """Return where the clients' parameters are in a point."""
        return Space(point.size - max(len(self.sites), 1), self.sites)

    def admit(self, clients: Iterable[str], intercept: float) -> None:
        """Give clients that have none yet an intercept of their own, which starts at ``intercept``."""
        new = tuple(sorted(set(clients) - set(self.sites)))
        if self.accepted is not None and new:
            self.accepted = self.accepted.enlarged(len(new), intercept)
        self.sites += new

    def propose(self, point: Floats, clients: Mapping[str, Sums]) -> Floats:
        """Take what the clients say of ``point``; return the next point, or the optimum.

        The sums are taken in the order of the clients' names, so the result does not depend on who was first.
        The intercept of a client that says nothing stays as it is: the shortest step leaves it alone.

        Raises
        ------
        NoOptimumError
            The loss does not fall however short the step.
        """
        clients = dict(sorted(clients.items()))
        last = self.accepted
        if last is not None and not self._decreases(last, point, clients):
            return self.halved(last)
        return self._accept(point, clients)

    def halved(self, last: Accepted) -> Floats:
        """Return a point half as far from the last as the one before.

        Raises
        ------
        NoOptimumError
            There were too many already.
        """
        self.halvings += 1
        if self.halvings > self.max_halvings:
            raise NoOptimumError(
                f"the loss did not decrease after {self.max_halvings} halvings of a step.",
                "Look at the clients' figures in rounds.jsonl: their losses and gradients do not agree.",
            )
        return last.point + last.direction * 0.5**self.halvings

    def below_tangent(self, client: str, point: Floats, loss: float) -> bool:
        """Whether a client's loss at a point contradicts its loss and gradient at the accepted one.

        A loss is convex, and so nowhere below its tangent.
        """
        last = self.accepted
        if last is None or client not in last.losses or point.size != last.point.size:
            return False
        least = last.losses[client] + 0.5**self.halvings * last.slopes[client]
        rounding = CONVEX * (1.0 + abs(last.losses[client]) + abs(last.slopes[client]))
        return loss < least - rounding

    def astray(self, losses: Mapping[str, float]) -> str | None:
        """Return the client whose loss follows its own gradient least after too many halvings, or None.

        Along a step so short every loss changes by the step's part of its slope, but for rounding.
        """
        last, part = self.accepted, 0.5 ** (self.halvings - 1)
        if last is None:
            return None
        both = [name for name in losses if last.slopes.get(name)]
        off = {name: abs(losses[name] - last.losses[name] - part * last.slopes[name]) for name in both}
        worst = max(off, key=lambda name: off[name], default=None)
        return worst if worst and off[worst] > ASTRAY * part * abs(last.slopes[worst]) else None

    def _accept(self, point: Floats, clients: Mapping[str, Sums]) -> Floats:
        space, rows = self.space(point), sum(one.rows for one in clients.values())
        hessian = space.matrix({name: one.hessian for name, one in clients.items()})
        scores = {name: one.scores for name, one in clients.items() if one.scores is not None}
        gradient = space.vector({name: one.gradient for name, one in clients.items()}) + self._shrink(point)
        direction = newton_direction(hessian + np.diag(self._shrink(np.ones(space.size))), gradient)
        self.gradient = float(np.abs(gradient).max()) / rows
        self.decrement = math.sqrt(max(float(-gradient @ direction), 0.0) / rows)
        near = max(self.gradient, self.decrement) <= self.tolerance
        if self.accepted is None and not near and not self.sites:
            direction = _towards_discriminant(point, direction, self.decrement, gradient[-1] / rows)
        loss = sum(one.loss for one in clients.values())
        self._watch(direction, falls=rows * self.decrement**2 > ROUNDING * loss)
        self.converged = near and not self.steady  # rows that separate the classes flatten the loss too
        self.halvings = 0
        self.accepted = Accepted(
            point=point,
            direction=direction,
            losses={i: one.loss for i, one in clients.items()},
            slopes={i: float(one.gradient @ direction[space.at(i)]) for i, one in clients.items()},
            hessian=hessian,
            scores=space.matrix(scores) if scores else None,
        )
        return point + direction

    def _decreases(self, last: Accepted, point: Floats, clients: Mapping[str, Sums]) -> bool:
        """Compare the losses of the clients that answered at both points."""
        both = [i for i in clients if i in last.losses]
        before = sum(last.losses[i] for i in both) + last.point @ self._shrink(last.point) / 2
        after = sum(clients[i].loss for i in both) + point @ self._shrink(point) / 2
        slope = sum(last.slopes[i] for i in both) + float(self._shrink(last.point) @ last.direction)
        allowed = ARMIJO * 0.5**self.halvings * min(slope, 0.0) + ROUNDING * before
        return bool(after <= before + allowed)

    def _watch(self, direction: Floats, *, falls: bool) -> None:
        """Count the steps in a row that did not shrink, while the loss ``falls`` by more than rounding.

        Each step adds about one to the log-odds of rows that separate the classes, for ever; on the way to a
        finite optimum, however far, steps shrink in the end. When there is none: Albert and Anderson 1984,
        "On the existence of maximum likelihood estimates in logistic regression models".
        """
        last, longest = self.accepted, float(np.abs(direction).max())
        before = math.inf if last is None or self.halvings else float(np.abs(last.direction).max())
        steady = falls and longest >= max(STEADY * before, self.tolerance)
        self.steady = self.steady + 1 if steady else 0

    def suspect(self) -> Floats | None:
        """Return the direction along which the loss may fall for ever, None while nothing suggests one.

        It is that of the last step, as long as that, so that a row's share in it is in log-odds. Along a
        penalised coefficient no loss falls for ever; what is left are the intercepts of rows of one class,
        the largest 1. Whether the loss does is for the rows to say.
        """
        if self.accepted is None or self.steady < SUSPICIOUS:
            return None
        direction = self.accepted.direction
        if not self.penalty:
            return direction
        direction = direction.copy()
        direction[: self.space(direction).features] = 0.0
        largest = float(np.abs(direction).max())
        direction[np.abs(direction) < LEAST_SHARE * largest] = 0.0
        return direction / largest if largest > 0 else None

    def _shrink(self, w: Floats) -> Floats:
        """Return the gradient of the penalty at ``w``."""
        shrunk = self.penalty * w
        shrunk[self.space(w).features :] = 0.0
        return shrunk

    def get_state(self) -> dict[str, NDArray[Any]]:
        """Return arrays from which :meth:`set_state` goes on as if nothing had happened."""
        state: dict[str, NDArray[Any]] = {
            "plain": np.array([float(getattr(self, name)) for name, _ in _PLAIN]),
            "sites": np.array(self.sites, dtype=np.str_),
        }
        at = self.accepted
        if at is not None:
            state |= {"point": at.point, "direction": at.direction, "hessian": at.hessian}
            state["clients"] = np.array(list(at.losses))
            state["losses"] = np.array(list(at.losses.values()))
            state["slopes"] = np.array([at.slopes[i] for i in at.losses])
            state |= {} if at.scores is None else {"scores": at.scores}
        return state

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`get_state` returned."""
        for (name, kind), value in zip(_PLAIN, state["plain"], strict=True):
            setattr(self, name, kind(value))
        self.sites = tuple(state["sites"].tolist())
        if "point" in state:
            self.accepted = Accepted(
                point=state["point"],
                direction=state["direction"],
                losses=dict(zip(state["clients"].tolist(), state["losses"].tolist(), strict=True)),
                slopes=dict(zip(state["clients"].tolist(), state["slopes"].tolist(), strict=True)),
                hessian=state["hessian"],
                scores=state.get("scores"),
            )


_PLAIN = (("converged", bool), ("gradient", float), ("decrement", float), ("halvings", int), ("steady", int))
