"""What every client says of its columns before round 1: counts, sums and frequent levels, never a row."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from flwr.app import Message
from numpy.typing import NDArray

from client_code.protocol.columns import CATEGORICAL, COUNTS, EMPTY, LOG1P, MOMENTS, NUMERIC
from client_code.protocol.contract import BOOLEAN, Rule
from client_code.protocol.medians import Cells
from client_code.protocol.preparation import Preparation
from federation.data.table import describe_mismatch
from federation.errors import RoundError, SchemaMismatchError
from federation.learning.preprocessing.medians import check_cells
from federation.learning.preprocessing.moments import MOST, ROUNDING, Moments
from federation.model.arrays import floats

Floats = NDArray[np.float64]
RARE = 0.05  # of the rows, weighted
MOST_ROWS = 10**9  # far beyond a table in one process's memory; such a weight would silence all others
ARRAYS = {"observed": "observed"}
ARRAYS |= {
    f"{prefix}{name}".replace("-", "_"): f"{prefix}{name}" for prefix in ("", LOG1P) for name in MOMENTS
}
"""The name of each array in a client's reply, by its field."""
_COUNTS = dict(zip(("rows", "positives", "validation_rows", "validation_positives"), COUNTS, strict=True))
_HOLDS = {NUMERIC: "numbers", CATEGORICAL: "texts"}


@dataclass(frozen=True, kw_only=True, eq=False)
class ClientStatistics:
    """What one client says of its training rows, in its own order of columns.

    Parameters
    ----------
    client, label : str
        Its name and its label column.
    features : tuple of str
        Its d feature columns.
    kinds : tuple of {"numeric", "categorical", "empty"}, length d
        What each column holds; "empty" where every value is missing.
    gaps : ndarray of bool, shape (d,)
        Columns with a missing value, in training or in validation rows.
    non_negative : ndarray of bool, shape (d,)
        Columns with no negative value, in training or in validation rows.
    observed : ndarray of float64, shape (d,)
        How many values are not missing; what follows is of these.
    mean, m2, m3, log1p_mean, log1p_m2, log1p_m3 : ndarray of float64, shape (d,)
        Mean, and sums of squared and of cubed deviations from it, of the raw numeric columns and of ``log1p``
        of the non-negative ones; elsewhere 0.
    rows, positives, validation_rows, validation_positives : int
        Counts.
    levels : mapping of str to mapping of str to int
        Of each categorical column the levels that enough rows hold to be told, and how many hold each.
    same_gaps : tuple of int, length d
        For each column the position of the first whose values are missing in the same training rows, its own
        if there is none before; empty in a checkpoint before protocol 6.
    cells : mapping of str to Cells
        Of each column whose median the contract asks for, how many values lie where.
    preparation : Preparation, optional
        How its training rows were prepared; None if it does not know.
    """

    client: str
    label: str
    features: tuple[str, ...]
    kinds: tuple[str, ...]
    gaps: NDArray[np.bool_]
    non_negative: NDArray[np.bool_]
    observed: Floats
    mean: Floats
    m2: Floats
    m3: Floats
    log1p_mean: Floats
    log1p_m2: Floats
    log1p_m3: Floats
    rows: int
    positives: int
    validation_rows: int
    validation_positives: int
    levels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    same_gaps: tuple[int, ...] = ()
    cells: Mapping[str, Cells] = field(default_factory=dict)
    preparation: Preparation | None = None

    @classmethod
    def from_reply(cls, reply: Message, client: str) -> "ClientStatistics":
        """Read a client's reply to the statistics query.

        Raises
        ------
        RoundError
            The client could not answer, or its answer is incomplete or not finite.
        """
        if reply.has_error():
            raise RoundError(
                f'client "{client}" could not describe its data: {reply.error.reason}', "See its log."
            )
        try:
            content = reply.content
            schema, counts = content.config_records["schema"], content.metric_records["counts"]
            moments = content.array_records["moments"]
            parts: dict[str, Any] = {name: floats(moments[key]) for name, key in ARRAYS.items()}
            parts |= {name: _count(counts[key]) for name, key in _COUNTS.items()}
            statistics = cls(
                client=client,
                label=str(schema["label"]),
                features=tuple(map(str, schema["features"])),  # type: ignore[arg-type]
                kinds=tuple(map(str, schema["kinds"])),  # type: ignore[arg-type]
                gaps=np.asarray(schema["gaps"], dtype=np.bool_),
                non_negative=np.asarray(schema["non-negative"], dtype=np.bool_),
                levels=_levels(str(schema["levels"])),
                same_gaps=tuple(map(_count, schema["same-gaps"])),  # type: ignore[arg-type]
                cells=_cells(str(schema["cells"])),
                preparation=_preparation(str(schema["preparation"])),
                **parts,
            )
            statistics.check()
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise RoundError(
                f'client "{client}" sent unusable statistics ({error}).',
                "Publish client_code of this version to it.",
            ) from error
        return statistics

    def check(self) -> None:
        """Raise ValueError where parts contradict each other."""
        d = len(self.features)
        for name in ("gaps", "non_negative", *ARRAYS):
            values = getattr(self, name)
            if values.shape != (d,) or not np.isfinite(values).all():
                raise ValueError(f"{name} is not {d} finite numbers")
        if len(self.kinds) != d or not set(self.kinds) <= {NUMERIC, CATEGORICAL, EMPTY}:
            raise ValueError(f"kinds are not {d} known words")
        if (self.m2 < 0).any() or (self.log1p_m2 < 0).any():
            raise ValueError("a sum of squares is negative")
        if ((self.observed < 0) | (self.observed > self.rows)).any():
            raise ValueError("more values than rows")
        self._check_levels()
        self._check_same_gaps()
        for column, cells in self.cells.items():
            check_cells(cells, self.observed[self.features.index(column)])
        self._check_counts()

    def _check_counts(self) -> None:
        for positives, rows in (
            (self.positives, self.rows),
            (self.validation_positives, self.validation_rows),
        ):
            if not (rows >= 1 and 0 <= positives <= rows):
                raise ValueError(f"{positives} positive of {rows} rows is impossible")
            if rows > MOST_ROWS:
                raise ValueError(f"{rows} rows are not credible")
        if self.preparation and (problem := self.preparation.problem(self.rows, self.positives)):
            raise ValueError(problem)

    @property
    def impossible(self) -> NDArray[np.bool_]:
        """The columns that no values have the moments of, shape (d,)."""
        low, high = np.where(self.non_negative, 0.0, -np.inf), np.full(len(self.features), np.inf)
        bad = self.raw.impossible(low, high) | self.logs.impossible(np.zeros(len(low)), high)
        # log(1 + x) is concave, and nowhere steeper than x.
        most = np.log1p(np.maximum(self.mean, 0.0)) * (1.0 + ROUNDING) + ROUNDING
        spread = self.observed * np.square(ROUNDING * np.clip(abs(self.mean), 1.0, MOST))
        bad |= self.non_negative & (self.log1p_mean > most)
        return np.asarray(bad | (self.non_negative & (self.log1p_m2 > self.m2 * (1.0 + ROUNDING) + spread)))

    def against(self, rules: Mapping[str, Rule]) -> str:
        """Return why values that a contract allows cannot have the moments, "" if they can.

        Parameters
        ----------
        rules : mapping of str to Rule
            The columns of the data contract.
        """
        low, high = np.array([_bounds(rules.get(name)) for name in self.features]).T
        if (negative := (low >= 0.0) & ~self.non_negative).any():
            return f'column "{self.features[int(np.argmax(negative))]}" holds negative values'
        within = np.maximum(low, 0.0)
        bad = self.raw.impossible(low, high)
        bad |= self.non_negative & self.logs.impossible(np.log1p(within), np.log1p(np.maximum(high, within)))
        bad &= np.isfinite(low) | np.isfinite(high)
        if not bad.any():
            return ""
        at = int(np.argmax(bad))
        mean, deviation = self.mean[at], math.sqrt(self.raw.variance[at])
        return (
            f'column "{self.features[at]}" has mean {mean:.6g} and standard deviation {deviation:.6g}, '
            f"which no values from {low[at]:g} to {high[at]:g} have"
        )

    def _check_levels(self) -> None:
        for column, levels in self.levels.items():
            at = self.features.index(column)
            if self.kinds[at] != CATEGORICAL or min(levels.values(), default=1) < 1:
                raise ValueError("levels of a column that has none")
            if sum(levels.values()) > self.observed[at]:
                raise ValueError("more rows with a level than rows")

    def _check_same_gaps(self) -> None:
        if len(self.same_gaps) != len(self.features):
            raise ValueError(f"same-gaps are not {len(self.features)} columns")
        for at, first in enumerate(self.same_gaps):
            if not 0 <= first <= at or self.same_gaps[first] != first:
                raise ValueError("same-gaps name a column that is not the first")
            if self.observed[first] != self.observed[at]:
                raise ValueError("same-gaps of columns with other numbers of values")

    @property
    def raw(self) -> Moments:
        """The moments of each column's values."""
        return Moments(self.observed, self.mean, self.m2, self.m3)

    @property
    def logs(self) -> Moments:
        """The moments of ``log1p`` of each column's values."""
        return Moments(self.observed, self.log1p_mean, self.log1p_m2, self.log1p_m3)

    def kind(self, feature: str) -> str:
        """Return what a column holds."""
        return self.kinds[self.features.index(feature)]

    def reordered(self, features: Sequence[str]) -> Self:
        """Return the same with its columns in the order of ``features``."""
        columns = [self.features.index(name) for name in features]
        arrays = {name: getattr(self, name)[columns] for name in ("gaps", "non_negative", *ARRAYS)}
        kinds = tuple(self.kinds[column] for column in columns)
        patterns = [self.same_gaps[column] for column in columns] if self.same_gaps else []
        same_gaps = tuple(map(patterns.index, patterns))
        return replace(self, features=tuple(features), kinds=kinds, same_gaps=same_gaps, **arrays)


def claimed_names(replies: Mapping[int, Message]) -> dict[int, str]:
    """Return, by node id, the name that each client gives itself in its statistics, proved by nothing.

    Raises
    ------
    RoundError
        Two clients give themselves the same name.
    """
    names = {node_id: f"node {node_id}" for node_id in replies}
    for node_id, reply in replies.items():
        schema = reply.content.config_records.get("schema") if reply.has_content() else None
        if schema is None or "client" not in schema:
            continue  # from_reply tells what is wrong with it
        name = str(schema["client"])
        if name in names.values():
            raise RoundError(f'two clients are named "{name}".', "Give each of them a name of its own.")
        names[node_id] = name
    return names


def _bounds(rule: Rule | None) -> tuple[float, float]:
    """Return the least and the largest value that a rule allows, infinite where it says nothing."""
    if rule is None or rule.type == BOOLEAN:
        return (-math.inf, math.inf) if rule is None else (0.0, 1.0)
    low, high = rule.minimum, rule.maximum
    return -math.inf if low is None else low, math.inf if high is None else high


def _count(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a count is not a whole number")
    return value


def _levels(text: str) -> Mapping[str, Mapping[str, int]]:
    columns = json.loads(text)
    if not isinstance(columns, dict) or not all(isinstance(levels, dict) for levels in columns.values()):
        raise TypeError("levels are not counted by column")
    return {
        column: {level: _count(count) for level, count in levels.items()}
        for column, levels in columns.items()
    }


def _cells(text: str) -> Mapping[str, Cells]:
    columns = json.loads(text)
    if not isinstance(columns, dict):
        raise TypeError("cells are not told by column")
    return {column: [list(map(_count, cell)) for cell in cells] for column, cells in columns.items()}


def _preparation(text: str) -> Preparation | None:
    return Preparation.from_json(text) if text else None


def check_schemas(statistics: Sequence[ClientStatistics], label: str, kinds: Mapping[str, str]) -> None:
    """Check that every client has the server's columns, in any order, with values of the same kind.

    Parameters
    ----------
    statistics : sequence of ClientStatistics
        Of every client.
    label : str
        The server's label column.
    kinds : mapping of str to str
        The server's feature columns, and what they hold.

    Raises
    ------
    SchemaMismatchError
        Names the first client that differs, and the columns.
    """
    for one in statistics:
        if mismatch := describe_mismatch(one.label, one.features, label=label, features=list(kinds)):
            raise SchemaMismatchError(
                f'client "{one.client}": {mismatch}', "Give every party the same columns."
            )
    for column, kind in kinds.items():
        _check_kinds(
            column,
            [("the server", kind), *((f'client "{one.client}"', one.kind(column)) for one in statistics)],
        )


def _check_kinds(column: str, held: Sequence[tuple[str, str]]) -> None:
    known = [(who, _HOLDS[kind]) for who, kind in held if kind != EMPTY]
    for who, what in known:
        first, expected = known[0]
        if what != expected:
            raise SchemaMismatchError(
                f'column "{column}" holds {what} at {who} and {expected} at {first}.',
                "Correct the one that is wrong, or let a contract say what the column holds.",
            )


def class_weight(statistics: Sequence[ClientStatistics], *, balanced: bool) -> tuple[float, float]:
    """Return the weight of a negative and of a positive row.

    Balanced weights are scikit-learn's ``n / (2 n_c)``, of the pooled counts: the same at every client, also
    at one whose rows are all of one class.
    """
    rows = sum(one.rows for one in statistics)
    positives = sum(one.positives for one in statistics)
    if not balanced or positives in (0, rows):
        return 1.0, 1.0
    return rows / (2 * (rows - positives)), rows / (2 * positives)


def log_odds(statistics: Sequence[ClientStatistics], weights: tuple[float, float]) -> float:
    """Return the log-odds of a positive row, weighted, in all training rows; 0 where a class is rare.

    From the log-odds of a rare class, Newton's first steps go too far where columns have outliers.
    """
    positives = sum(one.positives for one in statistics)
    negatives = sum(one.rows for one in statistics) - positives
    positive, negative = weights[1] * positives, weights[0] * negatives
    if min(positive, negative) < RARE * (positive + negative):
        return 0.0
    return math.log(positive / negative)
