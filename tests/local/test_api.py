"""From Python the same federation as from the command line: same model, same figures, same errors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flwr.serverapp.strategy import FedAvg

import federation
from federation.errors import (
    DataError,
    LabelError,
    MissingFileError,
    SchemaMismatchError,
    SettingError,
    UnknownStrategyError,
)
from tests.local.processes import ROOT, environment


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Return rows with numbers, words and gaps, and an index of their own."""
    rng = np.random.default_rng(0)
    n = 400
    x = rng.normal(size=n)
    ward = rng.choice(["east", "north", "west"], n)
    ill = (rng.random(n) < 1 / (1 + np.exp(-(x + (ward == "west"))))).astype(int)
    age = np.where(rng.random(n) < 0.1, np.nan, rng.integers(20, 90, n))
    return pd.DataFrame({"ill": ill, "x": x, "ward": ward, "age": age}, index=[f"p{i}" for i in range(n)])


@pytest.fixture(scope="module")
def run(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> federation.Run:
    """Train once, as a notebook would."""
    out = tmp_path_factory.mktemp("api") / "run"
    return federation.train(frame, label="ill", strategy="fednewton", clients=2, out=out, progress=False)


def test_the_public_names_are_these() -> None:
    """Nothing else is promised, and everything promised is there."""
    assert federation.__all__ == ["FederationError", "Model", "Run", "__version__", "strategies", "train"]
    assert dir(federation) == federation.__all__
    assert all(getattr(federation, name) for name in federation.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        federation.trian  # noqa: B018


def test_importing_loads_no_library() -> None:
    """`import federation` answers at once; Flower and scikit-learn load when they are needed."""
    code = "import sys, federation; print({'flwr', 'sklearn', 'pandas', 'boto3'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "set()\n"


def test_a_frame_trains_the_model_that_its_csv_trains(
    frame: pd.DataFrame, run: federation.Run, tmp_path: Path
) -> None:
    """Coefficients are equal bit for bit."""
    frame.to_csv(tmp_path / "rows.csv", index=False)
    command = [sys.executable, "-m", "federation.local", "--data", "rows.csv", "--label", "ill"]
    how = ["--strategy", "fednewton", "--clients", "2", "--out", "cli"]
    subprocess.run([*command, *how], cwd=tmp_path, env=environment() | {"PYTHONPATH": str(ROOT)}, check=True)
    ours, theirs = (
        json.loads((folder / "model.json").read_text()) for folder in (run.folder, tmp_path / "cli")
    )
    assert ours["features"] == theirs["features"]
    assert ours["intercept"] == theirs["intercept"]


def test_the_figures_are_those_of_the_files(run: federation.Run) -> None:
    """Metrics, rounds and egress as frames, the report as a page."""
    figures = json.loads((run.folder / "metrics.json").read_text())
    assert list(run.metrics.columns) == ["federated", "pooled", "client-1", "client-2"]
    assert run.metrics.loc["roc_auc", "federated"] == figures["federated"]["roc_auc"]
    assert run.rounds.index[0] == 0
    assert run.rounds["roc_auc"].iloc[-1] == figures["federated"]["roc_auc"]
    sent = run.egress
    assert set(sent["client"]) == {"client-1", "client-2"}
    ledgers = [path.read_text() for path in run.folder.glob("clients/*/ledger.jsonl")]
    assert len(sent) == sum(text.count("\n") for text in ledgers)
    assert (sent["sha256"].str.len() == 64).all()
    assert run.settings["strategy"] == "fednewton"
    assert "<iframe" in run._repr_html_()


def test_a_loaded_run_is_the_same(run: federation.Run) -> None:
    """`Run.load` needs only the folder."""
    loaded = federation.Run.load(str(run.folder))
    pd.testing.assert_frame_equal(loaded.metrics, run.metrics)
    assert loaded.report == run.report
    assert loaded.report.exists()


def test_the_model_scores_frames_and_files_alike(
    frame: pd.DataFrame, run: federation.Run, tmp_path: Path
) -> None:
    """With the frame's index; equal to scikit-learn's pipeline to rounding."""
    model = federation.Model.load(run.folder)
    scores = model.predict_proba(frame)
    assert list(scores.index) == list(frame.index)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    assert (model.predict_proba(tmp_path / "rows.csv").to_numpy() == scores.to_numpy()).all()
    pipeline = model.to_sklearn().predict_proba(frame)[:, 1]
    np.testing.assert_allclose(scores, pipeline, rtol=1e-12)
    assert model.predict_proba(frame.iloc[:0]).empty


def test_penalised_coefficients_come_without_tests(run: federation.Run) -> None:
    """One row a feature; fednewton's have odds ratios, and under an l2 penalty no error, test or interval."""
    table = run.model.coefficients
    assert {"coefficient", "scale", "odds_ratio"} <= set(table.columns)
    assert not {"standard_error", "z", "p", "low", "high"} & set(table.columns)
    np.testing.assert_allclose(table["odds_ratio"], np.exp(table["coefficient"]))
    assert run.model.label == "ill"


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"label": "sick"}, LabelError),
        ({"label": "ill", "strategy": "fedawg"}, UnknownStrategyError),
        ({"label": "ill", "penalty": "l1"}, SettingError),
        ({"label": "ill", "quorum": 9}, SettingError),
        ({"label": "ill", "roundz": 9}, SettingError),
        ({}, SettingError),
    ],
)
def test_mistakes_are_the_commands_errors(
    frame: pd.DataFrame, tmp_path: Path, how: dict[str, Any], error: type[federation.FederationError]
) -> None:
    """As exceptions with an exit code and a remedy; nothing is left behind."""
    with pytest.raises(error) as caught:
        federation.train(frame, **how, out=tmp_path / "run", progress=False)
    assert caught.value.exit_code == error.exit_code
    assert caught.value.remedy
    assert not (tmp_path / "run").exists()


def test_a_frame_without_rows_is_refused(frame: pd.DataFrame) -> None:
    """Before anything starts."""
    with pytest.raises(DataError, match="the frame has no rows"):
        federation.train(frame.iloc[:0], label="ill")


def test_a_missing_column_is_named(frame: pd.DataFrame, run: federation.Run) -> None:
    """The message speaks of the frame, not of a file nobody knows."""
    with pytest.raises(SchemaMismatchError, match="the frame: 1 columns are missing: age"):
        run.model.predict_proba(frame.drop(columns="age"))


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    """It names the folder."""
    with pytest.raises(MissingFileError, match="no run has ended in this folder"):
        federation.Run.load(tmp_path)


class Halved(FedAvg):
    """A strategy of a user's own, whose constructor hands most of its arguments on."""

    def __init__(self, *, half: float = 0.5, **how: Any) -> None:
        super().__init__(**how)
        self.half = half


def test_a_registered_strategy_is_chosen_by_name(
    frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trains; a name that is taken, or a type that is no strategy, is refused."""
    monkeypatch.setitem(federation.strategies.STRATEGIES, "halved", Halved)  # so that it is gone afterwards
    federation.strategies.register("halved", Halved)
    run = federation.train(
        frame,
        label="ill",
        clients=2,
        strategy="halved",
        parameters={"half": 0.3, "min_train_nodes": 2},
        rounds=1,
        out=tmp_path / "run",
        progress=False,
    )
    assert run.settings["strategy"] == "halved"
    with pytest.raises(SettingError, match='strategy "fedavg" already'):
        federation.strategies.register("fedavg", Halved)
    with pytest.raises(SettingError, match="is no subclass"):
        federation.strategies.register("mine", dict)  # type: ignore[arg-type]


def test_a_run_of_the_api_can_be_resumed_by_the_command(run: federation.Run) -> None:
    """It keeps the options that the command would keep."""
    kept = json.loads((run.folder / "checkpoint" / "settings.json").read_text())
    assert kept["strategy"] == "fednewton"
    assert kept["clients"] == 2
