"""What a round costs beyond the clients' own computing, how large updates travel, and what a client needs.

python -m benchmarks.overhead
"""

import datetime as dt
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from benchmarks.machine import describe
from benchmarks.memory import peak_memory
from benchmarks.results import write_section
from federation.certificate import RunCertificate
from federation.frames import Join
from federation.grid import StreamGrid
from federation.local_training import LocalRun, train_locally
from federation.preparation import PreparationSettings
from federation.progress import Progress
from federation.server_app import TrainingSettings
from federation.synthetic import LABEL

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


async def _admit(_join: Join) -> None:
    """Let everybody in."""


def _client(port: int, certificate: bytes, name: str) -> None:
    """Send back the arrays that come."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "client_code"))
    import link  # noqa: PLC0415 - the client's code, in the client's process only

    app = ClientApp()

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        content = RecordDict(
            {"arrays": message.content["arrays"], "metrics": MetricRecord({"num-examples": 1})}
        )
        return Message(content, reply_to=message)

    with Path("/dev/null").open("w") as nowhere:
        link.serve(
            app,
            Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={}),
            server=link.Server(address=f"127.0.0.1:{port}", certificate=certificate, patience=10),
            identity=link.Identity(name=name, prove=dict, label="", features=()),
            ledger=link.Ledger(nowhere),
        )


def large_updates(count: int) -> list[float]:
    """Return the seconds of each exchange of ``count`` bytes with every client, there and back."""
    names = [f"client-{i}" for i in range(CLIENTS)]
    certificate = RunCertificate.create("127.0.0.1", now=dt.datetime.now(dt.UTC))
    context = multiprocessing.get_context("spawn")
    with StreamGrid(names, certificate=certificate, admit=_admit) as grid:
        processes = [
            context.Process(target=_client, args=(grid.port, certificate.certificate, name)) for name in names
        ]
        for process in processes:
            process.start()
        grid.wait_for_clients(60, lambda _joined, _missing: None)
        arrays = ArrayRecord({"w": Array(np.random.default_rng(0).standard_normal(count // 8))})
        seconds = []
        for number in range(LARGE_ROUNDS):
            content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": number})})
            started = time.perf_counter()
            replies = grid.send_and_receive(
                messages=[Message(content, node, "train") for node in grid.get_node_ids()], timeout=60
            )
            seconds.append(time.perf_counter() - started)
            assert not any(reply.has_error() for reply in replies)
    for process in processes:
        process.join(10)
    return seconds


def main() -> None:
    """Measure, and write the table."""
    logging.getLogger("flwr").setLevel(logging.ERROR)  # as every command of ours does
    machine = describe()
    with tempfile.TemporaryDirectory() as folder:
        overheads, seconds, memory = rounds(Path(folder))
    large = large_updates(LARGE)
    rows = {
        f"overhead of a round, {ROUNDS} rounds, ms": overheads,
        f"exchange of 10 MB updates, there and back, {LARGE_ROUNDS} times, s": large,
        "peak memory of a client, MB": [memory],
        f"from the start to the report, {ROUNDS} rounds, s": [seconds],
    }
    lines = [
        f"{CLIENTS} clients and the server on this machine, synthetic data. Overhead: a round's seconds less",
        "the slowest client's own computing in `train` and in `evaluate`, and less the server's evaluation.",
        "",
        "| figure | median | 95th percentile |",
        "|---|---|---|",
        *(f"| {name} | {np.median(v):.3g} | {np.quantile(v, 0.95):.3g} |" for name, v in rows.items()),
    ]
    write_section("Round overhead", machine, lines)


if __name__ == "__main__":
    main()
