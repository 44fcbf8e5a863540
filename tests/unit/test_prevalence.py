"""Models of resampled or weighted rows give probabilities at the true prevalence, and tell what was done."""

import datetime as dt
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, RecordDict
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

import client
import link
import preparation
import utils
from federation.data.contract_check import read_prepared
from federation.data.preparation.manifest import Count, Manifest
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import Table
from federation.learning.federate import Federated, federate
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.preprocessing.prevalence import corrected, prior_shift
from federation.learning.settings import TrainingSettings
from federation.runs.description import RunSettings
from federation.runs.local.comparison import compare
from ledger import Ledger
from protocol.preparation import Preparation
from tests.unit.pooling import Floats, Pool, Rows
from tests.unit.test_checked_strategy import FakeGrid, Notes

PARTS = ("train", "validation")


def drawn(rows: int = 30_000, seed: int = 0, rarity: float = 3.4) -> Rows:
    """Draw rows of which about 6 % are positive, 12 % with a rarity of 2.5."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 3))
    y = (rng.random(rows) < 1 / (1 + np.exp(rarity - X @ np.array([1.0, -0.5, 0.2])))).astype(np.int64)
    return X, y


def told(rows: Rows, resample: str = "none", *, synthetic: bool = False) -> Preparation:
    """Return what a client tells whose rows were these before they were resampled."""
    y = rows[1]
    return Preparation(resample=resample, rows=len(y), positives=int(y.sum()), synthetic=synthetic)


def halves(rows: Rows) -> list[Rows]:
    """Deal rows to two clients."""
    X, y = rows
    return [(X[i::2], y[i::2]) for i in range(2)]


def fewer_negatives(rows: Rows, share: float = 0.1) -> Rows:
    """Keep a share of the negative rows, drawn at random."""
    X, y = rows
    keep = (y == 1) | (np.random.default_rng(1).random(len(y)) < share)
    return X[keep], y[keep]


def natural(result: Federated) -> Floats:
    """Return coefficients and intercept of the columns as they are."""
    inference = result.model.inference
    assert inference is not None
    return np.array(
        [one["natural"]["coefficient"] for one in (*inference["features"], inference["intercept"])]
    )


def sampled(tmp_path: Path, **settings: Any) -> tuple[Rows, list[Rows], Federated]:
    """Train two clients with a tenth of their negative rows; return all rows, those, and the model."""
    before = drawn()
    parts = halves(before)
    kept = [fewer_negatives(part) for part in parts]
    pool = Pool(kept, tmp_path, test=[before], prepared=[told(part, "smote") for part in parts])
    return before, kept, pool.train(penalty="none", **settings)


# The correction ---------------------------------------------------------------------------------------------


def test_the_shift_is_that_of_king_and_zeng() -> None:
    """Equation 7: ln[((1 - tau) / tau) (ybar / (1 - ybar))], tau of the population, ybar of the sample."""
    tau, ybar = 0.05, 0.5
    shift = prior_shift(Count(rows=200, positives=100), Count(rows=2000, positives=100), (1.0, 1.0))
    assert shift == pytest.approx(math.log((1 - tau) / tau * ybar / (1 - ybar)), rel=1e-12)
    weighted = prior_shift(Count(rows=200, positives=100), Count(rows=2000, positives=100), (0.5, 2.0))
    assert weighted == pytest.approx(shift + math.log(4), rel=1e-12)
    assert corrected(1.25, shift) == 1.25 - shift


def test_rows_as_they_were_are_not_corrected(tmp_path: Path) -> None:
    """To the last bit, and model.json has nothing to tell."""
    model = Pool(halves(drawn(2000)), tmp_path).train().model
    assert model.sampling is None
    assert model.provenance["resample"] == "none"
    assert json.loads(model.to_json())["format_version"] == 2


def test_a_sample_of_the_negatives_leads_to_the_model_of_all_rows(tmp_path: Path) -> None:
    """Slopes and the corrected intercept are those of scikit-learn's fit on the rows before."""
    before, kept, result = sampled(tmp_path)
    X, y = before
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(X, y)
    expected = np.append(reference.coef_[0], reference.intercept_)
    np.testing.assert_allclose(natural(result), expected, atol=0.06)  # three standard errors
    sampling = result.model.sampling
    assert sampling is not None
    positives, negatives = (sum(int((y == k).sum()) for _, y in kept) for k in (1, 0))
    odds = y.sum() / (1 - y).sum()
    shift = math.log(positives / negatives / odds)
    assert sampling["trained_intercept"] - result.model.intercept == pytest.approx(shift, rel=1e-12)
    assert shift > 2
    assert sampling["original"] == {"rows": len(y), "positives": int(y.sum())}
    assert sampling["trained"] == {"rows": positives + negatives, "positives": positives}
    assert sampling["clients"] == {"c0": "smote", "c1": "smote"}


def test_class_weights_lead_to_the_model_of_unweighted_rows(tmp_path: Path) -> None:
    """Within their larger error; the shift is the logarithm of the weights' ratio."""
    parts = halves(drawn())
    even, balanced = (
        Pool(parts, tmp_path).train(penalty="none", balanced=balanced) for balanced in (False, True)
    )
    np.testing.assert_allclose(natural(balanced), natural(even), atol=0.1)
    sampling = balanced.model.sampling
    assert sampling is not None
    negative, positive = sampling["class_weight"]
    shift = sampling["trained_intercept"] - balanced.model.intercept
    assert shift == pytest.approx(math.log(positive / negative), rel=1e-12)
    assert (sampling["resample"], sampling["original"]) == ("balanced", sampling["trained"])


# Everywhere the same model ----------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"balanced": True}])
def test_the_last_round_has_the_final_models_figures(settings: dict[str, Any], tmp_path: Path) -> None:
    """The server's rounds, what clients measure and what they keep are of the corrected model."""
    before, kept, result = sampled(tmp_path, **settings)
    X, y = before
    scores = result.model.predict_proba(X)
    assert result.rounds[-1].server["log_loss"] == pytest.approx(log_loss(y, scores), rel=1e-9)
    own_X, own_y = kept[0]
    own = brier_score_loss(own_y, result.model.predict_proba(own_X))
    assert result.at_clients["c0"]["brier"] == pytest.approx(own, rel=1e-9)
    mine = joblib.load(tmp_path / "c0" / "model.joblib")
    frame = pd.DataFrame(X, columns=["x0", "x1", "x2"])
    np.testing.assert_allclose(mine.predict_proba(frame)[:, 1], scores, rtol=1e-9)


@pytest.mark.parametrize("strategy", ["fedavg", "fednewton"])
@pytest.mark.parametrize("resample", ["none", "smote", "balanced"])
def test_probabilities_add_up_to_the_positives(resample: Any, strategy: str, tmp_path: Path) -> None:
    """The mean score of the server's rows is within 5 % of their prevalence, and so are the yardsticks'."""
    X, y = drawn(24_000, rarity=2.5)
    source = tmp_path / "rows.csv"
    pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y).to_csv(source, index=False)
    how = PreparationSettings(label="y", resample=resample, test_share=0.2)
    manifest = prepare(source, tmp_path / "data", how)
    settings = TrainingSettings(strategy=strategy, balanced=resample == "balanced")
    result, test = train_prepared(tmp_path / "data", manifest, settings)
    prevalence = test.y.mean()
    assert result.model.score(test).mean() == pytest.approx(prevalence, rel=0.05)

    train, validation = (
        {
            name: read_prepared(tmp_path / "data" / name / f"{part}.csv", label="y")
            for name in manifest.clients
        }
        for part in PARTS
    )
    run = RunSettings(training=settings, started=dt.datetime.now(dt.UTC))
    scores = compare(result, test, train, validation, run, manifest)
    assert np.mean(np.asarray(scores.pooled)) == pytest.approx(prevalence, rel=0.05)
    for alone in scores.local.values():
        assert np.mean(np.asarray(alone)) == pytest.approx(prevalence, rel=0.15)  # of a third of the rows


def test_the_manifest_tells_what_clients_of_an_older_folder_do_not_know(tmp_path: Path) -> None:
    """Without preparation.json the rows of a run on one machine are corrected for all the same."""
    X, y = drawn(2000, rarity=2.5)
    source = tmp_path / "rows.csv"
    pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=y).to_csv(source, index=False)
    manifest = prepare(source, tmp_path / "data", PreparationSettings(label="y", resample="smote"))
    settings = TrainingSettings(strategy="fednewton")
    told, _ = train_prepared(tmp_path / "data", manifest, settings)
    for path in (tmp_path / "data").rglob("preparation.json"):
        path.unlink()
    known, _ = train_prepared(tmp_path / "data", manifest, settings)
    assert known.model.to_json() == told.model.to_json()
    assert known.model.provenance["resample"] == "smote"
    assert known.notes == told.notes


def train_prepared(folder: Path, manifest: Manifest, settings: TrainingSettings) -> tuple[Federated, Table]:
    """Train with what data preparation wrote, in this process."""
    names = list(manifest.clients)
    answers = []
    for name in names:
        train, validation = (utils.load_table(folder / name / f"{part}.csv", "y") for part in PARTS)
        task = utils.Task(
            name=name,
            label="y",
            train=train,
            validation=validation,
            max_iter=10,
            model_dir=folder / name / "model",
        )
        app = client.create_app(task, preparation.read(folder / name))
        context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
        answers.append(link.Answer(app, context, Ledger(io.StringIO())))
    test = read_prepared(folder / "server" / "test.csv", label="y")
    grid, name_of = FakeGrid(answers, {}), dict(enumerate(names, 2)).__getitem__
    result = federate(
        grid,
        settings,
        test,
        name_of=name_of,
        observer=Notes(),
        provenance={},
        prepared=Prepared.of(manifest, None),
    )
    return result, test


# What is told, and what is not known ------------------------------------------------------------------------


def mixed(
    tmp_path: Path, prepared: Sequence[Preparation | None], parts: Sequence[Rows], **settings: Any
) -> Federated:
    """Train clients that were prepared in different ways."""
    return Pool(parts, tmp_path, prepared=prepared).train(**settings)


def test_clients_that_were_prepared_differently_are_told_not_refused(tmp_path: Path) -> None:
    """The pooled counts correct the intercept, and the note says that this is an approximation then."""
    parts = halves(drawn(4000))
    kept = [fewer_negatives(parts[0]), parts[1]]
    result = mixed(tmp_path, [told(parts[0], "smote"), told(parts[1])], kept)
    (note,) = [line for line in result.notes if "resampled" in line]
    rows, positives = (sum(part[1].size for part in kept), sum(int(part[1].sum()) for part in kept))
    assert note.startswith(f"rows were resampled (smote) at c0: clients train on {rows:,} rows ({positives}")
    assert "approximately: the other clients' rows are as they were" in note
    sampling = result.model.sampling
    assert sampling is not None
    assert sampling["clients"] == {"c0": "smote", "c1": "none"}
    assert result.model.intercept < sampling["trained_intercept"] - 0.3


def test_a_clients_own_intercept_is_corrected_by_its_own_rows(tmp_path: Path) -> None:
    """Where one client alone was resampled, both intercepts are those of scikit-learn's fit before it."""
    parts = halves(drawn())
    kept = [fewer_negatives(parts[0]), parts[1]]
    pool = Pool(kept, tmp_path, prepared=[told(parts[0], "smote"), told(parts[1])])
    model = pool.train(penalty="none", site_intercepts=True).model
    X = np.concatenate([model.preprocessing.apply(part[0]) for part in parts])
    marks = np.repeat(np.eye(2), [len(part[1]) for part in parts], axis=0)
    reference = LogisticRegression(C=np.inf, tol=1e-10, fit_intercept=False)
    reference.fit(np.column_stack([X, marks]), np.concatenate([part[1] for part in parts]))
    assert model.site_intercepts is not None
    own = list(model.site_intercepts.values())
    np.testing.assert_allclose(own, reference.coef_[0, -2:], atol=0.06)
    assert model.intercept == pytest.approx(np.mean(own), rel=1e-12)
    mine = joblib.load(tmp_path / "c1" / "model.joblib")
    frame = pd.DataFrame(parts[1][0], columns=["x0", "x1", "x2"])
    assert mine.predict_proba(frame)[:, 1].mean() == pytest.approx(parts[1][1].mean(), rel=0.01)


def test_where_one_client_does_not_know_nothing_is_corrected(tmp_path: Path) -> None:
    """Neither is the other client's share known then: the model and a note say so."""
    parts = halves(drawn(4000))
    result = mixed(
        tmp_path, [told(parts[0], "smote"), None], [fewer_negatives(parts[0]), fewer_negatives(parts[1])]
    )
    sampling = result.model.sampling
    assert sampling is not None
    assert (sampling["resample"], sampling["original"]) == ("unknown", None)
    assert sampling["clients"] == {"c0": "smote", "c1": "unknown"}
    assert sampling["trained_intercept"] == result.model.intercept
    (note,) = [line for line in result.notes if "unknown" in line]
    assert note.startswith("how the rows were prepared is unknown at c1, and were resampled (smote) at c0:")
    assert "publish them again" in note


def test_weights_are_corrected_whatever_is_known_of_the_rows(tmp_path: Path) -> None:
    """The server gives them, so it knows them."""
    parts = halves(drawn(4000))
    result = mixed(tmp_path, [None, None], parts, balanced=True)
    sampling = result.model.sampling
    assert sampling is not None
    negative, positive = sampling["class_weight"]
    shift = math.log(positive / negative)
    assert sampling["trained_intercept"] - result.model.intercept == pytest.approx(shift)
    assert sampling["resample"] == "unknown"


def test_rows_prepared_for_weights_that_are_not_given_are_told(tmp_path: Path) -> None:
    """On AWS the server decides, and the clients' operators may have meant it otherwise."""
    parts = halves(drawn(2000))
    result = mixed(tmp_path, [told(part, "balanced") for part in parts], parts)
    (note,) = [line for line in result.notes if "balanced" in line]
    assert "c0 and c1, and this run gives none: --balanced does." in note
    assert result.model.provenance["resample"] == "none"


def test_many_clients_are_counted_not_listed(tmp_path: Path) -> None:
    """A note stays a line."""
    X, y = drawn(2000)
    parts = [(X[i::8], y[i::8]) for i in range(8)]
    result = mixed(tmp_path, [None] * 8, parts, rounds=1)
    assert any("at c0, c1, c2, c3, c4 and 3 more:" in line for line in result.notes)


def test_made_up_rows_are_told_in_the_model(tmp_path: Path) -> None:
    """One client with synthetic rows is enough."""
    parts = halves(drawn(2000))
    prepared = [told(parts[0], synthetic=True), told(parts[1])]
    assert mixed(tmp_path, prepared, parts).model.provenance["synthetic"] is True


def test_what_is_told_of_resampling_is_kept_in_the_model(tmp_path: Path) -> None:
    """model.json gives it back."""
    *_, result = sampled(tmp_path)
    again = type(result.model).from_json(result.model.to_json())
    assert again.sampling == result.model.sampling
    assert again.to_json() == result.model.to_json()
