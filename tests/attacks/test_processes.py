"""The same with real processes and sockets: the run ends well, and every file of it tells who lied."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from tests.faults.runs import Run

Seen = Callable[[str], None]


@pytest.mark.fault(
    "five processes, fedmedian: one tells of m2 = 1e30",
    "exit code 0, ROC-AUC within 0.03; terminal, report, model.json, metrics.json and run.json name it",
)
def test_a_liar_among_processes_is_named_in_every_file(tmp_path: Path, seen: Seen) -> None:
    """What the simulated clients show holds for the commands, too."""
    prepare(None, tmp_path / "data", PreparationSettings(label=LABEL, clients=5, partition="iid"))
    options = ["--strategy", "fedmedian"]
    faults = {"client-4": {"query.statistics": "absurd spread"}}
    runs = [
        Run(tmp_path / folder, tmp_path / "data", options, plan)
        for folder, plan in (("honest", {}), ("attacked", {"faults": faults}))
    ]
    try:
        ended = [run.finish() for run in runs]
    finally:
        for run in runs:
            run.end()
    assert [code for code, _ in ended] == [0, 0], ended
    honest, attacked = (json.loads((run.folder / "metrics.json").read_text()) for run in runs)
    assert abs(attacked["federated"]["roc_auc"] - honest["federated"]["roc_auc"]) < 0.03
    assert honest["outliers"] == {}
    assert list(attacked["outliers"]) == ["client-4"]
    found = attacked["outliers"]["client-4"]
    assert "no values have such moments" in found
    assert json.loads((runs[1].folder / "model.json").read_text())["outliers"] == {"client-4": found}
    assert f'client "client-4": {found}.' in json.loads((runs[1].folder / "run.json").read_text())["warnings"]
    assert "its mean and spread do not count" in (runs[1].folder / "report.html").read_text()
    assert "client-4" in " ".join(ended[1][1].split())
    seen(
        f"{attacked['federated']['roc_auc']:.3f}, without the lie {honest['federated']['roc_auc']:.3f}, "
        "client-4 named in all"
    )
