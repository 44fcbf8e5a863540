"""A run keeps identical rows, leaves out what it cannot use, and says so wherever it speaks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import federation
from tests.local.processes import ROOT, environment
from tests.unit.test_copies import few_combinations

ID = "whole numbers, all different: an identifier"
CONSTANT = "every training row holds the same value"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Return few combinations, dates and a constant."""
    table = few_combinations(rows=2_000)
    admitted = np.random.default_rng(0).permutation(["2024-03-01", "2024-04-01"] * 1_000)
    return table.assign(admitted=admitted, currency="EUR")


@pytest.fixture(scope="module")
def run(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Train from the command line; return the run's folder and what the terminal showed."""
    folder = tmp_path_factory.mktemp("left-out")
    rows.to_csv(folder / "rows.csv", index=False)
    how = ["--strategy", "fednewton", "--penalty", "none", "--resample", "none", "--clients", "2"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "federation.local", "--data", "rows.csv", "--label", "died"),
            *(*how, "--out", "run"),
        ],
        cwd=folder,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return folder / "run", done.stderr


def test_identical_rows_are_trained_on(run: tuple[Path, str]) -> None:
    """The effect of being adult is scikit-learn's of all training rows, which are 72 % of the table's."""
    train = pd.concat(pd.read_csv(path) for path in (run[0] / "data").glob("*/train.csv"))
    assert len(train) == 1_440
    model = json.loads((run[0] / "model.json").read_text())
    adult = next(one for one in model["features"] if one["name"] == "adult")
    X = np.column_stack(
        [train["sex"] == "m", train["adult"], train["class"] == "2nd", train["class"] == "3rd"]
    )
    theirs = LogisticRegression(C=np.inf, max_iter=1_000, tol=1e-10).fit(X, train["died"]).coef_[0]
    assert adult["coefficient"] / adult["scale"] == pytest.approx(theirs[1], rel=1e-5)
    assert theirs[1] == pytest.approx(0.8, abs=0.6)


def test_it_is_told_everywhere(run: tuple[Path, str]) -> None:
    """On the terminal, in the report, in metrics.json, run.json and model.json."""
    folder, shown = run
    metrics, facts, model = (
        json.loads((folder / name).read_text()) for name in ("metrics.json", "run.json", "model.json")
    )
    reasons = metrics["left_out"]
    assert reasons == model["left_out"] == facts["left_out"]
    assert reasons["admitted"].startswith("100 % of its values look like dates (year, month, day)")
    assert reasons["currency"] == CONSTANT
    assert set(reasons) == {"admitted", "currency", "ward"}
    assert metrics["duplicates"]["found"] > 1_900
    assert metrics["duplicates"]["dropped"] == 0
    page = (folder / "report.html").read_text()
    for told in ("look like dates (year, month, day)", "kept, and divided at random", CONSTANT[1:]):
        assert told in shown
        assert told in page
    assert facts["columns"] == 3
    assert "on 3 columns" in page


def test_options_reach_the_preparation_from_python(rows: pd.DataFrame, tmp_path: Path) -> None:
    """An identifier that is kept is a feature; what is dropped is counted."""
    rows = pd.concat([rows.assign(id=np.arange(2_000)), rows.assign(id=np.arange(2_000))[:7]])
    how = {"label": "died", "clients": 2, "rounds": 1, "progress": False, "out": tmp_path / "run"}
    run = federation.train(rows, drop_duplicates=True, keep=["id"], ignore=["sex"], **how)  # type: ignore[arg-type]
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["duplicates"] == {"found": 7, "dropped": 7}
    assert metrics["left_out"]["sex"] == "ignored, as asked"
    assert "id" in run.model.coefficients.index
    assert "7 of 2,007 rows are identical" in run.report.read_text()


def test_a_run_remembers_how_cells_were_written(rows: pd.DataFrame, tmp_path: Path) -> None:
    """Its model scores the raw table as the plain one; and the file names no other word than was told."""
    cost = np.random.default_rng(0).lognormal(8, 1, len(rows)).round(2)
    plain = rows.assign(cost=cost, visits=np.where(np.arange(len(rows)) % 7, cost // 100, np.nan))
    raw = plain.assign(
        cost=[f"${one:,.2f}" for one in cost], visits=plain["visits"].map(str).replace("nan", "too few")
    )
    raw.to_csv(tmp_path / "rows.csv", index=False)
    how = {"label": "died", "clients": 2, "rounds": 1, "progress": False, "out": tmp_path / "run"}
    run = federation.train(tmp_path / "rows.csv", missing=["too few"], **how)  # type: ignore[arg-type]
    written = json.loads((run.folder / "model.json").read_text())["written"]
    assert written["missing"] == ["too few"]
    assert set(written["numbers"]) == {"cost"}
    expected = run.model.predict_proba(plain).tolist()
    assert run.model.predict_proba(tmp_path / "rows.csv").tolist() == expected
    assert run.model.predict_proba(raw).tolist() == expected
