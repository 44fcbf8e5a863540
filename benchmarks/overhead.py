"""What a round costs beyond the clients' own computing, how large updates travel, and what a client needs.

python -m benchmarks.overhead
"""

import datetime as dt
import json
import logging
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.exchange import exchanges
from benchmarks.machine import describe
from benchmarks.memory import peak_memory
from benchmarks.results import write_section
from federation.cli.progress import Progress
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.learning.settings import TrainingSettings
from federation.runs.local.training import LocalRun, train_locally

CLIENTS, ROUNDS, LARGE_ROUNDS = 3, 100, 20
LARGE = 10_000_000


def rounds(folder: Path) -> tuple[list[float], float, float]:
    """Run a federation; return each round's overhead in ms, its seconds, and a client's peak memory in MB."""
    started = time.perf_counter()
    with peak_memory(os.getpid(), argument="client.py", every=0.05) as peaks:
        train_locally(
            LocalRun(
                source=None,
                preparation=PreparationSettings(label=LABEL),
                training=TrainingSettings(rounds=ROUNDS),
                out=folder / "run",
                started=dt.datetime.now(dt.UTC),
            ),
            Progress(),
        )
    seconds = time.perf_counter() - started
    lines = (folder / "run" / "rounds.jsonl").read_text().splitlines()[1:]
    return [1e3 * json.loads(line)["overhead"] for line in lines], seconds, max(peaks)


def main() -> None:
    """Measure, and write the table."""
    logging.getLogger("flwr").setLevel(logging.ERROR)  # as every command of ours does
    machine = describe()
    with tempfile.TemporaryDirectory() as folder:
        overheads, seconds, memory = rounds(Path(folder))
    large = exchanges(LARGE, clients=CLIENTS, times=LARGE_ROUNDS)
    rows = {
        f"overhead of a round, {ROUNDS} rounds, ms": overheads,
        f"exchange of 10 MB updates, there and back, {LARGE_ROUNDS} times, s": large,
        "peak memory of a client, MB": [memory],
        f"from the start to the report, {ROUNDS} rounds, s": [seconds],
    }
    lines = [
        f"{CLIENTS} clients and the server on this machine, synthetic data. Overhead: a round's seconds less",
        "the slowest client's own computing, and less the server's evaluation.",
        "Wanted: at most 5 ms of it.",
        "",
        "| figure | median | 95th percentile |",
        "|---|---|---|",
        *(f"| {name} | {np.median(v):.3g} | {np.quantile(v, 0.95):.3g} |" for name, v in rows.items()),
    ]
    write_section("Round overhead", machine, lines)


if __name__ == "__main__":
    main()
