"""Agree on one preprocessing for all clients: what the pooled rows would give, from what each client says."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.columns import CATEGORICAL, MOST_LEVELS, NUMERIC, kinds
from client_code.protocol.contract import Rule
from client_code.protocol.features import Feature
from federation.data.table import Table
from federation.errors import DataError
from federation.learning.preprocessing.medians import median
from federation.learning.preprocessing.moments import Moments, merged
from federation.learning.preprocessing.screening import mostly_non_negative, plausible
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.model.features import Encoding
from federation.model.linear import Preprocessing

_HEAVY_TAIL = 1.0
_BETTER = 0.9

Floats = NDArray[np.float64]


def kinds_of(table: Table) -> dict[str, str]:
    """Return what every feature column of a table holds."""
    return dict(zip(table.features, kinds(table.features, table.X, table.levels), strict=True))


def pool(
    statistics: Sequence[ClientStatistics],
    test: Table,
    rules: Mapping[str, Rule] = MappingProxyType({}),
    *,
    robust: bool = False,
) -> Preprocessing:
    """Return the preprocessing that the pooled training rows would give.

    Numbers are standardised by mean and standard deviation of the values there are, after ``log1p`` where a
    rule says so; without a rule, where no party holds a negative value and the pooled column is heavy-tailed:
    its skewness is above 1, and that of the logarithms nearer 0. Missing numbers become the mean (after
    ``log1p``) of those there are, or their median where a rule says so, and a feature of 0 and 1 marks them,
    one for all columns that every client lacks in the same rows. Each level that a client tells of becomes a
    feature of 0 and 1 but the most frequent, the reference, of `MOST_LEVELS` levels of a column at most;
    where some rows may hold another level, one more feature marks all others.

    Parameters
    ----------
    statistics : sequence of ClientStatistics
        Of every client; their schemas agree.
    test : Table
        The server's held-back rows, which will be scored too: they count where a value is missing or
        negative, and for nothing else.
    rules : mapping of str to Rule, optional
        The columns of the data contract.
    robust : bool
        Whether moments that are far from all others' are left out, column by column, see
        :func:`federation.learning.preprocessing.screening.plausible`.

    Raises
    ------
    DataError
        No column varies, a rule asks for the logarithm of negative values, or a client does not tell what a
        median needs.
    """
    parts = [one.reordered(test.features) for one in statistics]
    gaps = np.logical_or.reduce([np.isnan(test.X).any(axis=0), *(part.gaps for part in parts)])
    told = [part.raw for part in parts], [part.logs for part in parts]
    raw, logs = map(merged, plausible(parts) if robust else told)
    observed = np.sum([part.observed for part in parts], axis=0)
    log1p = _logged(parts, test, raw, logs, rules, robust=robust)
    mean = np.where(log1p, logs.mean, raw.mean)
    rows = sum(one.rows for one in statistics)
    scale = np.sqrt(np.where(log1p, logs.variance, raw.variance))
    marked_by = same_gaps(statistics, test.features)

    chosen: list[_Chosen] = []
    for at, column in enumerate(test.features):
        if any(part.kinds[at] == CATEGORICAL for part in parts):
            chosen += [_Chosen(feature) for feature in _levels(statistics, column, observed[at])]
        elif _varies(mean[at], scale[at], rows):
            middle = float(np.expm1(mean[at]) if log1p[at] else mean[at])
            if column in rules and rules[column].impute == "median":
                middle = _median(statistics, column, rules[column])
            feature = Feature(column=column, fill=middle if gaps[at] else None)
            chosen.append(_Chosen(feature, log1p[at], mean[at], scale[at]))
        if 0 < observed[at] < rows and column not in marked_by:
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


def _logged(
    parts: Sequence[ClientStatistics],
    test: Table,
    raw: Moments,
    logs: Moments,
    rules: Mapping[str, Rule],
    *,
    robust: bool,
) -> NDArray[np.bool_]:
    """Return which columns are replaced by log(1 + x)."""
    held: list[tuple[str, NDArray[np.bool_]]] = [("the server", np.all(~(test.X < 0), axis=0))]
    held += [(f'client "{part.client}"', part.non_negative) for part in parts]
    non_negative: NDArray[np.bool_] = np.all([signs for _, signs in held], axis=0)
    heavy = (raw.skewness > _HEAVY_TAIL) & (abs(logs.skewness) < _BETTER * raw.skewness)
    may_be = held[0][1] & mostly_non_negative(parts) if robust else non_negative
    log1p: NDArray[np.bool_] = may_be & heavy
    for at, column in enumerate(test.features):
        asked = rules[column].log1p if column in rules else None
        if asked and not non_negative[at]:
            who = next(who for who, signs in held if not signs[at])
            raise DataError(
                f'column "{column}" holds negative values at {who}, and the contract asks for its logarithm.',
                "Correct these values, or set log1p = false for this column in the contract.",
            )
        log1p[at] = log1p[at] if asked is None else asked
    return log1p


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
            reasons[name] = "no level occurs in at least 10 training rows of one client"  # clients' own rule
        else:
            reasons[name] = "every training row holds the same value"
    return reasons


def _median(statistics: Sequence[ClientStatistics], column: str, rule: Rule) -> float:
    """Return the median of a column that varies."""
    there = [one for one in statistics if one.observed[one.features.index(column)] > 0]
    if silent := [one.client for one in there if column not in one.cells]:
        raise DataError(
            f'client "{silent[0]}" does not tell how the values of column "{column}" are distributed, and '
            "the contract asks for their median.",
            "Give it the contract: prepare and publish its data with it.",
        )
    return median([one.cells[column] for one in there], rule)


def same_gaps(statistics: Sequence[ClientStatistics], columns: Sequence[str]) -> dict[str, str]:
    """Return the columns with gaps that another one marks too, and that one: the first of ``columns``.

    It is so where values of both are missing in the same training rows of every client.
    """
    parts = [one.reordered(columns) for one in statistics]
    if not all(part.same_gaps for part in parts):  # of a checkpoint before protocol 6
        return {}
    observed = np.sum([part.observed for part in parts], axis=0)
    rows = sum(part.rows for part in parts)
    first: dict[tuple[int, ...], str] = {}
    found = {}
    for at, column in enumerate(columns):
        if 0 < observed[at] < rows:
            marking = first.setdefault(tuple(part.same_gaps[at] for part in parts), column)
            if marking != column:
                found[column] = marking
    return found


def references(preprocessing: Preprocessing, statistics: Sequence[ClientStatistics]) -> dict[str, str]:
    """Return the reference level of each categorical column: the one that its features are compared with."""
    found = {}
    features = preprocessing.encoding.features
    for column in dict.fromkeys(it.column for it in features if it.kind in ("level", "other")):
        ranked, _ = _ranked(statistics, column)
        if Feature(column=column, kind="level", level=ranked[0]) not in features:  # as before format 3
            found[column] = ranked[0]
    return found


def _levels(statistics: Sequence[ClientStatistics], column: str, observed: float) -> Iterator[Feature]:
    """Yield a feature for each level of a column but the reference, by name; then that of all others."""
    ranked, rows = _ranked(statistics, column)
    named = sorted(ranked[1:MOST_LEVELS])
    for level in named:
        yield Feature(column=column, kind="level", level=level)
    if ranked and (rows < observed or len(ranked) > MOST_LEVELS):
        yield Feature(column=column, kind="other", levels=(ranked[0], *named))


def _ranked(statistics: Sequence[ClientStatistics], column: str) -> tuple[list[str], int]:
    """Return the levels that clients tell of, the most frequent first, ties by name; and their rows."""
    counts: Counter[str] = Counter()
    for one in statistics:
        counts.update(one.levels.get(column, {}))
    return sorted(counts, key=lambda level: (-counts[level], level)), counts.total()
