"""The same server and client apps on Flower's own SuperLink and SuperNodes, on loopback."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from benchmarks.peers.stock_flower import run_app, superlink
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ROUNDS = 1


def _coefficients(model: Path) -> list[float]:
    parsed = json.loads(model.read_text())
    return [feature["coefficient"] for feature in parsed["features"]] + [parsed["intercept"]]


def _descendants() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _is_alive(process: psutil.Process) -> bool:
    """Tell a process from one that has ended and that nobody has asked about yet."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _listening(processes: set[psutil.Process]) -> set[str]:
    """Return the addresses that processes listen on."""
    return {
        connection.laddr.ip
        for process in processes
        if _is_alive(process)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stock_flower_trains_the_same_model_as_our_grid(tmp_path: Path) -> None:
    """Same data and settings, same coefficients; clients keep the model; nothing listens beyond loopback."""
    data = tmp_path / "data"
    names = list(prepare(None, data, PreparationSettings(label=LABEL, clients=2)).clients)
    command = ["-m", "federation.local", "--data", data, "--rounds", ROUNDS, "--out", tmp_path / "ours"]
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True, capture_output=True)

    config = {
        "label": LABEL,
        "test": str(data / "server" / "test.csv"),
        "out": str(tmp_path / "stock"),
        "clients": len(names),
        "rounds": ROUNDS,
    }
    home = tmp_path / "home"
    earlier = _descendants()
    with superlink(BIN, home, {name: data / name for name in names}) as environment:
        log = run_app(BIN, environment, config)
        processes = _descendants() - earlier
        listening = _listening(processes)

    np.testing.assert_allclose(
        _coefficients(tmp_path / "stock" / "model.json"),
        _coefficients(tmp_path / "ours" / "model.json"),
        rtol=1e-12,
    )
    assert all(f"{name}: " in log for name in names)
    assert all((home / name / "model" / "model.joblib").is_file() for name in names)
    assert listening == {"127.0.0.1"}
    assert not [process for process in processes if _is_alive(process)]
