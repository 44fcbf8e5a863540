"""The report's section on how sure its figures are, ready to print."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from federation.model.quality.intervals import Interval, Intervals

_UNDEFINED = "\N{EN DASH}"


class CertaintyTable(NamedTuple):
    """Hold the models' names, and for each metric its name and each model's value and interval, as text."""

    columns: list[str]
    rows: list[tuple[str, list[tuple[str, str]]]]


def certainty_table(
    metrics: Mapping[str, Any], intervals: Intervals, names: Sequence[tuple[str, str]]
) -> CertaintyTable:
    """Set value and interval of each metric side by side: federated, pooled, each client alone.

    Parameters
    ----------
    metrics : RunMetrics
        The values.
    intervals : Intervals
        Of the same models.
    names : sequence of (str, str)
        Key and name of each metric.
    """
    models: dict[str, tuple[Mapping[str, Any], Mapping[str, Interval | None]]] = {
        "Federated": (metrics["federated"], intervals["federated"])
    }
    if metrics["pooled"] and intervals["pooled"]:
        models["Pooled"] = metrics["pooled"], intervals["pooled"]
    for name, values in metrics["local"].items():
        models[f"{name} alone"] = values, intervals["local"][name]
    rows = [
        (name, [_cell(values[key], of_model[key]) for values, of_model in models.values()])
        for key, name in names
    ]
    return CertaintyTable(list(models), rows)


def _cell(value: float | None, interval: Interval | None) -> tuple[str, str]:
    if value is None:
        return _UNDEFINED, ""
    return f"{value:.3f}", f"{interval[0]:.3f}–{interval[1]:.3f}" if interval else ""
