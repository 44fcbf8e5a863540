"""Say which clients' rows the global model may not suit, from what they tell before round 1."""

from collections.abc import Sequence

import numpy as np

from client_code.protocol.columns import EMPTY, NUMERIC
from federation.learning.preprocessing.moments import merged
from federation.learning.preprocessing.screening import plausible
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.words import some

FEWEST_POSITIVES = 20
"""Training rows of a class, positive or negative, below which a client is named."""
FAR = 1.0
"""Standard deviations of the pooled rows that a client's mean may be away from the pooled mean."""

_COLUMNS_TOLD = 3


def warnings_of(statistics: Sequence[ClientStatistics]) -> list[str]:
    """Return one line for each client that stands out, and how.

    Parameters
    ----------
    statistics : sequence of ClientStatistics
        Of every client, for its training rows.

    Returns
    -------
    list of str
        Clients with rows of one class only, with fewer than 20 positive or negative rows before resampling,
        or far from the pooled rows: a column's mean differs by more than one pooled standard deviation
        (standardised mean difference). And clients that have no value of a column which others have.
    """
    lines = []
    far = _far(statistics) if len(statistics) > 1 else {}
    empty = _empty(statistics)
    for one in statistics:
        before = one.preparation or one
        counts = {"positive": before.positives, "negative": before.rows - before.positives}
        few = [f"{n} {kind}" for kind, n in counts.items() if n < FEWEST_POSITIVES]
        if one.positives in (0, one.rows):
            lines.append(f'client "{one.client}": its training rows are all of one class.')
        elif few:
            resampled = (before.rows, before.positives) != (one.rows, one.positives)
            when = " before resampling" if resampled else ""
            lines.append(f'client "{one.client}": only {" and ".join(few)} training rows{when}.')
        if empty[one.client]:
            named = some([f'"{name}"' for name in empty[one.client]], _COLUMNS_TOLD)
            lines.append(
                f'client "{one.client}": none of its {one.rows} training rows has a value of {named}, which '
                "other clients have. Give it the values, or leave the column out at every party: --ignore "
                "COLUMN."
            )
        if columns := far.get(one.client):
            told = some([f"{name} ({distance:+.1f})" for name, distance in columns], _COLUMNS_TOLD)
            lines.append(
                f'client "{one.client}": its rows differ from the pooled ones, in standard deviations: '
                f"{told}."
            )
    return lines


def _empty(statistics: Sequence[ClientStatistics]) -> dict[str, list[str]]:
    """Return by client the columns of which it has no value, and another has some."""
    there = {name for one in statistics for name, n in zip(one.features, one.observed, strict=True) if n}
    return {
        one.client: [
            n for n, kind in zip(one.features, one.kinds, strict=True) if kind == EMPTY and n in there
        ]
        for one in statistics
    }


def _far(statistics: Sequence[ClientStatistics]) -> dict[str, list[tuple[str, float]]]:
    """Return by client the numeric columns whose mean is far from the pooled one, the farthest first."""
    features = statistics[0].features
    parts = [one.reordered(features) for one in statistics]
    total = merged(plausible(parts)[0])  # else one client would hide what all others are
    deviation = np.sqrt(total.variance)
    far = {}
    for part in parts:
        there = (part.observed > 0) & (deviation > 0) & np.array([kind == NUMERIC for kind in part.kinds])
        distance = np.where(there, (part.mean - total.mean) / np.where(there, deviation, 1.0), 0.0)
        order = np.argsort(-abs(distance), kind="stable").tolist()
        far[part.client] = [(features[i], float(distance[i])) for i in order if abs(distance[i]) > FAR]
    return far
