"""How models do at each client, and how the report says it."""

import re
from dataclasses import replace

import numpy as np

from federation.data.table import Table
from federation.model.quality.intervals import intervals
from federation.model.quality.metrics import evaluate
from federation.model.quality.yardsticks import fit_local
from federation.report.certainty import certainty_table
from federation.report.page import render_report
from federation.report.sites import Row, SiteScores, cross_site
from federation.runs.folder import _metrics
from tests.unit.test_report import CLIENTS, a_report, page_of

AT_CLIENTS: Row = dict.fromkeys(CLIENTS, 0.8)


def site(shift: float, seed: int) -> Table:
    """Return a client's rows, whose label depends on the first or the second column."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(200, 2))
    y = (X @ [1 - shift, shift] + 0.3 * rng.normal(size=200) > 0).astype(np.int64)
    return Table(features=("a", "b"), X=X, y=y, label="y")


def test_the_matrix_tells_which_model_travels_well() -> None:
    """A client's own model is good at home and poor where another column matters."""
    train = {"one": site(0, 0), "other": site(1, 1)}
    validation = {"one": site(0, 2), "other": site(1, 3)}
    models = fit_local(train, log1p=(False, False))
    matrix = cross_site(models, validation)
    assert matrix["one"]["one"] == evaluate(
        validation["one"].y, models["one"].predict_proba(validation["one"].X)
    )["roc_auc"]  # fmt: skip
    home, away = matrix["one"]["one"], matrix["one"]["other"]
    assert home is not None
    assert away is not None
    assert home > 0.9
    assert away < 0.7


def test_a_client_with_one_class_has_no_roc_auc() -> None:
    """Undefined is None, not an error."""
    one_class = replace(site(0, 1), y=np.zeros(200, dtype=np.int64))
    models = fit_local({"one": site(0, 0)})
    assert cross_site(models, {"one": one_class}) == {"one": {"one": None}}


def test_the_report_shows_intervals_and_every_client() -> None:
    """Values with brackets, the global model's row, and a row for each client's own model."""
    report = a_report()
    sure = intervals(
        report.scores.y,
        report.scores.federated,
        pooled=report.scores.pooled,
        local=report.scores.local,
        seed=0,
    )
    matrix: dict[str, Row] = {name: dict.fromkeys(CLIENTS, 0.1234) for name in CLIENTS}
    page = render_report(
        replace(report, intervals=sure, sites=SiteScores(federated=AT_CLIENTS, local=matrix))
    )
    low, high = sure["federated"]["roc_auc"] or (0.0, 0.0)
    assert f"{low:.3f}–{high:.3f}" in page
    assert page.count("0.123</td>") == 4
    assert re.search(r"federated</th><td>0.800</td><td>0.800</td>", page)
    assert 'id="trust"' not in page_of(report)


def test_a_federation_between_accounts_has_no_matrix() -> None:
    """Its report still has the intervals and the global model at each client."""
    report = a_report(yardsticks=False)
    sure = intervals(report.scores.y, report.scores.federated, local={}, seed=0)
    page = page_of(replace(report, intervals=sure, sites=SiteScores(federated=AT_CLIENTS, local={})))
    assert "At each client" in page
    assert "client-1 alone" not in page


def test_an_undefined_metric_is_a_dash() -> None:
    """Without a positive row there is nothing to rank."""
    report = a_report(one_class=True)
    sure = intervals(
        report.scores.y,
        report.scores.federated,
        pooled=report.scores.pooled,
        local=report.scores.local,
        seed=0,
    )
    table = certainty_table(_metrics(report.scores), sure, [("roc_auc", "ROC-AUC")])
    assert table.rows == [("ROC-AUC", [("–", "")] * 4)]
    assert table.columns == ["Federated", "Pooled", "client-1 alone", "client-2 alone"]
