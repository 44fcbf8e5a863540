"""Agree on one preprocessing for all clients: what the pooled rows would give, from what each client says."""

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.columns import CATEGORICAL, MOST_LEVELS, NUMERIC, kinds
from client_code.protocol.features import Feature
from federation.data.table import Table
from federation.errors import DataError
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.model.features import Encoding
from federation.model.linear import Preprocessing

_HEAVY_TAIL = 1.0
_BETTER = 0.9

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over n values: how many, their mean, and the sums of squared and cubed deviations; shape (d,)."""

    n: Floats
    mean: Floats
    m2: Floats
    m3: Floats

    def merged(self, other: "Moments") -> "Moments":
        """Return the moments of both together.

        Chan, Golub and LeVeque 1983; for cubes Pébay 2008, "Formulas for robust, one-pass parallel
        computation of covariances and arbitrary-order statistical moments".
        """
        n = self.n + other.n
        total = np.maximum(n, 1.0)
        delta = other.mean - self.mean
        both = self.n * other.n
        return Moments(
            n=n,
            mean=self.mean + delta * (other.n / total),
            m2=self.m2 + other.m2 + np.square(delta) * (both / total),
            m3=self.m3
            + other.m3
            + delta**3 * (both * (self.n - other.n) / np.square(total))
            + 3.0 * delta * ((self.n * other.m2 - other.n * self.m2) / total),
        )

    @property
    def skewness(self) -> Floats:
        """The third standardised moment; 0 where the values do not vary."""
        spread = np.where(self.m2 > 0, self.m2, 1.0)
        return np.where(self.m2 > 0, np.sqrt(self.n) * self.m3 / spread**1.5, 0.0)


def kinds_of(table: Table) -> dict[str, str]:
    """Return what every feature column of a table holds."""
    return dict(zip(table.features, kinds(table.features, table.X, table.levels), strict=True))


def pool(statistics: Sequence[ClientStatistics], test: Table) -> Preprocessing:
    """Return the preprocessing that the pooled training rows would give.

    Numbers are standardised, after ``log1p`` where no party holds a negative value and the pooled column is
    heavy-tailed: its skewness is above 1, and that of the logarithms nearer 0. Missing numbers become the
    mean (after ``log1p``) of those there are, and a feature of 0 and 1 marks them. Each level that a client
    tells of becomes a feature of 0 and 1, the most frequent `MOST_LEVELS` of a column at most; the most
    frequent is left out where every row of the column holds one of them, for the others determine it.

    Parameters
    ----------
    statistics : sequence of ClientStatistics
        Of every client; their schemas agree.
    test : Table
        The server's held-back rows, which will be scored too: they count where a value is missing or
        negative, and for nothing else.

    Raises
    ------
    DataError
        No column varies.
    """
    parts = [one.reordered(test.features) for one in statistics]
    gaps = np.logical_or.reduce([np.isnan(test.X).any(axis=0), *(part.gaps for part in parts)])
    non_negative = np.logical_and.reduce([~(test.X < 0).any(axis=0), *(part.non_negative for part in parts)])
    raw = merged([Moments(p.observed, p.mean, p.m2, p.m3) for p in parts])
    logs = merged([Moments(p.observed, p.log1p_mean, p.log1p_m2, p.log1p_m3) for p in parts])
    log1p = non_negative & (raw.skewness > _HEAVY_TAIL) & (abs(logs.skewness) < _BETTER * raw.skewness)
    mean = np.where(log1p, logs.mean, raw.mean)
    rows = sum(one.rows for one in statistics)
    scale = np.sqrt(np.where(log1p, logs.m2, raw.m2) / rows)

    chosen: list[_Chosen] = []
    for at, column in enumerate(test.features):
        if any(part.kinds[at] == CATEGORICAL for part in parts):
            chosen += [_Chosen(feature) for feature in _levels(statistics, column, raw.n[at])]
        elif _varies(mean[at], scale[at], rows):
            fill = float(np.expm1(mean[at]) if log1p[at] else mean[at]) if gaps[at] else None
            chosen.append(_Chosen(Feature(column=column, fill=fill), log1p[at], mean[at], scale[at]))
        if 0 < raw.n[at] < rows:
            chosen.append(_Chosen(Feature(column=column, kind="missing")))
    if not chosen:
        raise DataError("No column varies in the clients' training rows.", "Give them columns that do.")
    encoding = Encoding(features=tuple(one.feature for one in chosen))
    return Preprocessing(
        features=encoding.names,
        log1p=tuple(bool(one.log1p) for one in chosen),
        mean=np.array([one.mean for one in chosen]),
        scale=np.array([one.scale for one in chosen]),
        made_of=encoding.features,
    )


class _Chosen(NamedTuple):
    """A feature, and how it is scaled; one of 0 and 1 is left as it is."""

    feature: Feature
    log1p: bool = False
    mean: float = 0.0
    scale: float = 1.0


def _varies(mean: float, scale: float, rows: int) -> bool:
    """Whether a spread is more than the rounding of its mean, which grows with the additions."""
    return bool(scale > np.finfo(np.float64).eps * 8 * np.sqrt(rows) * max(abs(mean), 1.0))


def most_features(table: Table) -> int:
    """Return how many features the columns of a table may become at most."""
    return sum(2 if kind == NUMERIC else MOST_LEVELS + 1 for kind in kinds_of(table).values())


def left_out(preprocessing: Preprocessing, statistics: Sequence[ClientStatistics]) -> dict[str, str]:
    """Return the columns of which no feature is made, each with the reason, in the first client's order."""
    features = statistics[0].features
    parts = [one.reordered(features) for one in statistics]
    reasons = {}
    for at, name in enumerate(features):
        if name in preprocessing.encoding.columns:
            continue
        if not any(part.observed[at] for part in parts):
            reasons[name] = "it is empty in the training rows"
        elif any(part.kinds[at] == CATEGORICAL for part in parts) and not any(
            one.levels.get(name) for one in statistics
        ):
            reasons[name] = "no level is frequent enough in a client's training rows to be told"
        else:
            reasons[name] = "every training row holds the same value"
    return reasons


def merged(each: Sequence[Moments]) -> Moments:
    """Return the moments of all together."""
    return functools.reduce(Moments.merged, each)


def _levels(statistics: Sequence[ClientStatistics], column: str, observed: float) -> Iterator[Feature]:
    """Yield a feature for each level of a column, by name."""
    counts: Counter[str] = Counter()
    for one in statistics:
        counts.update(one.levels.get(column, {}))
    ranked = sorted(counts, key=lambda level: (-counts[level], level))
    complete = counts.total() == observed and len(ranked) <= MOST_LEVELS
    for level in sorted(ranked[1 if complete else 0 : MOST_LEVELS]):
        yield Feature(column=column, kind="level", level=level)
