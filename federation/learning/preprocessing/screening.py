"""Say which clients' statistics are far from everybody's, and how much of them counts where a client may lie.

A client whose values have another unit looks like one that lies: both are named, and neither is judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from federation.learning.preprocessing.moments import Moments
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.model.linear import Preprocessing
from federation.words import some

FAR = 10.0
"""How many times as far as is usual among the clients one's values may lie from the middle."""
MOST_TIMES = 4
"""Times the median of the other clients' rows that one may count for where it may lie."""
DOMINANT = 100
"""Times that median from which a client is named where every row counts."""
FEWEST = 3
"""Clients of which the odd one can be told."""
_COLUMNS_TOLD = 3
_ROUNDING = 1e-12  # of the values: a column that differs by less is one and the same everywhere
_BINARY = 1e-6  # of the mean

Floats = NDArray[np.float64]


def distances(told: Sequence[Moments]) -> Floats:
    """Return how far each client's values lie from the middle, as a multiple of what is usual; (clients, d).

    The middle is the median of the clients' means. How far a client's values lie from it is their root mean
    square distance, which covers a mean that is off and a spread that is too large alike; and usual is the
    median of that. Less than half of the clients move neither far. Without liars, clients that differ by
    several standard deviations are at 3 or so.

    Returns
    -------
    ndarray of float64
        0 where a client has no value, where fewer than three clients have one, where most hold one and the
        same value, and where a client's values are those of a column of 0 and 1, as most clients' are.
    """
    n, mean, m2 = (np.array([vars(one)[name] for one in told]) for name in ("n", "mean", "m2"))
    found = np.zeros(mean.shape)
    variance = m2 / np.maximum(n, 1.0)
    binary = abs(mean * (1.0 - mean) - variance) <= _BINARY * mean  # so are all zeros
    for at in np.flatnonzero((n > 0).sum(axis=0) >= FEWEST):
        there = n[:, at] > 0
        middle = np.median(mean[there, at])
        reach = np.sqrt(variance[there, at] + np.square(mean[there, at] - middle))
        usual = np.median(reach)
        if usual > _ROUNDING * abs(middle):
            found[there, at] = reach / usual
        if 2 * binary[there, at].sum() > there.sum():
            found[binary[:, at], at] = 0.0
    return found


def plausible(parts: Sequence[ClientStatistics]) -> tuple[list[Moments], list[Moments]]:
    """Return the moments of each client's values and of their logarithms, without those that do not count.

    Those of a column do not count where they are too far from the other clients', or no values have them.

    Parameters
    ----------
    parts : sequence of ClientStatistics
        Their columns in the same order.
    """
    raw, logs = _times(parts)
    return (
        [one.raw.of_columns(times <= FAR) for one, times in zip(parts, raw, strict=True)],
        [
            one.logs.of_columns((times <= FAR) & one.non_negative)
            for one, times in zip(parts, logs, strict=True)
        ],
    )


def mostly_non_negative(parts: Sequence[ClientStatistics]) -> NDArray[np.bool_]:
    """Return the columns of which fewer than half of the clients that hold values tell of negative ones."""
    there = np.array([one.observed > 0 for one in parts])
    negative = np.array([~one.non_negative for one in parts]) & there
    few = 2 * negative.sum(axis=0) < there.sum(axis=0)
    return np.asarray(np.where(there.sum(axis=0) >= FEWEST, few, ~negative.any(axis=0)))


def _times(parts: Sequence[ClientStatistics]) -> tuple[Floats, Floats]:
    """Return the distances of values and of their logarithms, infinite where no values have the moments."""
    impossible = np.array([one.impossible for one in parts])
    told = [one.raw for one in parts], [one.logs for one in parts]
    raw, logs = (
        np.where(impossible, np.inf, distances([one.of_columns(~bad) for one, bad in pairs]))
        for pairs in (zip(each, impossible, strict=True) for each in told)
    )
    return raw, logs


def median_of_others(figures: Mapping[str, float]) -> dict[str, float]:
    """Return by client the median of the other clients' figures; none where there are fewer than three."""
    if len(figures) < FEWEST:
        return {}
    return {name: median(n for other, n in figures.items() if other != name) for name in figures}


def counted_rows(rows: Mapping[str, int]) -> dict[str, int]:
    """Return for how many rows each client counts where one may lie about them.

    Parameters
    ----------
    rows : mapping of str to int
        What each client told.
    """
    most = {name: max(int(MOST_TIMES * usual), 1) for name, usual in median_of_others(rows).items()}
    return {name: min(n, most.get(name, n)) for name, n in rows.items()}


def counted(statistics: Sequence[ClientStatistics]) -> list[ClientStatistics]:
    """Return what clients told, of one with too many rows as if it had fewer of the same kind."""
    rows = counted_rows({one.client: one.rows for one in statistics})
    before = counted_rows({one.client: (one.preparation or one).rows for one in statistics})
    return [_thinned(one, rows[one.client], before[one.client]) for one in statistics]


def outliers(
    statistics: Sequence[ClientStatistics], preprocessing: Preprocessing, *, robust: bool
) -> dict[str, str]:
    """Return what is to be said of each client that is far from everybody's, by name.

    Parameters
    ----------
    statistics : sequence of ClientStatistics
        Of every client.
    preprocessing : Preprocessing
        What was agreed: columns that it takes the logarithm of are judged by that.
    robust : bool
        Whether what is far does not count.
    """
    features = statistics[0].features
    parts = [one.reordered(features) for one in statistics]
    raw, logs = _times(parts)
    made = zip(preprocessing.encoding.features, preprocessing.log1p, strict=True)
    used = {feature.column: log1p for feature, log1p in made if feature.kind == "number"}
    usual = median_of_others({one.client: one.rows for one in statistics})
    signs = [dict(zip(features, one.non_negative.tolist(), strict=True)) for one in parts]
    found: dict[str, list[str]] = {}
    for i, one in enumerate(parts):
        times = {name: (logs if log1p else raw)[i, features.index(name)] for name, log1p in used.items()}
        if far := {name: value for name, value in times.items() if value > FAR}:
            found.setdefault(one.client, []).append(_far_line(far, robust=robust))
        if robust and (below := [it for it, log1p in used.items() if log1p and not signs[i][it]]):
            found.setdefault(one.client, []).append(_signs_line(below))
        share = one.rows / usual.get(one.client, one.rows)
        if share > (MOST_TIMES if robust else DOMINANT):
            found.setdefault(one.client, []).append(_rows_line(one.rows, share, robust=robust))
    return {client: "; ".join(lines) for client, lines in found.items()}


def _far_line(far: Mapping[str, float], *, robust: bool) -> str:
    order = sorted(far, key=lambda name: -far[name])
    columns = some([f'"{name}" ({_told(far[name])})' for name in order], _COLUMNS_TOLD)
    what = f"its values lie farther from the middle than is usual among the clients, in {columns}"
    if robust:
        return f"{what}: there its mean and spread do not count, while its updates do"
    return f"{what}, and bend the means and scales of all: check their units, or use a robust strategy"


def _signs_line(columns: Sequence[str]) -> str:
    named = some([f'"{name}"' for name in columns], _COLUMNS_TOLD)
    return (
        f"it tells of negative values in {named}, as few others do: the logarithm is taken all the same, and "
        "there its negative values count as 0"
    )


def _told(times: float) -> str:
    return f"{times:.3g} times" if np.isfinite(times) else "no values have such moments"


def _rows_line(rows: int, times: float, *, robust: bool) -> str:
    what = f"it tells of {rows:,} rows, {times:.3g} times the median of the others"
    return f"{what}, and counts as {MOST_TIMES} times that" if robust else f"{what}, and counts for as many"


def _thinned(one: ClientStatistics, rows: int, before: int) -> ClientStatistics:
    """Return what a client would tell of fewer rows of the same kind, and of fewer before resampling."""
    told = one.preparation
    if told and before < told.rows:
        positives = _some_of(told.positives, told.rows, before)
        told = replace(told, rows=before, positives=positives)
    if rows == one.rows:
        return one if told is one.preparation else replace(one, preparation=told)
    share = rows / one.rows
    sums = {name: getattr(one, name) * share for name in ("m2", "m3", "log1p_m2", "log1p_m3")}
    return replace(
        one,
        rows=rows,
        positives=_some_of(one.positives, one.rows, rows),
        observed=np.where(one.observed == one.rows, float(rows), one.observed * share),
        levels={
            column: {level: max(round(count * share), 1) for level, count in levels.items()}
            for column, levels in one.levels.items()
        },
        cells={
            column: [[first, end, max(round(count * share), 1)] for first, end, count in cells]
            for column, cells in one.cells.items()
        },
        preparation=told,
        **sums,
    )


def _some_of(positives: int, rows: int, kept: int) -> int:
    """Return how many of the rows that are kept are positive: of each class one, where there are any."""
    least, most = min(positives, 1), kept - min(rows - positives, 1)
    return max(least, min(round(positives * kept / rows), most))
