"""A table nobody prepared trains with the commands of the how-to."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from tests.local.processes import ROOT, Command
from tests.unit.awkward_files import ROWS, write_all

PAGE = ROOT / "docs" / "how-to-use-your-own-data.md"


def claims(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """Return claims with words, gaps, an identifier, a constant, and something to learn."""
    rng = np.random.default_rng(seed)
    amount, region = rng.lognormal(7, 1.2, rows).round(2), rng.choice(["north", "south", "west"], rows)
    urgent = rng.choice(["true", "false", ""], rows, p=[0.3, 0.6, 0.1])
    z = np.log(amount) - 8 + (region == "south") * 1.5 + (urgent == "true")
    return pd.DataFrame(
        {
            "claim": [f"C-{i:06d}" for i in range(rows)],
            "amount": amount,
            "region": region,
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(18, 90, rows)),
            "urgent": urgent,
            "currency": "EUR",
            "fraud": (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(int),
        }
    )


def commands() -> list[list[str]]:
    """Return the page's commands."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def run(command: list[str], folder: Path) -> str:
    """Run a command of ours in a folder; return what it printed."""
    assert command[0] == "python"
    done = subprocess.run(
        [sys.executable, *command[1:]],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run every command of the page, in its order, on a table nobody prepared."""
    folder = tmp_path_factory.mktemp("own")
    claims().to_csv(folder / "claims.csv", index=False)
    claims(50, seed=1).drop(columns="fraud").to_csv(folder / "new.csv", index=False)
    for number, command in enumerate(commands()):
        run([*command, *(["--out", "runs/first"] if number == 0 else [])], folder)
    return folder


def test_one_command_trains_on_a_table_nobody_prepared(folder: Path) -> None:
    """The model learns from words, gaps and numbers, beats chance, and leaves out what says nothing."""
    model = json.loads((folder / "runs/first/model.json").read_text())
    names = [feature["name"] for feature in model["features"]]
    assert [name for name in names if not name.startswith("region")] == [
        "amount", "age", "age is missing", "urgent", "urgent is missing",
    ]  # fmt: skip
    assert len([name for name in names if name.startswith("region = ")]) == 2  # the third follows
    metrics = json.loads((folder / "runs/first/metrics.json").read_text())
    assert metrics["federated"]["roc_auc"] > 0.65
    assert abs(metrics["federated"]["roc_auc"] - metrics["pooled"]["roc_auc"]) < 0.05


def test_new_rows_are_scored_raw(folder: Path) -> None:
    """model.json and model.joblib take words and gaps, and agree."""
    scores = pd.read_csv(folder / "scores.csv")["score"]
    theirs = joblib.load(folder / "runs/first/model.joblib").predict_proba(pd.read_csv(folder / "new.csv"))
    np.testing.assert_allclose(scores, theirs[:, 1], rtol=0, atol=1e-12)


def test_the_contract_travels_with_the_prepared_files(folder: Path) -> None:
    """Every party has the same one."""
    contracts = {path.read_text() for path in (folder / "prepared").glob("*/contract.json")}
    assert len(contracts) == 1
    assert json.loads(contracts.pop())["columns"]["claim"]["type"] == "ignored"


def test_no_identifier_leaves_a_client(folder: Path) -> None:
    """Neither logs, ledgers nor the model name a value that one row holds."""
    for path in (folder / "runs/first").rglob("*"):
        if path.suffix in (".log", ".jsonl", ".json", ".html") and "data" not in path.parts:
            assert "C-0000" not in path.read_text(encoding="utf-8"), path


def test_a_client_that_breaks_the_contract_is_left_out_and_the_others_train(
    folder: Path, tmp_path: Path
) -> None:
    """It sends nothing, its log says which column; with a quorum the others are not disturbed."""
    data = tmp_path / "prepared"
    shutil.copytree(folder / "prepared", data)
    train = data / "client-2" / "train.csv"
    rows = pd.read_csv(train)
    rows.loc[[4, 7], "region"] = None
    rows.to_csv(train, index=False)
    options = ["--data", str(data), "--quorum", "2", "--min-clients", "2", "--out", str(tmp_path / "run")]
    run(["python", "-m", "federation.local", *options], tmp_path)
    log = (tmp_path / "run/clients/client-2/client.log").read_text()
    assert 'train.csv breaks the contract: column "region" lacks 2 of' in log
    assert not (tmp_path / "run/clients/client-2/ledger.jsonl").exists()
    assert (tmp_path / "run/model.json").exists()


def test_a_folder_of_awkward_files_trains_and_says_how_it_was_read(tmp_path: Path, local: Command) -> None:
    """Also where a client has no value of a column: the file, the client and a remedy are named."""
    write_all(tmp_path / "clinic=a")
    for clinic, cost in (("b", "12.5"), ("c", "")):
        rows = "".join(f"{row % 2},{row},{cost},north\n" for row in range(ROWS))
        (tmp_path / f"clinic={clinic}").mkdir()
        (tmp_path / f"clinic={clinic}" / f"{clinic}.csv").write_text(f"y,age,cost,ward\n{rows}")
    options = ("--label", "y", "--partition", "column:clinic", "--rounds", 2, "--out", tmp_path / "run")
    process = local("--data", tmp_path, *options)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert '"cost": no value in any row of c.csv (60 rows). Check the export, or leave the column out' in said
    assert re.search(r'client "c": none of its \d+ training rows has a value of "cost", which other', said)
    assert "mar.tsv: read with tabs between values" in said
    assert "not read, as the name is not that of a table: clinic=a/notes.docx." in said
    model = json.loads((tmp_path / "run/model.json").read_text())
    assert {"age", "cost", "cost is missing"} <= {feature["name"] for feature in model["features"]}
