"""How long clients and server take to agree on a preprocessing, beyond reading the data.

python -m benchmarks.preprocessing
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from benchmarks.machine import describe
from benchmarks.results import write_section
from federation.data.table import Table, read_table
from federation.learning.preprocessing.pooling import kinds_of, pool
from federation.learning.preprocessing.statistics import ClientStatistics, check_schemas

ROWS, NUMERIC, CATEGORICAL, CLIENTS, TIMES = 20_000, 80, 20, 5, 5
WANTED = 1.0


def rows(seed: int) -> pd.DataFrame:
    """Make up a client's rows: skewed and even numbers with gaps, and words of 5 to 200 levels."""
    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {"y": rng.integers(0, 2, ROWS)}
    for i in range(NUMERIC):
        values = rng.lognormal(3, 1, ROWS) if i % 2 else rng.normal(0, 1, ROWS)
        columns[f"n{i}"] = np.where(rng.random(ROWS) < (i % 4) / 20, np.nan, values)
    for i in range(CATEGORICAL):
        columns[f"c{i}"] = np.char.add("level ", rng.integers(0, 5 + 10 * i, ROWS).astype(str))
    return pd.DataFrame(columns)


def main() -> None:
    """Measure, and write the section."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "client_code"))
    import client  # noqa: PLC0415 - the client's flat modules
    import memory  # noqa: PLC0415

    machine = describe()
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apps = []
        for number in range(CLIENTS):
            path = folder / f"{number}.csv"
            rows(number).to_csv(path, index=False)
        written = time.perf_counter()
        for number in range(CLIENTS):
            path = folder / f"{number}.csv"
            task = memory.open_task(path, path, name=str(number), label="y", max_iter=1, model_dir=folder)
            apps.append(client.create_app(task))
        reading = (time.perf_counter() - written) / CLIENTS
        test = read_table(folder / "0.csv", label="y").take(np.arange(1000))
        figures = [measure(apps, test) for _ in range(TIMES)]
    client_seconds, server_seconds, sent, features = (max(part) for part in zip(*figures, strict=True))
    lines = [
        f"{CLIENTS} clients of {ROWS:,} rows, {NUMERIC} numeric columns, most with gaps, and {CATEGORICAL}",
        f"of words, of 5 to {5 + 10 * (CATEGORICAL - 1)} levels; worst of {TIMES} times.",
        f"Wanted: at most {WANTED:g} s in all, beyond reading.",
        "",
        "| figure | worst |",
        "|---|---|",
        f"| the slowest client's answer, s | {client_seconds:.3g} |",
        f"| the server's: read {CLIENTS} answers, compare, agree, s | {server_seconds:.3g} |",
        f"| in all, clients answering at once, s | {client_seconds + server_seconds:.3g} |",
        f"| a client's answer, kB | {sent / 1e3:.0f} |",
        f"| features agreed on | {features} |",
        f"| reading a client's rows before, CSV, twice, s | {reading:.3g} |",
    ]
    write_section("Agreeing on a preprocessing", machine, lines)


def measure(apps: Sequence[object], test: Table) -> tuple[float, float, int, int]:
    """Return the slowest client's seconds, the server's, the largest answer's bytes, and the features."""
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
    replies, seconds = [], []
    for app in apps:
        begun = time.perf_counter()
        replies.append(app(Message(RecordDict(), 2, "query.statistics"), context))  # type: ignore[operator]
        seconds.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    statistics = [ClientStatistics.from_reply(reply, str(i)) for i, reply in enumerate(replies)]
    check_schemas(statistics, test.label, kinds_of(test))
    agreed = pool(statistics, test)
    server = time.perf_counter() - begun
    content = replies[0].content
    sent = sum(len(array.data) for array in content.array_records["moments"].values())
    sent += sum(len(str(value)) for value in content.config_records["schema"].values())
    return max(seconds), server, sent, len(agreed.features)


if __name__ == "__main__":
    main()
