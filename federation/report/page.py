"""One page on one run: what was trained, what it is worth beside its yardsticks, what left each client."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import floor, log10
from statistics import fmean, median
from typing import Any, NamedTuple

import jinja2

from federation.model.quality.intervals import Intervals
from federation.model.quality.metrics import Metrics
from federation.report.certainty import certainty_table
from federation.report.charts import Figure, ScoredModel, round_figures, score_figures
from federation.report.coefficients import Comparison
from federation.report.facts import Egress, Run, RunMetrics, Scores
from federation.report.sites import SiteScores
from federation.report.tables import METRIC_NAMES, UNDEFINED, metrics_table, number, over_clients

_COEFFICIENTS = 15
_LEAST_P = 0.001  # what is usually printed at least
_RESAMPLED = {
    "smote": "Training rows were resampled to equal numbers of both classes (SMOTE, then undersampling)",
    "balanced": "Both classes had the same weight in training",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """Hold all that the page shows.

    Parameters
    ----------
    run : Run
        What was run.
    metrics : RunMetrics
        The content of ``metrics.json``.
    rounds : sequence of mapping
        The lines of ``rounds.jsonl``.
    scores : Scores
        On the server's test rows.
    egress : mapping of str to Egress
        By client name.
    coefficients : mapping of str to float
        Of the global model, by feature: log-odds per standard deviation. The page shows the largest.
    intervals : Intervals, optional
        Of the metrics; without them the page has no section on how sure they are.
    sites : SiteScores, optional
        How models do at each client; goes with the intervals.
    inference : mapping, optional
        Of ``model.json``: then the page shows every coefficient, with its interval where that is valid.
    site_intercepts : mapping of str to float, optional
        Of ``model.json``: then the page shows each client's intercept.
    references : mapping of str to str
        The reference level of each categorical column.
    comparisons : mapping of str to Comparison
        What each feature's coefficient is for.
    """

    run: Run
    metrics: RunMetrics
    rounds: Sequence[Mapping[str, Any]]
    scores: Scores
    egress: Mapping[str, Egress]
    coefficients: Mapping[str, float]
    intervals: Intervals | None = None
    sites: SiteScores | None = None
    inference: Mapping[str, Any] | None = None
    site_intercepts: Mapping[str, float] | None = None
    references: Mapping[str, str] = field(default_factory=dict)
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)


class Charts(NamedTuple):
    """Hold the page's charts: of the models on the test rows, and of the rounds."""

    scores: Mapping[str, Figure]
    rounds: Mapping[str, Figure]


def render_report(report: Report) -> str:
    """Return the page as HTML that asks nothing of any other place; the same report gives the same text."""
    return write_page(report, draw_charts(report))


def draw_charts(report: Report) -> Charts:
    """Return what the page shows in charts; that takes most of its time."""
    scores = report.scores
    models = [
        ScoredModel("federated", "federated", scores.federated),
        *([] if scores.pooled is None else [ScoredModel("pooled", "pooled", scores.pooled)]),
        *(ScoredModel("local-only", "local", p) for p in scores.local.values()),
    ]
    at_clients = report.sites["federated"] if report.sites else {}
    return Charts(
        score_figures(scores.y, models), round_figures(report.rounds, report.metrics["pooled"], at_clients)
    )


def write_page(report: Report, charts: Charts) -> str:
    """Return the page around its charts."""
    return _template().render(
        run=report.run,
        metrics=report.metrics,
        egress=report.egress,
        headline=headline(report.metrics),
        cards=_cards(report.metrics),
        always=_always(report.metrics["federated"]),
        top=_defined_top(report.metrics["federated"]),
        table=metrics_table(report.metrics),
        figures=charts.scores,
        rounds=charts.rounds,
        rejected=_rejected(report.rounds),
        round_seconds=median([entry["seconds"] for entry in report.rounds if entry["round"]] or [0.0]),
        kinds=list(dict.fromkeys(kind for sent in report.egress.values() for kind in sent.sent_bytes)),
        coefficients=_largest(report),
        intervals=report.intervals,
        sites=report.sites,
        certain=report.intervals and certainty_table(report.metrics, report.intervals, METRIC_NAMES),
        inference=_by_evidence(report),
        site_intercepts=_site_intercepts(report),
        references=report.references,
        resampled=_RESAMPLED.get(report.run.resample),
        before=any(one.observed_rows != one.train_rows for one in report.run.clients.values()),
        single_class=[name for name, data in report.run.clients.items() if data.single_class],
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("federation.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "count": _whole,
        "signed": _signed,
        "size": _size,
        "share": _share,
        "ratio": _ratio,
        "p_value": _p_value,
    }
    return environment.get_template("report.html.j2")


def headline(metrics: RunMetrics) -> str:
    """Say in one sentence how the federated model compares, whichever way the comparison goes."""
    auc, pooled = metrics["federated"]["roc_auc"], metrics["pooled"]
    if auc is None:
        return "ROC-AUC is undefined: the test rows are all of one class."
    comparisons = []
    if pooled and pooled["roc_auc"] is not None:
        comparisons.append(f"{_compared(auc, pooled['roc_auc'])} the pooled model ({pooled['roc_auc']:.3f})")
    local = over_clients(metrics, fmean)["roc_auc"]
    if local is not None:
        comparisons.append(f"{_compared(auc, local)} the mean of clients training alone ({local:.3f})")
    result = f"Training together reached ROC-AUC {auc:.3f}"
    return f"{result}: {' and '.join(comparisons)}." if comparisons else f"{result}."


def _cards(metrics: RunMetrics) -> list[tuple[str, str, float | None]]:
    """Return name, colour and ROC-AUC of the models the page opens with."""
    cards = [("Federated", "federated", metrics["federated"]["roc_auc"])]
    if metrics["pooled"]:
        cards.append(("Pooled", "pooled", metrics["pooled"]["roc_auc"]))
    if metrics["local"]:
        cards.append(("Local-only, mean", "local", over_clients(metrics, fmean)["roc_auc"]))
    return cards


def _always(metrics: Metrics) -> tuple[str, float] | None:
    """Return the more frequent class of the test rows, and the accuracy of answering nothing else."""
    if not metrics["rows"]:
        return None
    positive = metrics["positives"] / metrics["rows"]
    return ("positive", positive) if positive > 0.5 else ("negative", 1 - positive)  # noqa: PLR2004  half


def _defined_top(metrics: Metrics) -> int | None:
    """Return the smallest percentage of rows at the top in which the recall is defined."""
    if metrics["recall_at_1_percent"] is not None:
        return 1
    return None if metrics["recall_at_5_percent"] is None else 5


def _compared(value: float, other: float) -> str:
    difference = f"{abs(value - other):.3f}"
    if difference == "0.000":
        return "level with"
    return f"{difference} {'above' if value > other else 'below'}"


class Coefficient(NamedTuple):
    """Hold a coefficient, what it is for, and the length of its bar, in percent of the largest."""

    feature: str
    compared: str
    value: float
    length: float


def _largest(report: Report) -> list[Coefficient]:
    absent = (report.inference or {}).get("absent", ())
    known = [item for item in report.coefficients.items() if item[0] not in absent]
    ranked = sorted(known, key=lambda item: (-abs(item[1]), item[0]))[:_COEFFICIENTS]
    largest = abs(ranked[0][1]) if ranked else 0.0
    return [
        Coefficient(name, _compared_by(report, name), value, 100 * abs(value) / (largest or 1.0))
        for name, value in ranked
    ]


def _compared_by(report: Report, feature: str) -> str:
    return report.comparisons[feature].what if feature in report.comparisons else UNDEFINED


def _by_evidence(report: Report) -> Mapping[str, Any] | None:
    """Put the features in the order of their |z|, without tests of their |coefficient|, the largest first.

    Each says what it is for, and only where one unit of the column is of interest keeps its natural figures.
    """
    inference = report.inference
    if inference is None:
        return None
    by = "coefficient" if "reason" in inference else "z"
    shown = [one for one in inference["features"] if one["name"] not in inference["absent"]]
    ranked = sorted(shown, key=lambda one: -1.0 if one[by] is None else abs(one[by]), reverse=True)
    plain = {name for name, it in report.comparisons.items() if it.per_unit}
    features = [
        {**one, "compared": _compared_by(report, one["name"])}
        | {"natural": one["natural"] if one["name"] in plain else None}
        for one in ranked
    ]
    return {**inference, "features": features}


def _site_intercepts(report: Report) -> Mapping[str, Mapping[str, float | None]]:
    """Return each client's intercept, with its standard error and interval where they are known."""
    told = (report.inference or {}).get("site_intercepts", {})
    unknown = {"standard_error": None, "low": None, "high": None}
    sites = report.site_intercepts or {}
    return {site: {"coefficient": value, **unknown, **told.get(site, {})} for site, value in sites.items()}


def _rejected(rounds: Sequence[Mapping[str, Any]]) -> list[tuple[int, str, str]]:
    """Return round, client and reason of every update that did not reach the aggregate."""
    return [
        (entry["round"], name, reason)
        for entry in rounds
        for name, reason in sorted(entry.get("rejected", {}).items())
    ]


def _whole(value: int | None) -> str:
    return UNDEFINED if value is None else f"{value:,}"


def _signed(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def _ratio(value: float | None) -> str:
    """Return an odds ratio to three digits, near 1 to three decimals or more, extremes as powers of ten."""
    if value is None:
        return UNDEFINED
    if not 1e-3 <= value < 1e4:  # noqa: PLR2004  what is easy to read
        return f"{value:.1e}"
    off = abs(value - 1)
    return f"{value:.{max(3, -floor(log10(off)))}f}" if 1e-7 < off < 0.1 else f"{value:.3g}"  # noqa: PLR2004  near 1


def _p_value(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return f"< {_LEAST_P}" if value < _LEAST_P else f"{value:.3f}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else UNDEFINED


def _size(count: float) -> str:
    """Return a number of bytes as people say it."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004  SI prefixes
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
