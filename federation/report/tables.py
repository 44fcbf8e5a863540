"""The models' metrics side by side, ready to print: on the page, and in the terminal."""

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any, NamedTuple

from federation.model.quality.metrics import FEWEST_AT_TOP, rows_at_top
from federation.report.facts import RunMetrics

UNDEFINED = "\N{EN DASH}"
_CLIENT_COLUMNS = 5


class MetricsRow(NamedTuple):
    """Hold one metric of every model, ready to print."""

    name: str
    better: str
    cells: list[str]


class MetricsTable(NamedTuple):
    """Hold the models' names, the metrics, and the reasons for undefined ones."""

    columns: list[str]
    rows: list[MetricsRow]
    reasons: list[str]


_ONE_CLASS = "the test rows are all of one class"
_NO_POSITIVE = "no test row is positive"
_NO_ROWS = "there are no test rows"
_METRICS = (
    ("roc_auc", "ROC-AUC", "higher", _ONE_CLASS),
    ("average_precision", "Average precision", "higher", _NO_POSITIVE),
    ("recall_at_1_percent", "Recall in the top 1 %", "higher", _NO_POSITIVE),
    ("recall_at_5_percent", "Recall in the top 5 %", "higher", _NO_POSITIVE),
    ("log_loss", "Log loss", "lower", _NO_ROWS),
    ("brier", "Brier score", "lower", _NO_ROWS),
    ("accuracy", "Accuracy", "higher", _NO_ROWS),
)
_TOP = {"recall_at_1_percent": 1, "recall_at_5_percent": 5}
METRIC_NAMES = [(key, name) for key, name, *_ in _METRICS]


def metrics_table(metrics: RunMetrics) -> MetricsTable:
    """Set the models side by side: federated, pooled, local-only on average, each client or the extremes."""
    models: dict[str, Mapping[str, Any]] = {"Federated": metrics["federated"]}
    if metrics["pooled"]:
        models["Pooled"] = metrics["pooled"]
    if metrics["local"]:
        models["Local-only, mean"] = over_clients(metrics, fmean)
    if len(metrics["local"]) > _CLIENT_COLUMNS:
        models |= {"lowest": over_clients(metrics, min), "highest": over_clients(metrics, max)}
    else:
        models |= {f"{name} alone": values for name, values in metrics["local"].items()}
    rows, reasons = [], []
    for key, name, better, reason in _METRICS:
        cells = [number(values[key]) for values in models.values()]
        rows.append(MetricsRow(name, better, cells))
        if UNDEFINED in cells:
            reasons.append(f"{name} is undefined: {_too_few_at_top(key, metrics) or reason}.")
    return MetricsTable(list(models), rows, reasons)


def _too_few_at_top(key: str, metrics: RunMetrics) -> str:
    """Say that the share of test rows which a recall looks at is too small, if it is."""
    percent = _TOP.get(key)
    if percent is None or rows_at_top(metrics["federated"]["rows"], percent) is not None:
        return ""
    return f"{percent} % of the test rows is fewer than {FEWEST_AT_TOP}"


def over_clients(metrics: RunMetrics, summarise: Callable[[list[float]], float]) -> dict[str, float | None]:
    """Summarise each metric over the clients where it is defined."""
    clients: list[Mapping[str, Any]] = list(metrics["local"].values())
    defined = {key: [client[key] for client in clients if client[key] is not None] for key, *_ in _METRICS}
    return {key: summarise(values) if values else None for key, values in defined.items()}


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure as it is printed; a dash where it is undefined."""
    return UNDEFINED if value is None else f"{value:,.{digits}f}"
