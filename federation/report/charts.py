"""The report's charts as SVG text: the same bytes for the same numbers, nothing to load from elsewhere."""

import html
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import cycle
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from federation.model.quality.metrics import Curve, precision_recall_curve, reliability_curve, roc_curve

Role = Literal["federated", "pooled", "local", "reference", "client"]

# Colours by Okabe and Ito (https://jfly.uni-koeln.de/color/), told apart with any colour vision; dashes and
# markers tell the lines apart in black and white.
_STYLES: dict[Role, dict[str, Any]] = {
    "federated": {"color": "#0072B2", "linewidth": 2.2, "marker": "o", "zorder": 5},
    "pooled": {"color": "#D55E00", "linewidth": 1.6, "linestyle": (0, (5, 2)), "marker": "s", "zorder": 4},
    "local": {"color": "#009E73", "linewidth": 0.9, "marker": "^", "markersize": 3, "zorder": 3},
    "reference": {"color": "#8A8F98", "linewidth": 1.0, "linestyle": (0, (1, 2)), "zorder": 1},
}
_CLIENT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_CLIENT_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_INK, _RULE = "#3A3F47", "#C9CDD3"
_MARKERS_PER_LINE = 12
_LEGEND_LINES = 8

_RC: Any = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the font of the page
    "font.size": 9,
    "text.parse_math": False,  # a client's name may hold a dollar sign
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _RULE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#ECEEF1",
    "grid.linewidth": 0.8,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """Hold one line of a chart.

    Parameters
    ----------
    label : str
        For the legend; lines of one label are listed once.
    x, y : array of shape (n,)
        Its points; NaN leaves a gap.
    role : {"federated", "pooled", "local", "reference", "client"}
        Decides colour, dash and marker. Lines of role "client" each get their own.
    """

    label: str
    x: ArrayLike
    y: ArrayLike
    role: Role


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Hold a line chart.

    Parameters
    ----------
    name : str
        Unique on the page, of letters and hyphens; starts every id in the SVG.
    x_label, y_label : str
        Of the axes.
    lines : sequence of Line
        The most important are drawn on top, whatever their order.
    unit_square : bool
        Whether both axes run from 0 to 1; otherwise x counts rounds and y fits the lines.
    """

    name: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    unit_square: bool = False


def draw(chart: Chart, alt: str) -> str:
    """Return the chart as an ``<svg>`` element that scales to the width it is given.

    Parameters
    ----------
    chart : Chart
        What to draw.
    alt : str
        What the chart shows, for those who cannot see it.
    """
    with mpl.rc_context({**_RC, "svg.hashsalt": chart.name}):
        figure = Canvas(figsize=(4.3, 3.5))
        axes = figure.add_axes(
            (0.14, 0.13, 0.845, 0.855)
        )  # the same frame in every chart, so that they align
        handles = _draw_lines(axes, chart.lines)
        axes.set_xlabel(chart.x_label)
        axes.set_ylabel(chart.y_label)
        axes.tick_params(length=0)
        if chart.unit_square:
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            axes.margins(x=0.04, y=0.12)
        _add_legend(axes, handles)
        text = StringIO()
        figure.savefig(
            text,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
        )
    return _for_html(text.getvalue(), chart.name, alt)


def _draw_lines(axes: Axes, lines: Sequence[Line]) -> dict[str, Line2D]:
    """Draw the lines and return one of each label, for the legend."""
    clients = zip(cycle(_CLIENT_COLOURS), cycle(_CLIENT_MARKERS), strict=False)
    handles: dict[str, Line2D] = {}
    for offset, line in enumerate(lines):
        x, y = np.asarray(line.x, dtype=float), np.asarray(line.y, dtype=float)
        style = dict(_STYLES[line.role]) if line.role != "client" else _client_style(*next(clients))
        if len(x) > _MARKERS_PER_LINE:
            style["markevery"] = (0.03 * (offset % 4), 1 / _MARKERS_PER_LINE)
        (handle,) = axes.plot(x, y, **style)
        handles.setdefault(line.label, handle)
    return handles


def _client_style(colour: str, marker: str) -> dict[str, Any]:
    return {"color": colour, "linewidth": 1.5, "marker": marker}


def _add_legend(axes: Axes, handles: dict[str, Line2D]) -> None:
    if len(handles) > 1:
        shown = list(handles)[:_LEGEND_LINES]
        title = f"the first {len(shown)} of {len(handles)}" if len(shown) < len(handles) else None
        axes.legend([handles[label] for label in shown], shown, title=title, loc="best", handlelength=2.4)


def _for_html(text: str, name: str, alt: str) -> str:
    """Keep the svg element alone, without a size of its own, with ids that no other chart on the page has."""
    text = text[text.index("<svg") :].strip()
    head, body = text.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    text = f'{head} role="img" aria-label="{html.escape(alt)}">{body}'
    text = re.sub(r'\bid="', f'id="{name}-', text)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Hold a drawn chart and its words.

    Parameters
    ----------
    title, caption : str
        What it shows, and how to read it.
    svg : str or None
        None when there is nothing to draw; the caption then says why.
    """

    title: str
    caption: str
    svg: str | None


class ScoredModel(NamedTuple):
    """Hold a model's probabilities of class 1, shape (n,), under the name and role it has in the charts."""

    label: str
    role: Role
    p: ArrayLike


def score_figures(y: ArrayLike, models: Sequence[ScoredModel]) -> dict[str, Figure]:
    """Draw the ROC, precision-recall and reliability curves of several models on the same rows.

    Parameters
    ----------
    y : array of shape (n,)
        True classes, 0 or 1.
    models : sequence of ScoredModel
        Models to compare.
    """
    prevalence = float(np.mean(np.asarray(y))) if np.size(y) else 0.0
    return {
        "roc": _compare(
            Chart(
                name="roc",
                x_label="false positive rate",
                y_label="true positive rate",
                lines=[*_curves(roc_curve, y, models), _reference("chance", 0, 1)],
                unit_square=True,
            ),
            "ROC curve",
            "Positives found against negatives flagged by mistake. Up and to the left is better.",
            "Undefined: the test rows are all of one class.",
        ),
        "precision-recall": _compare(
            Chart(
                name="precision-recall",
                x_label="recall",
                y_label="precision",
                lines=[
                    *_curves(precision_recall_curve, y, models),
                    _reference("prevalence", prevalence, prevalence),
                ],
                unit_square=True,
            ),
            "Precision and recall",
            "Share of flagged rows that are positive, against share of positives that are flagged. Up and to "
            "the right is better. With few positives it tells more than the ROC curve.",
            "Undefined: no test row is positive.",
        ),
        "reliability": _compare(
            Chart(
                name="reliability",
                x_label="mean predicted probability",
                y_label="share of positives",
                lines=[*_curves(reliability_curve, y, models), _reference("perfect", 0, 1)],
                unit_square=True,
            ),
            "Reliability",
            "Ten bins of equally many test rows. Points below the diagonal: probabilities that are too high.",
            "Undefined: there are no test rows.",
        ),
    }


def round_figures(
    rounds: Sequence[Mapping[str, Any]],
    pooled: Mapping[str, Any] | None,
    at_clients: Mapping[str, float | None],
) -> dict[str, Figure]:
    """Draw how the global model fares round by round.

    Parameters
    ----------
    rounds : sequence of mapping
        The lines of ``rounds.jsonl``.
    pooled : mapping, optional
        The pooled model's metrics, drawn as the line to reach.
    at_clients : mapping of str to float
        ROC-AUC of the final model at each client.
    """
    figures = {}
    for metric, title, better in _ROUND_METRICS:
        lines = _server_lines(rounds, pooled, metric)
        name = f"rounds-{metric.replace('_', '-')}"
        chart = Chart(name=name, x_label="round", y_label=title, lines=lines)
        figures[name] = _compare(
            chart,
            f"{title} by round",
            f"Of the global model on the server's test rows; round 0 is before training. {better}",
            "Undefined in every round: the test rows are all of one class.",
        )
    figures["rounds-clients"] = _compare(
        Chart(
            name="rounds-clients",
            x_label="round",
            y_label="ROC-AUC",
            lines=_client_lines(rounds, at_clients),
        ),
        "ROC-AUC at each client by round",
        "Of the global model on the validation rows that each client holds back.",
        "Undefined in every round: no client's validation rows hold both classes.",
    )
    return figures


_ROUND_METRICS = (
    ("roc_auc", "ROC-AUC", "Higher is better."),
    ("average_precision", "Average precision", "Higher is better."),
    ("log_loss", "Log loss", "Lower is better."),
)


def _compare(chart: Chart, title: str, caption: str, undefined: str) -> Figure:
    if all(line.role == "reference" or _is_empty(line) for line in chart.lines):
        return Figure(title=title, caption=undefined, svg=None)
    compared = ", ".join(dict.fromkeys(line.label for line in chart.lines))
    return Figure(title=title, caption=caption, svg=draw(chart, f"{title}: {compared}. {caption}"))


def _is_empty(line: Line) -> bool:
    return bool(np.isnan(np.asarray(line.y, dtype=float)).all())


def _curves(
    curve_of: Callable[[ArrayLike, ArrayLike], Curve | None], y: ArrayLike, models: Sequence[ScoredModel]
) -> list[Line]:
    curves = [(model, curve_of(y, model.p)) for model in models]
    return [
        Line(label=model.label, x=curve.x, y=curve.y, role=model.role)
        for model, curve in curves
        if curve is not None
    ]


def _reference(label: str, start: float, end: float) -> Line:
    return Line(label=label, x=[0, 1], y=[start, end], role="reference")


def _server_lines(
    rounds: Sequence[Mapping[str, Any]], pooled: Mapping[str, Any] | None, metric: str
) -> list[Line]:
    x = [entry["round"] for entry in rounds if "server" in entry]
    y = [_or_nan(entry["server"][metric]) for entry in rounds if "server" in entry]
    lines = [Line(label="federated", x=x, y=y, role="federated")]
    if pooled and pooled[metric] is not None and x:
        lines.append(Line(label="pooled", x=[x[0], x[-1]], y=[pooled[metric]] * 2, role="pooled"))
    return lines


def _client_lines(rounds: Sequence[Mapping[str, Any]], at_clients: Mapping[str, float | None]) -> list[Line]:
    points: dict[str, list[tuple[int, float]]] = {}
    for entry in rounds:
        for name, figures in entry.get("clients", {}).items():
            given = entry["round"] - 1, _or_nan(figures["given"]["roc_auc"])
            points.setdefault(name, []).append(given)
    for name, value in at_clients.items():
        points.setdefault(name, []).append((rounds[-1]["round"], _or_nan(value)))
    return [
        Line(label=name, x=[x for x, _ in xy], y=[y for _, y in xy], role="client")
        for name, xy in sorted(points.items())
    ]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
