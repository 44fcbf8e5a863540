"""How this product's cost grows: with clients, features, rows and the size of an update.

python -m benchmarks.growth --quick
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.exchange import exchanges
from benchmarks.machine import describe
from benchmarks.peers.arena import ContenderError, Outcome, run
from benchmarks.peers.environments import ROOT
from benchmarks.prepared import write_prepared
from benchmarks.results import write_section
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.data.table import Table

CONTENDERS = ROOT / "benchmarks" / "peers" / "contenders"
STRATEGIES = ("fedavg", "fednewton")
CLIENTS, ROUNDS, FEATURES, VALIDATION_ROWS = 3, 10, 50, 1_000


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What to measure.

    Parameters
    ----------
    clients, features, rows, updates : tuple of int
        Clients; columns; training rows of a client; bytes of an update.
    """

    clients: tuple[int, ...] = (2, 5, 10, 25, 50)
    features: tuple[int, ...] = (10, 50, 200, 1_000)
    rows: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    updates: tuple[int, ...] = (1_000, 100_000, 1_000_000, 10_000_000, 100_000_000)


QUICK = Sizes(
    clients=(2, 10, 50),
    features=(10, 200, 1_000),
    rows=(10_000, 100_000),
    updates=(1_000, 1_000_000, 100_000_000),
)


def main() -> None:
    """Measure, and write a section for each kind of growth."""
    logging.getLogger("flwr").setLevel(logging.ERROR)  # as every command of ours does
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sizes")
    parser.add_argument("--only", choices=("clients", "features", "rows", "updates"))
    options = parser.parse_args()
    sizes = QUICK if options.quick else Sizes()
    for kind, measure in (
        ("clients", _with_clients),
        ("features", _with_features),
        ("rows", _with_rows),
        ("updates", _with_updates),
    ):
        if options.only in (None, kind):
            machine = describe()
            with tempfile.TemporaryDirectory() as folder:
                lines = list(measure(getattr(sizes, kind), Path(folder)))
            write_section(f"Growth with {kind}", machine, lines)


def _with_clients(counts: Sequence[int], folder: Path) -> Iterator[str]:
    yield f"Synthetic rows with the CMS schema (6,000 in all), fedavg, {ROUNDS} rounds, all on this machine."
    yield "Wanted: at most 150 ms of overhead with 50 clients."
    yield from _head("clients")
    for count in counts:
        data = folder / f"data-{count}"
        prepare(None, data, PreparationSettings(label=LABEL, clients=count, resample="none"))
        yield _row(f"{count}", data, folder / f"{count}", "fedavg")


def _with_features(counts: Sequence[int], folder: Path) -> Iterator[str]:
    yield f"{CLIENTS} clients of 2,000 random rows, {ROUNDS} rounds at most."
    yield from _head("features")
    for count in counts:
        data = _random(folder / f"data-{count}", clients=CLIENTS, rows=2_000, features=count)
        for strategy in STRATEGIES:
            yield _row(f"{count:,}, {strategy}", data, folder / f"{count}-{strategy}", strategy)


def _with_rows(counts: Sequence[int], folder: Path) -> Iterator[str]:
    yield f"2 clients, {FEATURES} random features, CSV, {ROUNDS} rounds at most. More rows: large_client.py."
    yield from _head("rows per client")
    for count in counts:
        data = _random(folder / f"data-{count}", clients=2, rows=count, features=FEATURES)
        for strategy in STRATEGIES:
            yield _row(f"{count:,}, {strategy}", data, folder / f"{count}-{strategy}", strategy)


def _with_updates(sizes: Sequence[int], _folder: Path) -> Iterator[str]:
    yield f"{CLIENTS} clients that send back the float64 array that comes, one exchange after the other."
    yield "Wanted: at most 2 s with 100 MB."
    yield ""
    yield "| bytes | median, s | worst, s | exchanges |"
    yield "|---|---|---|---|"
    for size in sizes:
        times = 5 if size >= 100_000_000 else 20  # noqa: PLR2004 (seconds each)
        first, *seconds = exchanges(size, clients=CLIENTS, times=times + 1)
        yield f"| {size:,} | {np.median(seconds):.3g} | {max(first, *seconds):.3g} | {times} |"


def _random(folder: Path, *, clients: int, rows: int, features: int) -> Path:
    """Write rows whose label follows a random linear rule, with noise."""
    rng = np.random.default_rng(0)
    rule = rng.standard_normal(features) / np.sqrt(features)
    names = tuple(f"x{number}" for number in range(features))

    def table(count: int) -> Table:
        X = rng.standard_normal((count, features)).round(4)
        y = (X @ rule + rng.logistic(size=count) > 0).astype(np.int64)
        return Table(features=names, X=X, y=y, label="y")

    pairs = {f"client-{number}": (table(rows), table(VALIDATION_ROWS)) for number in range(clients)}
    write_prepared(folder, pairs, synthetic=True)
    return folder


def _head(what: str) -> list[str]:
    columns = (
        *(what, "first round, s", "round, median, s", "p95, s", "overhead, median, ms", "p95, ms", "rounds"),
        *("a client sends a round, bytes", "memory of all, MB"),
    )
    return ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def _row(title: str, data: Path, out: Path, strategy: str) -> str:
    print(f"• {title}", file=sys.stderr)
    command = [sys.executable, CONTENDERS / "ours.py", "--data", data, "--rounds", ROUNDS, "--out", out]
    try:
        outcome = run(
            [*map(str, command), "--strategy", strategy],
            out,
            python_path=f"{ROOT}:{CONTENDERS}",
            timeout=3_600,
        )
    except ContenderError as error:
        return f"| {title} | {str(error).replace('|', '/')} |" + " |" * 7
    return f"| {title} | {' | '.join(_figures(outcome, out / 'run'))} |"


def _figures(outcome: Outcome, run_folder: Path) -> list[str]:
    records = [json.loads(line) for line in (run_folder / "rounds.jsonl").read_text().splitlines()[1:]]
    overheads = [1e3 * record["overhead"] for record in records]
    return [
        f"{outcome.first:.3g}",
        f"{outcome.median:.3g}",
        f"{outcome.p95:.3g}",
        f"{np.median(overheads):.3g}",
        f"{np.quantile(overheads, 0.95):.3g}",
        f"{len(records)}",
        f"{_sent_in_round_2(run_folder):,}",
        f"{outcome.memory:,.0f}",
    ]


def _sent_in_round_2(run_folder: Path) -> int:
    """Return the most bytes that a client's ledger has for the second round."""
    sent = []
    for ledger in run_folder.glob("clients/*/ledger.jsonl"):
        lines = map(json.loads, ledger.read_text().splitlines())
        sent.append(sum(int(line["bytes"]) for line in lines if line["round"] == 2))  # noqa: PLR2004
    return max(sent)


if __name__ == "__main__":
    main()
