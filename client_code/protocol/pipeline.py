"""How a saved model makes features of raw columns, as a plan for a scikit-learn ColumnTransformer.

Each end builds the pipeline that it saves from this plan: parts, their steps, and the one row that they are
fitted to, which tells them names and fillings.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .cells import spellings
from .features import Feature

STEPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "log1p": ("log1p",),
        "identity": (),
        "filled-log1p": ("numbers", "fill", "log1p"),
        "filled": ("numbers", "fill"),
        "missing": ("missing", "numbers"),
        "level": ("texts", "levels"),
    }
)
"""The steps of each part, in the order of the transformer's parts; those of `Plan.known` come last."""

GAPS = (*spellings(), "None", "<NA>", "NaT")
"""What missing cells are as texts: as they are written, and what NumPy makes of pandas' missing values."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What a transformer of raw columns is made of.

    Parameters
    ----------
    order : ndarray of int64, shape (d,)
        The positions of the model's features, in the order in which the transformer puts them out.
    columns : dict of str to list of str
        The columns of each part.
    row : dict of str to list
        The row that it is fitted to.
    levels : list of ndarray of str
        The levels of each categorical column.
    known : dict of str to list of str
        For each part that marks other levels, of one column each, the texts that it does not mark: known
        levels, and gaps.
    """

    order: NDArray[np.int64]
    columns: dict[str, list[str]]
    row: dict[str, list[object]]
    levels: list[NDArray[np.str_]]
    known: dict[str, list[str]]


def plan(features: Sequence[Feature], log1p: Iterable[bool]) -> Plan:
    """Return how to make features, whose logarithm is taken where ``log1p`` says so."""
    parts: dict[str, list[int]] = {name: [] for name in STEPS}
    known: dict[str, list[str]] = {}
    for position, (feature, logged) in enumerate(zip(features, log1p, strict=True)):
        if feature.kind == "other":
            known[f"other-{position}"] = [*(feature.levels or ()), *GAPS]
            parts[f"other-{position}"] = [position]
        else:
            parts[_part(feature, logged=bool(logged))].append(position)
    columns = {
        name: list(dict.fromkeys(features[position].column for position in positions))
        for name, positions in parts.items()
        if positions
    }
    row: dict[str, list[object]] = {feature.column: [0.0] for feature in features}
    row |= {feature.column: [feature.fill] for feature in features if feature.fill is not None}
    row |= {feature.column: [""] for feature in features if feature.kind in ("level", "other")}
    return Plan(
        order=np.array([at for positions in parts.values() for at in positions], dtype=np.int64),
        columns=columns,
        row=row,
        levels=[_levels(features, column) for column in columns.get("level", [])],
        known=known,
    )


def _part(feature: Feature, *, logged: bool) -> str:
    if feature.kind != "number":
        return feature.kind
    if feature.fill is None:
        return "log1p" if logged else "identity"
    return "filled-log1p" if logged else "filled"


def _levels(features: Sequence[Feature], column: str) -> NDArray[np.str_]:
    return np.array([str(it.level) for it in features if it.column == column and it.kind == "level"])
