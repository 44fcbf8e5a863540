"""Clients that are forked, beside clients that each load their libraries: the same run, sooner."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from federation.runs.local.forked import SWITCH
from tests.faults.runs import gone
from tests.local.processes import ROOT, Command, clients_of, environment
from tests.local.test_faults import FOR_EVER, _client, _until_round


def _run(out: Path, *options: str, fork: bool) -> dict[str, Any]:
    """Finish a run; return what must not depend on how its clients were started."""
    subprocess.run(
        [sys.executable, "-m", "federation.local", "--out", out, "--seed", "4", *options],
        cwd=ROOT,
        env=environment() | ({} if fork else {SWITCH: "0"}),
        check=True,
        capture_output=True,
    )
    model = json.loads((out / "model.json").read_text())
    del model["provenance"]["trained"]
    sent = {
        path.parent.name: [(line["kind"], line["round"], line["arrays"], line["metrics"]) for line in lines]
        for path in out.glob("clients/*/ledger.jsonl")
        if (lines := [json.loads(line) for line in path.read_text().splitlines()])
    }
    return {"model": model, "sent": sent, "metrics": json.loads((out / "metrics.json").read_text())}


@pytest.mark.parametrize(
    "options",
    [("--strategy", "fedavg", "--clients", "2"), ("--strategy", "fednewton", "--penalty", "none")],
)
def test_the_model_is_the_same_however_clients_start(options: tuple[str, ...], tmp_path: Path) -> None:
    """Bit for bit, with the same metrics and the same messages."""
    forked, own = (_run(tmp_path / str(fork), *options, fork=fork) for fork in (True, False))
    assert forked == own
    assert set(forked["sent"]) == {"site-1", "site-2"} | ({"site-3"} if "--clients" not in options else set())


def test_clients_are_forked_unless_the_environment_says_otherwise(
    local: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process has forked all; without it, the run has started each."""
    run = local(*FOR_EVER, "--out", tmp_path / "forked")
    _until_round(run, 1)
    (server,) = psutil.Process(run.pid).children()
    clients = clients_of(tmp_path / "forked")
    assert {client.ppid() for client in clients} == {server.pid}
    assert {_option(client, "--client-name") for client in clients} == {"site-1", "site-2", "site-3"}
    monkeypatch.setenv(SWITCH, "0")
    run = local(*FOR_EVER, "--out", tmp_path / "own")
    _until_round(run, 1)
    assert {client.ppid() for client in clients_of(tmp_path / "own")} == {run.pid}


def _option(client: psutil.Process, name: str) -> str:
    words: list[str] = client.cmdline()
    return words[words.index(name) + 1]


def test_the_process_that_forks_is_named_when_it_dies(local: Command, tmp_path: Path) -> None:
    """No client is blamed, and nothing of the run is left."""
    run = local(*FOR_EVER, "--out", tmp_path)
    _until_round(run, 2)
    (server,) = psutil.Process(run.pid).children()
    clients = clients_of(tmp_path)
    server.kill()
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == 33, stderr
    assert "error: the process that all clients are forked from was killed by SIGKILL" in stderr
    assert gone([server, *clients])


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_run(sent: signal.Signals, local: Command, tmp_path: Path) -> None:
    """Not even kill -9 leaves a client, a frozen one neither, nor the process that forked them."""
    run = local(*FOR_EVER, "--out", tmp_path)
    _until_round(run, 2)
    everybody = psutil.Process(run.pid).children(recursive=True)
    assert len(everybody) == 4
    os.kill(_client(tmp_path, "site-1").pid, signal.SIGSTOP)
    run.send_signal(sent)
    run.communicate(timeout=60)
    _, alive = psutil.wait_procs(everybody, timeout=10)  # clients of their own Pythons have 15 s of patience
    assert alive == []


@pytest.mark.parametrize("after", [0.0, 0.5, 1.5])
def test_interrupted_while_libraries_load(after: float, local: Command, tmp_path: Path) -> None:
    """Ctrl-C is only "interrupted" at any moment, and leaves no process."""
    run = local("--out", tmp_path / "run")
    started = psutil.Process(run.pid)
    while not (children := started.children()):
        assert run.poll() is None
        time.sleep(0.01)
    time.sleep(after)
    run.send_signal(signal.SIGINT)
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in stderr
    _, alive = psutil.wait_procs(children, timeout=10)  # one that has just started looks for its parent first
    assert not alive


NOTHING_FORKS = """
import datetime as dt, sys
from pathlib import Path
from federation.cli.progress import Progress
from federation.data.preparation.options import choose_preparation
from federation.learning.settings import TrainingSettings
from federation.runs.local.forked import ForkServer
from federation.runs.local.training import LocalRun, train_locally

broken, out = map(Path, sys.argv[1:])
train_locally(
    LocalRun(source=None, preparation=choose_preparation(None, 0), training=TrainingSettings(rounds=1),
             out=out, started=dt.datetime.now(dt.UTC), forks=lambda: ForkServer(broken)),
    Progress(),
)
"""


def test_a_run_goes_on_where_nothing_can_be_forked(tmp_path: Path) -> None:
    """It says why, and each client loads its libraries itself."""
    (tmp_path / "client.py").write_text("raise ImportError('broken')")
    done = subprocess.run(
        [sys.executable, "-c", NOTHING_FORKS, tmp_path, tmp_path / "run"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "as no process can fork them: ImportError while it loaded the clients' code" in done.stderr
    assert (tmp_path / "run" / "model.json").exists()
