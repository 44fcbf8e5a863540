"""What clients tell of their columns, and under which names: counts, sums and frequent levels."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

NUMERIC, CATEGORICAL, EMPTY = "numeric", "categorical", "empty"

MOST_LEVELS = 100
"""Maximum number of levels of a column that are told, and that become features."""

COUNTS = ("num-examples", "positives", "validation-examples", "validation-positives")
"""Rows and positive ones, of the training rows and of the validation rows."""

MOMENTS = ("mean", "m2", "m3")
"""Arrays of a column's mean, and of the sums of squared and cubed deviations from it."""

LOG1P = "log1p-"
"""What comes before the names of the moments of logarithms."""


def kinds(features: Sequence[str], X: NDArray[np.float64], levels: Mapping[str, object]) -> list[str]:
    """Return what each column of ``X`` holds."""
    empty: NDArray[np.bool_] = np.asarray(np.isnan(X).all(axis=0))
    return [
        CATEGORICAL if name in levels else EMPTY if nothing else NUMERIC
        for name, nothing in zip(features, empty, strict=True)
    ]
