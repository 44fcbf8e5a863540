"""Repeated runs: what differs between them, and what is said of them."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.errors import LabelError, OutputExistsError, RoundError, SettingError
from federation.learning.settings import TrainingSettings
from federation.model.quality.metrics import evaluate
from federation.report.facts import RunMetrics
from federation.runs.local.repeat import render_summary, repeat
from federation.runs.local.training import LocalRun


def settings(out: Path, *, seed: int = 3, source: Path | None = None, prepared: bool = False) -> LocalRun:
    """Return how to run."""
    return LocalRun(
        source=source,
        preparation=None if prepared else PreparationSettings(label=LABEL),
        training=TrainingSettings(seed=seed),
        out=out,
        started=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    )


def trained(run: LocalRun) -> RunMetrics:
    """Leave a report and return figures that depend on the seed."""
    run.out.mkdir(parents=True)
    (run.out / "report.html").write_text("a report")
    rng = np.random.default_rng(run.training.seed)
    y = (np.arange(200) % 8 == 0).astype(int)
    p = [np.clip(0.3 * y + rng.random(200) * 0.7, 0, 1) for _ in range(4)]
    return {
        "federated": evaluate(y, p[0]),
        "pooled": evaluate(y, p[1]),
        "local": {"a": evaluate(y, p[2]), "b": evaluate(y, p[3])},
    }


def test_each_run_has_a_seed_and_a_folder_of_its_own(tmp_path: Path) -> None:
    """Preparation and training of each start from the next seed."""
    seen = []

    def train(run: LocalRun) -> RunMetrics:
        assert run.preparation is not None
        seen.append((run.preparation.seed, run.training.seed, run.out.name))
        return trained(run)

    repeat(settings(tmp_path / "out"), 3, train)
    assert seen == [(3, 3, "seed-3"), (4, 4, "seed-4"), (5, 5, "seed-5")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "seed-3", "seed-4", "seed-5", "summary.html", "summary.json",
    ]  # fmt: skip


def test_the_summary_has_mean_spread_and_interval(tmp_path: Path) -> None:
    """As scipy computes the interval; the difference is taken within each run."""
    runs = []

    def train(run: LocalRun) -> RunMetrics:
        runs.append(trained(run))
        return runs[-1]

    summary = repeat(settings(tmp_path / "out"), 4, train)
    assert json.loads((tmp_path / "out/summary.json").read_text()) == summary
    values = np.array([run["federated"]["roc_auc"] for run in runs], dtype=float)
    pooled = np.array([run["pooled"]["roc_auc"] for run in runs if run["pooled"]], dtype=float)
    low, high = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    spread = summary["models"]["federated"]["roc_auc"]
    assert (spread["mean"], spread["low"], spread["high"]) == pytest.approx((values.mean(), low, high))
    assert (spread["least"], spread["greatest"], spread["runs"]) == (values.min(), values.max(), 4)
    difference = summary["models"]["federated_minus_pooled"]["roc_auc"]
    assert difference["mean"] == pytest.approx((values - pooled).mean())
    assert summary["roc_auc"] == list(values)
    assert summary["synthetic"]


def test_the_page_shows_the_figures_and_links_every_run(tmp_path: Path) -> None:
    """It stands alone, warns of synthetic data, and leads to each report."""
    summary = repeat(settings(tmp_path / "out"), 2, trained)
    page = (tmp_path / "out/summary.html").read_text(encoding="utf-8")
    assert page == render_summary(summary)
    assert f"{summary['models']['federated']['roc_auc']['mean']:.3f}" in page
    assert 'href="seed-3/report.html"' in page
    assert "SYNTHETIC" in page
    assert "src=" not in page
    assert "http" not in page


def test_the_summary_names_the_strategies_that_were_taken(tmp_path: Path) -> None:
    """Not auto: each run's own word counts."""

    def train(run: LocalRun) -> RunMetrics:
        metrics = trained(run)
        taken = "fedavg" if run.training.seed == 3 else "fednewton"
        (run.out / "run.json").write_text(json.dumps({"strategy": taken}), encoding="utf-8")
        return metrics

    how = replace(settings(tmp_path / "out"), training=TrainingSettings(strategy="auto", seed=3))
    assert repeat(how, 3, train)["strategy"] == "fedavg or fednewton"


def test_an_undefined_metric_is_left_out_of_the_mean(tmp_path: Path) -> None:
    """It is counted, and shown as a dash when no run has it."""

    def train(run: LocalRun) -> RunMetrics:
        metrics = trained(run)
        metrics["federated"]["brier"] = None
        if run.training.seed == 3:
            metrics["federated"]["roc_auc"] = None
        return metrics

    summary = repeat(settings(tmp_path / "out"), 3, train)
    assert summary["models"]["federated"]["roc_auc"]["runs"] == 2
    assert summary["models"]["federated"]["brier"] is None
    assert "<td>–</td>" in (tmp_path / "out/summary.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("times", [-1, 0, 1, 1_001])
def test_a_number_of_runs_that_says_nothing_is_refused(tmp_path: Path, times: int) -> None:
    """One run has no spread."""
    with pytest.raises(SettingError, match="between 2 and 1000"):
        repeat(settings(tmp_path / "out"), times, trained)


def test_prepared_data_are_refused(tmp_path: Path) -> None:
    """Every run would be the same."""
    with pytest.raises(SettingError, match="prepared already"):
        repeat(settings(tmp_path / "out", source=tmp_path, prepared=True), 2, trained)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    """Nothing is overwritten."""
    (tmp_path / "here").write_text("x")
    with pytest.raises(OutputExistsError):
        repeat(settings(tmp_path), 2, trained)


def test_a_failing_run_stops_all_and_keeps_those_before(tmp_path: Path) -> None:
    """No summary of fewer runs than were asked for."""

    def train(run: LocalRun) -> RunMetrics:
        if run.training.seed == 5:
            raise RoundError("It broke.", "Mend it.")
        return trained(run)

    with pytest.raises(RoundError):
        repeat(settings(tmp_path / "out"), 3, train)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["seed-3", "seed-4"]


def test_a_mistake_in_the_table_leaves_nothing(tmp_path: Path) -> None:
    """As in a single run."""

    def train(run: LocalRun) -> RunMetrics:
        run.out.parent.mkdir()
        raise LabelError("It broke.", "Mend it.")

    with pytest.raises(LabelError):
        repeat(settings(tmp_path / "out"), 3, train)
    assert not (tmp_path / "out").exists()
