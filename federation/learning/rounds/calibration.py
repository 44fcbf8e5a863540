"""Move the final model's intercept so that its probabilities add up to the positive rows of the clients.

This is the first step of updating a logistic model, "calibration in the large": Steyerberg et al. 2004,
"Validation and updating of predictive logistic regression models" (Statistics in Medicine 23, 2567-2586). The
coefficients stay. Maximum likelihood has it by itself, and so has federated Newton; a mean of the clients'
fits after a few rounds does not. Puhr et al. 2017, "Firth's logistic regression with rare events" (Statistics
in Medicine 36, 2302-2317) correct the intercept of another biased fit in the same way.

Each client tells two sums over its training rows, weighted so that they count as they did before they were
resampled: of its probabilities p, and of p (1 - p).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from scipy.special import logit

from client_code.protocol.training import EXPECTED, VARIANCE
from federation.errors import RoundError
from federation.learning.preprocessing.prevalence import Shifts, Weights
from federation.learning.preprocessing.statistics import ClientStatistics

MAXIMUM_EXCHANGES = 8
"""After fedavg it takes two or three."""
CLOSE = 1e-2
"""A step, in log-odds, after which none is worth an exchange: it leaves less than a thousandth of itself."""
_FLAT, _FAR = (
    0.2,
    4.0,
)  # where probabilities are nearly all 0 or 1, a line leads too far: this far and no more
_CERTAIN = 1e-9  # as a share: what is less comes of rounding, or of probabilities that are all 0 or 1


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums over some rows, weighted.

    Parameters
    ----------
    rows, positives : float
        How many there are.
    expected, variance : float
        How many positive ones the model expects, and the variance of that number.
    """

    rows: float
    positives: float
    expected: float
    variance: float

    @classmethod
    def of(cls, one: ClientStatistics, weights: Weights, told: Mapping[str, Any]) -> "Sums":
        """Return those of a client that told of the last two."""
        negative, positive = weights
        positives = positive * one.positives
        return cls(
            rows=negative * (one.rows - one.positives) + positives,
            positives=positives,
            expected=told[EXPECTED],
            variance=told[VARIANCE],
        )

    @property
    def step(self) -> float:
        """Return the step of the intercept that makes the expected positives those that there are.

        Newton's, for the log-odds of the mean probability, which the intercept moves almost one to one; for
        the mean itself the step from far below would go too far. Not finite where rows are of one class.
        """
        mean, aim = self.expected / self.rows, self.positives / self.rows
        slope = self.variance / self.rows / (mean * (1.0 - mean))
        step = float((logit(aim) - logit(mean)) / slope)
        return step if slope >= _FLAT or not math.isfinite(step) else max(-_FAR, min(_FAR, step))


Combine = Callable[[Iterable[Sums]], float]
"""Makes one step of what the clients told."""


def pooled(clients: Iterable[Sums]) -> float:
    """Return the step of all clients' rows together."""
    parts = list(clients)
    total = {name: math.fsum(getattr(one, name) for one in parts) for name in vars(parts[0])}
    return Sums(**total).step


def middle(clients: Iterable[Sums]) -> float:
    """Return the median of the clients' own steps, which less than half of them cannot move far.

    Yin et al. 2018, "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates".
    """
    return median(one.step for one in clients)


@dataclass(frozen=True)
class Calibration:
    """What became of the intercept.

    Parameters
    ----------
    moved : float
        By how much, in log-odds.
    problem : str
        Why it was not moved, "" where it was.
    """

    moved: float = 0.0
    problem: str = ""

    def applied(self, shifts: Shifts) -> Shifts:
        """Return what leads from the trained intercept to the moved one."""
        return replace(shifts, common=shifts.common - self.moved)

    def __str__(self) -> str:
        if self.problem:
            return f"the intercept was not moved to the clients' prevalence: {self.problem}"
        return f"the intercept was moved by {self.moved:+.3f} to the clients' prevalence"


def calibrate(ask: Callable[[float], Iterable[Sums]], combine: Combine) -> Calibration:
    """Find how far to move the intercept.

    Parameters
    ----------
    ask : callable
        Asks the clients about the model whose intercept is moved by so much; raises RoundError where too few
        tell.
    combine : callable
        `pooled`, or `middle` where a client may lie.

    Returns
    -------
    Calibration
        Not moved where clients did not tell, or their rows are of one class: a run does not fail for it.
    """
    moved = 0.0
    try:
        for _ in range(MAXIMUM_EXCHANGES):
            if not (told := list(ask(moved))):
                return Calibration(problem="no client is left")
            step = combine(told)
            if not math.isfinite(step):
                return Calibration(problem="the rows of too many clients are of one class")
            moved += step
            if abs(step) < CLOSE:
                return Calibration(moved)
    except RoundError as error:
        return Calibration(problem=error.problem.rstrip("."))
    return Calibration(problem="its steps did not settle")


def problem_of(one: ClientStatistics, weights: Weights, told: Mapping[str, Any]) -> str:
    """Return what no rows could have led to in what a client told, "" if nothing is."""
    for name in (EXPECTED, VARIANCE):
        if not isinstance(told.get(name), float) or not math.isfinite(told[name]):
            return f'its reply does not tell "{name}"'
    sums = Sums.of(one, weights, told)
    most = sums.expected * (1.0 - sums.expected / sums.rows)  # where all rows have the same probability
    if most < _CERTAIN * sums.rows or not _CERTAIN * most <= sums.variance <= most * (1.0 + _CERTAIN):
        return "its sums are not those of probabilities of its rows, or these are all 0 or 1"
    return ""
