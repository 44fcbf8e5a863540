"""Whatever ends a run, it says why, and no process of it is left."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

from federation.runs.local.clients import ClientJob, LocalClients
from tests.local.processes import Command, clients_of

FOR_EVER = ("--rounds", 100_000)


def _until_round(process: subprocess.Popen[str], number: int) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip().startswith(f"{number}/"):
            return
    pytest.fail("the run ended before its time")


def _client(out: Path, name: str) -> psutil.Process:
    (process,) = [p for p in clients_of(out) if p.environ()["SM_OUTPUT_DATA_DIR"].endswith(name)]
    return process


def test_a_client_that_dies_ends_the_run_within_seconds(local: Command, tmp_path: Path) -> None:
    """The run names the client and how it died, ends the others and has its own exit code."""
    process = local(*FOR_EVER, "--out", tmp_path)
    _until_round(process, 2)
    _client(tmp_path, "site-2").kill()
    killed = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 33
    assert 'client "site-2": its process killed by SIGKILL' in stderr
    assert time.monotonic() - killed < 10
    assert clients_of(tmp_path) == []
    assert "the server ended the run" in (tmp_path / "clients" / "site-1" / "client.log").read_text()


def test_with_a_quorum_the_others_go_on(local: Command, tmp_path: Path, finish: Callable[..., str]) -> None:
    """Two of three are enough if the user said so; rounds and report say who is missing, and why."""
    process = local("--rounds", 60, "--quorum", 2, "--out", tmp_path)
    _until_round(process, 2)
    _client(tmp_path, "site-2").kill()
    finish(process)
    rounds = [json.loads(line) for line in (tmp_path / "rounds.jsonl").read_text().splitlines()]
    missed = [one["round"] for one in rounds if "SIGKILL" in one["rejected"].get("site-2", "")]
    [set_aside] = [one["round"] for one in rounds if "site-2" in one["set_aside"]]
    assert missed == [set_aside - 2, set_aside - 1, set_aside]
    assert "SIGKILL" in (tmp_path / "report.html").read_text()


def test_a_client_that_cannot_read_its_rows_says_so_itself(
    local: Command, tmp_path: Path, prepared: Path
) -> None:
    """The server repeats the client's own words, which name the column and no value."""
    train = prepared / "site-3" / "train.csv"
    table = pd.read_csv(train)
    table["female"] = table["female"].astype(object)
    table.loc[4, "female"] = "Q-secret"
    table.to_csv(train, index=False)
    process = local("--data", prepared, "--out", tmp_path / "run")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode != 0
    assert '"female"' in stderr
    assert "Q-secret" not in stderr
    assert clients_of(tmp_path) == []


def test_a_client_with_other_columns_is_refused_by_name(
    local: Command, tmp_path: Path, prepared: Path
) -> None:
    """The error names the client and the columns, on both sides, before any training."""
    for file in ("train.csv", "validation.csv"):
        path = prepared / "site-1" / file
        pd.read_csv(path).rename(columns={"female": "gender"}).to_csv(path, index=False)
    process = local("--data", prepared, "--out", tmp_path / "run")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 15, stderr
    assert 'client "site-1": it lacks female; it has in addition gender.' in stderr


@pytest.mark.parametrize(
    ("sent", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_run_leaves_no_process(
    sent: signal.Signals, exit_code: int, local: Command, tmp_path: Path
) -> None:
    """Ctrl-C, kill and a closed terminal end the clients too."""
    process = local(*FOR_EVER, "--out", tmp_path)
    _until_round(process, 2)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == exit_code, stderr
    assert "Traceback" not in stderr
    assert clients_of(tmp_path) == []


def test_clients_of_a_killed_server_end_by_themselves(local: Command, tmp_path: Path) -> None:
    """Even kill -9 of the run leaves no client behind: each gives up when nobody answers."""
    process = local(*FOR_EVER, "--out", tmp_path)
    _until_round(process, 2)
    process.kill()
    _, alive = psutil.wait_procs(clients_of(tmp_path), timeout=60)
    assert alive == []


def test_a_hanging_client_does_not_hang_the_end(local: Command, tmp_path: Path) -> None:
    """A client that stopped answering is missed after the round's deadline, and ended all the same."""
    process = local(*FOR_EVER, "--round-timeout", 2, "--out", tmp_path)
    _until_round(process, 2)
    hanging = _client(tmp_path, "site-1")
    os.kill(hanging.pid, signal.SIGSTOP)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 32
    assert '"site-1": it did not answer within 2 s' in stderr
    assert clients_of(tmp_path) == []


def test_a_taken_port_is_an_error(local: Command, tmp_path: Path) -> None:
    """Two servers never share a port, and the run leaves nothing."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = local("--port", taken.getsockname()[1], "--out", tmp_path / "run")
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 30
    assert len([line for line in stderr.splitlines() if "port" in line]) == 1, stderr
    assert not (tmp_path / "run").exists()


def test_what_was_trained_outlives_a_file_that_goes(
    local: Command, prepared: Path, tmp_path: Path, finish: Callable[..., str]
) -> None:
    """The comparison at the end misses it: the rounds stay, and the run goes on once it is back."""
    run, rows = tmp_path / "run", prepared / "site-1" / "validation.csv"
    process = local("--data", prepared, "--rounds", 20, "--out", run)
    _until_round(process, 2)
    rows.rename(tmp_path / "elsewhere.csv")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 11, stderr
    assert f"go on with --resume {run}" in stderr
    assert len((run / "rounds.jsonl").read_text().splitlines()) == 21
    (tmp_path / "elsewhere.csv").rename(rows)
    finish(local("--resume", run))
    assert (run / "report.html").exists()


def test_two_in_one_folder_do_not_meet(local: Command, tmp_path: Path) -> None:
    """The second is told who is there; the first is not disturbed."""
    first = local(*FOR_EVER, "--out", tmp_path)
    _until_round(first, 1)
    for option in ("--out", "--resume"):
        second = local(option, tmp_path)
        _, stderr = second.communicate(timeout=60)
        assert second.returncode == 39, stderr
        assert f"in use by process {first.pid} on " in stderr
    assert first.poll() is None
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert subprocess.run([sys.executable, "-m", "federation.audit", tmp_path], check=False).returncode == 0


def test_a_damaged_checkpoint_is_found_before_clients_start(local: Command, tmp_path: Path) -> None:
    """Each costs minutes and money on AWS."""
    process = local(*FOR_EVER, "--out", tmp_path)
    _until_round(process, 2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    (tmp_path / "checkpoint" / "agreed.zip").unlink()
    process = local("--resume", tmp_path)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 35, stderr
    assert "Starting" not in stderr


def test_how_a_client_ended_is_told_without_its_log(tmp_path: Path) -> None:
    """The run folder was removed, say: the run's end has that cause, and no thread ends in a traceback."""
    job = ClientJob(name="site-1", data=tmp_path, folder=tmp_path / "run" / "site-1", hyperparameters={})
    ended: list[str] = []
    with LocalClients("token") as clients:
        clients.start([job], on_exit=lambda _name, why: ended.append(why))
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        deadline = time.monotonic() + 60
        while not ended and time.monotonic() < deadline:
            time.sleep(0.05)
    assert ended == ["its process ended with exit code 2"]
