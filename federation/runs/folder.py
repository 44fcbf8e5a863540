"""Write what a run leaves: the model, its figures beside its yardsticks', and a page to look at."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from federation.data.table import Table
from federation.files import replacing
from federation.learning.federate import Federated
from federation.learning.rounds.figures import without_nan
from federation.model.pipeline import save
from federation.model.quality.intervals import intervals
from federation.model.quality.metrics import evaluate, warnings_of_rows
from federation.report.coefficients import comparisons
from federation.report.facts import Egress, Run, RunMetrics, Scores
from federation.report.sites import SiteScores
from federation.runs.record.ledgers import read_lines


def load_report() -> None:
    """Import what draws the report, in a thread: while clients start, this process waits."""
    Thread(target=import_module, args=("federation.report.page",), name="load ahead").start()


def write_run(
    out: Path, federated: Federated, *, test: Table, run: Run, scores: Scores, egress: Mapping[str, Egress]
) -> RunMetrics:
    """Write the model, every figure and the report into ``out``.

    Parameters
    ----------
    out : Path
        The run folder.
    federated : Federated
        The model and its rounds.
    test : Table
        The server's held-back rows.
    run : Run
        What was run.
    scores : Scores
        Of the federated model on these rows, and of its yardsticks where there are any.
    egress : mapping of str to Egress
        What each client sent.

    Returns
    -------
    RunMetrics
        The content of ``metrics.json``.
    """
    from federation.report.page import Report, render_report  # noqa: PLC0415 - see load_report

    save(federated.model, out)
    metrics = _metrics(scores)
    rounds = [record.as_json() for record in federated.rounds]
    sure = intervals(scores.y, scores.federated, pooled=scores.pooled, local=scores.local, seed=run.seed)
    at_clients = {name: figures["roc_auc"] for name, figures in federated.at_clients.items()}
    sites = SiteScores(federated=without_nan(at_clients), local=dict(scores.cross_site))
    facts = {"synthetic": run.synthetic, "resample": run.resample, "test_rows": test.rows}
    facts |= {"outliers": dict(federated.model.outliers or {})}
    facts |= {"left_out": run.left_out, "duplicates": run.duplicates, "warnings": warnings_of_rows(scores.y)}
    _write(out / "metrics.json", _json({**facts, **metrics, "intervals": sure, "at_clients": sites}))
    _write(out / "rounds.jsonl", "".join(json.dumps(record, allow_nan=False) + "\n" for record in rounds))
    _write(out / "run.json", _json(_as_json(run)))
    report = Report(
        run=run,
        metrics=metrics,
        rounds=rounds,
        scores=scores,
        egress=egress,
        coefficients=dict(
            zip(federated.model.preprocessing.features, federated.model.coef.tolist(), strict=True)
        ),
        intervals=sure,
        sites=sites,
        inference=federated.model.inference,
        site_intercepts=federated.model.site_intercepts,
        references=federated.model.references or {},
        comparisons=comparisons(federated.model),
    )
    _write(out / "report.html", render_report(report))
    return metrics


def read_egress(ledger: Path) -> Egress:
    """Sum up a client's egress ledger.

    Raises
    ------
    AuditInputError
        It is none.
    """
    if not ledger.exists():  # of a client that never joined, as its data cannot be used
        return sum_egress([])
    return sum_egress([(line["kind"], line["bytes"]) for line in read_lines(ledger)])


def sum_egress(messages: Sequence[tuple[str, int]]) -> Egress:
    """Sum up messages, given by kind and bytes; kinds such as ``query.statistics`` count as ``query``."""
    sent: Counter[str] = Counter()
    for kind, size in messages:
        sent[kind.partition(".")[0]] += size
    return Egress(messages=len(messages), sent_bytes=dict(sent))


def _metrics(scores: Scores) -> RunMetrics:
    return {
        "federated": evaluate(scores.y, scores.federated),
        "pooled": None if scores.pooled is None else evaluate(scores.y, scores.pooled),
        "local": {name: evaluate(scores.y, p) for name, p in scores.local.items()},
    }


def _as_json(run: Run) -> dict[str, Any]:
    return {**vars(run), "clients": {name: vars(data) for name, data in run.clients.items()}}


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
