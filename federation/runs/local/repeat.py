"""Run the same federation over several seeds, and say what they have in common and how far they differ."""

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
from scipy import stats

from federation.errors import DataError, OutputExistsError, SettingError
from federation.files import replacing
from federation.learning.settings import AUTO
from federation.report.facts import RunMetrics
from federation.report.tables import METRIC_NAMES
from federation.runs.local.training import LocalRun

FEWEST, MOST = 2, 1_000
LEVEL = 0.95
_MODELS = ("federated", "pooled", "local", "federated_minus_pooled")
SUMMARY, PAGE = "summary.json", "summary.html"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What a metric was over the runs in which it is defined.

    Parameters
    ----------
    mean, deviation : float
        Over the runs; the sample's deviation.
    low, high : float
        95 % interval of the mean (Student's t).
    least, greatest : float
        The extremes.
    runs : int
        How many runs define it.
    """

    mean: float
    deviation: float
    low: float
    high: float
    least: float
    greatest: float
    runs: int


def repeat(settings: LocalRun, times: int, train: Callable[[LocalRun], RunMetrics]) -> dict[str, Any]:
    """Run the federation with as many seeds, from that of `settings` on, and write the summary.

    Parameters
    ----------
    settings : LocalRun
        What to run; ``out`` becomes the folder of the summary, with a folder ``seed-<seed>`` for each run.
    times : int
        How many seeds.
    train : callable
        Trains once.

    Returns
    -------
    dict
        The content of ``summary.json``.

    Raises
    ------
    SettingError
        If `times` is out of range, or the data are prepared already, so that no run would differ.
    OutputExistsError
        If the folder holds something.
    FederationError
        What stops a run stops all; the runs before it stay.
    """
    if not FEWEST <= times <= MOST:
        raise SettingError(f"--repeat {times}: out of range.", f"Choose between {FEWEST} and {MOST}.")
    if settings.source and settings.preparation is None:
        raise SettingError(
            f"--repeat: {settings.source} is prepared already, so every run would be the same.",
            "Name the table itself.",
        )
    if settings.out.exists() and (not settings.out.is_dir() or any(settings.out.iterdir())):
        raise OutputExistsError(
            f"{settings.out} exists already.", "Choose another folder with --out, or remove it."
        )
    seeds = range(settings.training.seed, settings.training.seed + times)
    try:
        runs = [train(_with_seed(settings, seed)) for seed in seeds]
    except (DataError, SettingError):
        if settings.out.is_dir() and not any(settings.out.iterdir()):
            settings.out.rmdir()
        raise
    summary = summarise(settings, list(seeds), runs)
    _write(settings.out / SUMMARY, json.dumps(summary, indent=2, allow_nan=False) + "\n")
    _write(settings.out / PAGE, render_summary(summary))
    return summary


def summarise(settings: LocalRun, seeds: Sequence[int], runs: Sequence[RunMetrics]) -> dict[str, Any]:
    """Return mean, spread and interval of each metric: federated, pooled, local-only, and the difference.

    ``local`` takes each run's mean over its clients; ``federated_minus_pooled`` the difference within a run.
    """
    of_runs = [_figures(run) for run in runs]
    models = {
        name: {key: _spread([figures[name][key] for figures in of_runs]) for key, _ in METRIC_NAMES}
        for name in _MODELS
    }
    return {
        "data": settings.source.name if settings.source else "synthetic table with the CMS schema",
        "synthetic": settings.source is None,
        "strategy": " or ".join(_taken(settings, seeds)),
        "level": LEVEL,
        "seeds": list(seeds),
        "runs": [f"seed-{seed}" for seed in seeds],
        "roc_auc": [run["federated"]["roc_auc"] for run in runs],
        "models": models,
    }


def _taken(settings: LocalRun, seeds: Sequence[int]) -> list[str]:
    """Return the strategies that the runs took: one, unless that was left open and the draws differ."""
    if settings.training.strategy != AUTO:
        return [settings.training.strategy]
    runs = [settings.out / f"seed-{seed}" / "run.json" for seed in seeds]
    return sorted({json.loads(run.read_text(encoding="utf-8"))["strategy"] for run in runs})


def render_summary(summary: dict[str, Any]) -> str:
    """Return the page as HTML that asks nothing of any other place."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("federation.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("summary.html.j2").render(summary=summary, names=METRIC_NAMES)


def _with_seed(settings: LocalRun, seed: int) -> LocalRun:
    assert settings.preparation is not None, "refused above"
    return replace(
        settings,
        out=settings.out / f"seed-{seed}",
        preparation=replace(settings.preparation, seed=seed),
        training=replace(settings.training, seed=seed),
    )


def _figures(run: RunMetrics) -> dict[str, dict[str, float | None]]:
    """Return every metric of a run by model, None where it is undefined."""
    metrics: dict[str, Any] = {**run}
    figures: dict[str, dict[str, float | None]] = {name: {} for name in _MODELS}
    for key, _ in METRIC_NAMES:
        federated, pooled = metrics["federated"][key], (metrics["pooled"] or {}).get(key)
        own = [of[key] for of in metrics["local"].values() if of[key] is not None]
        both = federated is not None and pooled is not None
        values = (
            federated,
            pooled,
            statistics.fmean(own) if own else None,
            federated - pooled if both else None,
        )
        for name, value in zip(_MODELS, values, strict=True):
            figures[name][key] = value
    return figures


def _spread(of_runs: Sequence[float | None]) -> dict[str, float] | None:
    values = [value for value in of_runs if value is not None]
    if not values:
        return None
    mean, n = statistics.fmean(values), len(values)
    deviation = statistics.stdev(values) if n > 1 else 0.0
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * deviation / math.sqrt(n) if n > 1 else 0.0
    spread = Spread(
        mean=mean,
        deviation=deviation,
        low=mean - half,
        high=mean + half,
        least=min(values),
        greatest=max(values),
        runs=n,
    )
    return vars(spread)


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
