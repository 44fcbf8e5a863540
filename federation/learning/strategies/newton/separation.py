"""Say that no finite optimum exists, and which columns and intercepts that is owed to."""

import shlex
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.features import Feature
from federation.errors import NoOptimumError
from federation.learning.strategies.newton.space import Space
from federation.words import MAXIMUM, some

Floats = NDArray[np.float64]
NEGLIGIBLE = 0.1  # of the largest component: what only balances it, or still converges
_NONE = "the training rows have no finite optimum"


def no_optimum(direction: Floats, space: Space, features: Sequence[Feature]) -> NoOptimumError:
    """Return the error that names what grows for ever, for every client has confirmed the direction.

    Parameters
    ----------
    direction : ndarray of float64, shape (space.size,)
        Of coefficients and intercepts.
    space : Space
        Where they are in it.
    features : sequence of Feature
        What the coefficients are of, in their order.
    """
    share = np.abs(direction) / np.abs(direction).max()
    largest_first = np.argsort(-share, kind="stable").tolist()
    grown = [features[i] for i in largest_first if i < space.features and share[i] > NEGLIGIBLE]
    columns = [f'"{feature.name}"' for feature in grown]
    sites = [f'"{site}"' for site in _of_one_class(direction, space, alone=not columns)]
    if not columns and not sites:
        return NoOptimumError(
            f"{_NONE}: they are all of one class, so the intercept grows for ever.",
            "Use training rows of both classes.",
        )
    many = len(sites) > 1
    who = f"the intercept{'s' * many} of client{'s' * many} {some(sites)}" if sites else ""
    why = f"whose rows are all of one class, grow{'' if many else 's'} for ever"
    if not columns:
        return NoOptimumError(
            f"{_NONE}: {who}, {why}.", "Leave out --site-intercepts, or use rows of both classes there."
        )
    one = len(columns) == 1
    separate = (
        "separates the classes, so its coefficient grows"
        if one
        else "separate the classes, so their coefficients grow"
    )
    also = f"; {who}, {why} too" if sites else ""
    return NoOptimumError(
        f"{_NONE}: {some(columns)} {separate} for ever{also}.",
        _remedy(grown),
    )


def _remedy(grown: Sequence[Feature]) -> str:
    """Say what makes the optimum finite: an option names columns, which a mark or a level is only made of."""
    columns = list(dict.fromkeys(feature.column for feature in grown))
    few = len(columns) <= MAXIMUM
    options = " ".join(f"--ignore {shlex.quote(name)}" for name in columns) if few else "--ignore COLUMN each"
    text = (
        "Use --penalty l2 or --penalty firth, or leave out the "
        f"{'column' if len(columns) == 1 else 'columns'} with {options}."
    )
    marks = [f'"{feature.name}"' for feature in grown if feature.kind == "missing"]
    if not marks:
        return text
    what = "is a mark of missing values" if len(marks) == 1 else "are marks of missing values"
    return f"{text} {some(marks)} {what}: --penalty l2 or firth keeps the measurement."


def _of_one_class(direction: Floats, space: Space, *, alone: bool) -> list[str]:
    """Return the clients whose own intercept grows: with columns, by more than all do for a column's mean."""
    own = direction[space.features :]
    shared = 0.0 if alone else own[np.argmin(np.abs(own))]
    grows = np.abs(own - shared) > NEGLIGIBLE * np.abs(direction).max()
    return [site for site, one in zip(space.sites, grows.tolist(), strict=False) if one]
