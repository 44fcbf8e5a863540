"""Say which sums no rows of a client lead to, and whose Hessian is unlike the others'.

At coefficients of 0 all rows have the same probability, so what a client told of its classes before round 1
decides three of its sums. Later a loss is convex: it lies nowhere below its tangent at another point.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from federation.learning.preprocessing.screening import median_of_others
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.strategies.newton.descent import Sums

Floats = NDArray[np.float64]
CLOSE = 1e-6
"""Of the rows' weights: how far a sum may be from what it must be, for rounding."""
UNLIKE = 1e-3
"""Of the other clients' median: a Hessian per row below that is named, or above its inverse."""


def problem_of(
    values: Mapping[str, Floats], told: ClientStatistics, weights: tuple[float, float], point: Floats
) -> str:
    """Return what no rows of a client could have led to in its sums, "" if nothing is.

    Parameters
    ----------
    values : mapping of str to ndarray
        ``loss`` (1,), ``gradient`` (k,) and ``hessian``, the packed triangle: the intercept's entry is last.
    told : ClientStatistics
        What it told before round 1.
    weights : tuple of float
        Of a negative and of a positive row.
    point : ndarray of float64, shape (k,)
        Its coefficients, then its intercept.
    """
    negative, positive = weights[0] * (told.rows - told.positives), weights[1] * told.positives
    total = negative + positive
    if values["hessian"][-1] > total / 4.0 * (1.0 + CLOSE):
        return "its Hessian is larger than that of so many rows can be"
    if point[:-1].any():
        return ""
    p = float(expit(point[-1]))
    must = {
        "loss": positive * np.logaddexp(0.0, -point[-1]) + negative * np.logaddexp(0.0, point[-1]),
        "gradient": total * p - positive,
        "hessian": total * p * (1.0 - p),
    }
    for name, expected in must.items():
        if abs(values[name][-1] - expected) > CLOSE * total:
            return (
                f"its {name.replace('hessian', 'Hessian')} is not that of the rows it told of: "
                f"{values[name][-1]:.6g} instead of {expected:.6g} for the intercept"
            )
    return ""


def unlike(clients: Mapping[str, Sums]) -> str:
    """Name the client whose Hessian per row is least like the others', "" if none is far from them."""
    sizes = {name: float(one.hessian[-1]) / one.rows for name, one in clients.items()}
    usual = median_of_others(sizes)
    if not usual or min(sizes.values()) <= 0.0:
        return ""
    times = {name: sizes[name] / usual[name] for name in sizes}
    odd = max(times, key=lambda name: abs(math.log(times[name])))
    if UNLIKE < times[odd] < 1.0 / UNLIKE:
        return ""
    return f'the Hessian of client "{odd}" is {times[odd]:.1e} times the others\' per row'
