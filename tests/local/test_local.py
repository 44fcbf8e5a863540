"""``python -m federation.local``: real processes, real TLS, real files."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from federation.cli.command import run as run_command
from federation.data.synthetic import LABEL
from federation.local import main
from tests.local.processes import ROOT, Command, clients_of, environment


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finish a run with the defaults: three clients, synthetic data."""
    out = tmp_path_factory.mktemp("runs") / "run"
    subprocess.run(
        [sys.executable, "-m", "federation.local", "--out", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return out


def _json(path: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(path.read_text())
    return parsed


def test_the_run_folder_holds_all_that_is_promised(run: Path) -> None:
    """Model, figures and report of the run; model, ledger and log of every client."""
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    of_run = {"model.joblib", "model.json", "metrics.json", "rounds.jsonl", "run.json", "report.html"}
    of_clients = {
        f"clients/site-{i}/{file}"
        for i in (1, 2, 3)
        for file in ("model.tar.gz", "ledger.jsonl", "client.log")
    }
    assert of_run | of_clients <= names


def test_figures_stand_beside_their_yardsticks(run: Path) -> None:
    """metrics.json has the same figures for the federated, the pooled and every local-only model."""
    metrics = json.loads((run / "metrics.json").read_text())
    keys = {
        "roc_auc", "average_precision", "recall_at_1_percent", "recall_at_5_percent",
        "log_loss", "brier", "accuracy", "confusion_matrix",
    }  # fmt: skip
    assert set(metrics["local"]) == {"site-1", "site-2", "site-3"}
    assert all(keys <= set(m) for m in (metrics["federated"], metrics["pooled"], *metrics["local"].values()))


def test_the_federated_model_is_better_than_clients_alone(run: Path) -> None:
    """On the synthetic data, training together beats the mean of training alone."""
    metrics = json.loads((run / "metrics.json").read_text())
    alone = np.mean([m["roc_auc"] for m in metrics["local"].values()])
    assert metrics["federated"]["roc_auc"] > alone


def test_synthetic_data_are_called_synthetic_everywhere(run: Path) -> None:
    """Nobody mistakes the demonstration for a finding."""
    assert _json(run / "model.json")["provenance"]["synthetic"] is True
    assert _json(run / "metrics.json")["synthetic"] is True
    assert _json(run / "run.json")["synthetic"] is True
    assert _json(run / "data" / "manifest.json")["synthetic"] is True
    assert "synthetic" in (run / "report.html").read_text().lower()


def test_every_client_holds_the_same_model_as_the_server(run: Path) -> None:
    """A client's own model.joblib scores raw rows as the server's does."""
    rows = pd.read_csv(run / "data" / "server" / "test.csv")
    expected = joblib.load(run / "model.joblib").predict_proba(rows)
    for archive in (run / "clients").glob("*/model.tar.gz"):
        with tarfile.open(archive) as tar, tar.extractfile("model.joblib") as file:  # type: ignore[union-attr]
            np.testing.assert_allclose(joblib.load(file).predict_proba(rows), expected, rtol=0, atol=1e-12)


def test_predict_scores_like_the_pipeline(run: Path, tmp_path: Path) -> None:
    """Scores from model.json alone equal those of the pickled pipeline."""
    rows, scores = run / "data" / "server" / "test.csv", tmp_path / "scores.csv"
    command = ["-m", "federation.predict", "--model", run / "model.json", "--input", rows, "--out", scores]
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True, capture_output=True)
    pipeline = joblib.load(run / "model.joblib").predict_proba(pd.read_csv(rows))[:, 1]
    np.testing.assert_allclose(pd.read_csv(scores).iloc[:, -1], pipeline, rtol=0, atol=1e-12)


def test_what_a_client_sends_does_not_grow_with_its_rows(
    run: Path, local: Command, tmp_path: Path, finish: Callable[..., str]
) -> None:
    """With the same columns and fewer rows, every message has the same size, give or take a digit."""
    small = tmp_path / "small"
    for source in (run / "data").rglob("*"):
        target = small / source.relative_to(run / "data")
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".csv":
            pd.read_csv(source).groupby("fraudulent_provider").head(60).to_csv(target, index=False)
        elif source.is_file():
            target.write_bytes(source.read_bytes())
    for path in small.glob("site-*/preparation.json"):
        label = pd.read_csv(path.with_name("train.csv"))["fraudulent_provider"]
        counts = {"rows": len(label), "positives": int(label.sum())}
        path.write_text(json.dumps(_json(path) | counts), encoding="utf-8")
    finish(local("--data", small, "--out", tmp_path / "less"))

    def sizes(out: Path) -> list[tuple[str, int]]:
        lines = (out / "clients" / "site-1" / "ledger.jsonl").read_text().splitlines()
        return [(line["kind"], line["bytes"]) for line in map(json.loads, lines)]

    more, less = sizes(run), sizes(tmp_path / "less")
    assert [kind for kind, _ in more] == [kind for kind, _ in less]
    assert all(abs(a - b) <= 8 for (_, a), (_, b) in zip(more, less, strict=True))


def test_the_same_seed_gives_the_same_model(
    run: Path, local: Command, tmp_path: Path, finish: Callable[..., str]
) -> None:
    """Whatever order clients answer in, the coefficients agree to the last bit."""
    finish(local("--out", tmp_path / "again"))
    first, second = _json(run / "model.json"), _json(tmp_path / "again" / "model.json")
    assert first["features"] == second["features"]
    assert first["intercept"] == second["intercept"]


def test_three_clients_on_the_real_data(
    cms: Path, local: Command, tmp_path: Path, finish: Callable[..., str]
) -> None:
    """On the article's data, cut by claim volume, the federated model ranks well and beats clients alone."""
    options = (
        "--data",
        cms,
        "--label",
        "fraudulent_provider",
        "--partition",
        "quantile:total_claim_count_sum",
    )
    finish(local(*options, "--out", tmp_path / "run"))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    alone = np.mean([m["roc_auc"] for m in metrics["local"].values()])
    assert metrics["federated"]["roc_auc"] > max(0.8, float(alone))
    assert clients_of(tmp_path) == []


def test_newton_finds_the_pooled_optimum_over_real_processes(
    cms: Path, local: Command, tmp_path: Path, finish: Callable[..., str]
) -> None:
    """It stops by itself, equals scikit-learn on the pooled rows to 1e-8, and says why no test is valid."""
    options = ("--data", cms, "--label", "fraudulent_provider", "--resample", "none")
    process = local(
        *options,
        "--strategy",
        "fednewton",
        "--partition",
        "quantile:total_claim_count_sum",
        "--out",
        tmp_path / "run",
    )
    finish(process)
    run = tmp_path / "run"
    model = json.loads((run / "model.json").read_text())
    files = [pd.read_csv(path) for path in sorted((run / "data").glob("client-*/train.csv"))]
    assert len(files) == 3
    rows = pd.concat(files)
    pipeline = joblib.load(run / "model.joblib")
    Z = pipeline[:-1].transform(rows)
    pooled = LogisticRegression(solver="newton-cholesky", tol=1e-14, max_iter=1000)
    pooled.fit(Z, rows["fraudulent_provider"])
    reference = np.append(pooled.coef_[0], pooled.intercept_)
    ours = np.append(pipeline[-1].coef_[0], pipeline[-1].intercept_)
    assert np.linalg.norm(ours - reference) <= 1e-8 * np.linalg.norm(reference)
    ran = _json(run / "run.json")
    assert ran["rounds"] == model["provenance"]["rounds"] <= 8
    assert ran["conclusion"].startswith(f"converged after {ran['rounds']} rounds")
    report = (run / "report.html").read_text()
    assert "<b>No tests and no intervals</b>: under an l2 penalty" in report
    assert "Every coefficient, with its interval" not in report
    assert {"penalty": "l2", "c": 1.0}.items() <= ran["parameters"].items()
    assert len(model["inference"]["features"]) == 49


@pytest.mark.parametrize(
    ("options", "exit_code", "words"),
    [
        (("--data", "absent.csv", "--label", "y"), 11, "absent.csv"),
        (("--data", "TEXT", "--label", "y"), 13, '"b"'),
        (("--data", "TEXT", "--label", "z"), 12, '"z"'),
        (("--data", "TEXT"), 20, "--label"),
        (("--strategy", "fedfoo"), 21, "fedavg"),
        (("--param", "momentum=1"), 20, '"momentum"'),
        (("--quorum", "4"), 20, "quorum of 4"),
        (("--c", "0"), 20, "above 0"),
        (("--c", "2", "--penalty", "none"), 20, "--penalty l2"),
        (("--penalty", "firth"), 20, "--strategy fednewton"),
        (("--clients", "2000"), 20, "2000"),
    ],
)
def test_a_mistake_ends_with_its_own_exit_code_and_leaves_nothing(
    options: tuple[str, ...], exit_code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names the thing; there is no traceback and no half-written run."""
    table = tmp_path / "table.csv"
    table.write_text("a,b,y\n1,2,0\n3,x,1\n")
    given = [str(table) if option == "TEXT" else option for option in options]
    with pytest.raises(SystemExit) as ended:
        run_command(main, [*given, "--out", str(tmp_path / "run")])
    stderr = capsys.readouterr().err
    assert ended.value.code == exit_code, stderr
    assert words in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
    assert not (tmp_path / "run").exists()


def test_a_run_folder_is_never_overwritten(run: Path, local: Command) -> None:
    """A second run into the same folder is refused in one line, and the first stays whole."""
    before = (run / "model.json").read_bytes()
    process = local("--out", run)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 22
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    assert (run / "model.json").read_bytes() == before


def test_repeated_runs_are_summarised(
    local: Callable[..., subprocess.Popen[str]], finish: Callable[..., str], tmp_path: Path
) -> None:
    """Each seed is a complete run in a folder of its own; the summary is about exactly these."""
    out = tmp_path / "runs"
    printed = finish(local("--out", out, "--repeat", 2, "--seed", 7, "--rounds", 1, "--json"))
    summary = json.loads(printed)
    assert summary == _json(out / "summary.json")
    each = [_json(out / f"seed-{seed}" / "metrics.json")["federated"]["roc_auc"] for seed in (7, 8)]
    assert summary["roc_auc"] == each
    assert each[0] != each[1]
    assert summary["models"]["federated"]["roc_auc"]["mean"] == pytest.approx(np.mean(each))


def test_intervals_and_sites_stand_in_the_figures(run: Path) -> None:
    """Every metric of every model lies in its interval; each site has a row and a column."""
    metrics = _json(run / "metrics.json")
    for name in ("federated", "pooled"):
        for key, (low, high) in metrics["intervals"][name].items():
            assert low <= metrics[name][key] <= high
    sites = {"site-1", "site-2", "site-3"}
    assert set(metrics["at_clients"]["federated"]) == sites
    assert {name: set(row) for name, row in metrics["at_clients"]["local"].items()} == dict.fromkeys(
        sites, sites
    )
    for name, value in metrics["at_clients"]["federated"].items():
        model = joblib.load(run / "model.joblib")
        rows = pd.read_csv(run / "data" / name / "validation.csv")
        p = model.predict_proba(rows.drop(columns=LABEL))[:, 1]
        assert value == pytest.approx(roc_auc_score(rows[LABEL], p))


def test_a_run_begins_without_what_its_end_needs() -> None:
    """What draws the report, makes rows up or asks AWS is loaded when needed, or while clients start."""
    code = "import sys, federation.cli.progress, federation.runs.local.training\n"
    code += "print({'matplotlib', 'jinja2', 'imblearn', 'boto3', 'aws_cdk', 'duckdb'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


LIBRARY_CALL = """
import datetime as dt, sys
from pathlib import Path
from federation.cli.progress import Progress
from federation.learning.settings import TrainingSettings
from federation.data.preparation.options import choose_preparation
from federation.runs.local.training import LocalRun, train_locally

train_locally(
    LocalRun(source=None, preparation=choose_preparation(None, 0), training=TrainingSettings(rounds=1),
             out=Path(sys.argv[1]), started=dt.datetime.now(dt.UTC)),
    Progress(),
)
"""


def test_a_library_call_prints_no_log_of_flower(tmp_path: Path) -> None:
    """Its rows are the same as the command's: nothing of Flower's stands between them."""
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY_CALL, tmp_path / "run"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "1/1" in done.stderr
    assert "INFO" not in done.stderr
