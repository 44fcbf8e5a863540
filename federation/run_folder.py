"""Write what a run leaves: the model, its figures beside its yardsticks', and a page to look at."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.evaluation import evaluate
from federation.files import replacing
from federation.manifest import Manifest
from federation.model import save
from federation.report import ClientData, Egress, Report, Run, RunMetrics, Scores, render_report
from federation.server_app import Federated, TrainingSettings
from federation.tables import Table
from federation.yardsticks import fit_local, fit_pooled

PACKAGES = ("flwr", "scikit-learn", "numpy")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a run was made, as ``run.json`` tells it.

    Parameters
    ----------
    training : TrainingSettings
        Strategy, rounds, quorum.
    penalty, max_iter : str, int
        Of every client's fit.
    started : datetime
        When.
    """

    training: TrainingSettings
    penalty: str
    max_iter: int
    started: dt.datetime


def write_run(
    out: Path,
    federated: Federated,
    *,
    test: Table,
    train: Mapping[str, Table],
    manifest: Manifest,
    data: Path,
    settings: RunSettings,
) -> RunMetrics:
    """Fit the yardsticks, and write the model, every figure and the report into ``out``.

    Parameters
    ----------
    out : Path
        The run folder, which holds ``clients/<name>/ledger.jsonl`` already.
    federated : Federated
        The model and its rounds.
    test : Table
        The server's held-back rows.
    train : mapping of str to Table
        The training rows of every client: known only where all data are on one machine.
    manifest : Manifest
        How the data were prepared.
    data : Path
        The folder of prepared data.
    settings : RunSettings
        How the run was made.

    Returns
    -------
    RunMetrics
        The content of ``metrics.json``.
    """
    save(federated.model, out)
    scores = _scores(federated, test, train, settings, balanced=manifest.resample == "balanced")
    metrics = _metrics(scores)
    rounds = [record.as_json() for record in federated.rounds]
    seconds = (dt.datetime.now(dt.UTC) - settings.started).total_seconds()
    run = _describe(manifest, data, settings, seconds)
    _write(out / "metrics.json", _json({"synthetic": manifest.synthetic, "test_rows": test.rows, **metrics}))
    _write(out / "rounds.jsonl", "".join(json.dumps(record, allow_nan=False) + "\n" for record in rounds))
    _write(out / "run.json", _json(_as_json(run)))
    report = Report(
        run=run,
        metrics=metrics,
        rounds=rounds,
        scores=scores,
        egress={name: read_egress(out / "clients" / name / "ledger.jsonl") for name in manifest.clients},
        coefficients=dict(zip(test.features, federated.model.coef.tolist(), strict=True)),
    )
    _write(out / "report.html", render_report(report))
    return metrics


def read_egress(ledger: Path) -> Egress:
    """Sum up a client's egress ledger."""
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    sent: Counter[str] = Counter()
    for line in lines:
        sent[line["kind"].partition(".")[0]] += line["bytes"]
    return Egress(messages=len(lines), sent_bytes=dict(sent))


def _scores(
    federated: Federated, test: Table, train: Mapping[str, Table], settings: RunSettings, *, balanced: bool
) -> Scores:
    """Score the test rows with the federated model, the pooled one, and each client's own."""

    def proba(model: Any) -> NDArray[np.float64]:  # noqa: ANN401
        return model.predict_proba(test.X)  # type: ignore[no-any-return]

    how: dict[str, Any] = {
        "penalty": settings.penalty,
        "class_weight": "balanced" if balanced else None,
        "log1p": federated.model.preprocessing.log1p,
    }
    return Scores(
        y=test.y,
        federated=proba(federated.model),
        pooled=proba(fit_pooled(train, **how)),
        local={name: proba(model) for name, model in fit_local(train, **how).items()},
    )


def _metrics(scores: Scores) -> RunMetrics:
    return {
        "federated": evaluate(scores.y, scores.federated),
        "pooled": None if scores.pooled is None else evaluate(scores.y, scores.pooled),
        "local": {name: evaluate(scores.y, p) for name, p in scores.local.items()},
    }


def _describe(manifest: Manifest, data: Path, settings: RunSettings, seconds: float) -> Run:
    training = settings.training
    clients = {
        name: ClientData(
            train_rows=rows.train_before.rows,
            train_positives=rows.train_before.positives,
            validation_rows=rows.validation.rows,
            validation_positives=rows.validation.positives,
            data_bytes=sum(path.stat().st_size for path in (data / name).iterdir()),
        )
        for name, rows in manifest.clients.items()
    }
    return Run(
        title="Federated training on one machine",
        data="synthetic table with the CMS schema" if manifest.source is None else manifest.source.name,
        synthetic=manifest.synthetic,
        label=manifest.label,
        features=len(manifest.features),
        clients=clients,
        strategy=training.strategy,
        parameters={**training.parameters, "penalty": settings.penalty, "max_iter": settings.max_iter},
        rounds=training.rounds,
        seed=manifest.seed,
        resample=manifest.resample,
        seconds=seconds,
        versions={package: version(package) for package in PACKAGES},
        started=f"{settings.started:%Y-%m-%d %H:%M UTC}",
    )


def _as_json(run: Run) -> dict[str, Any]:
    return {**vars(run), "clients": {name: vars(data) for name, data in run.clients.items()}}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
