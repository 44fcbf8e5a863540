"""One client whose rows do not fit into memory: fednewton from Parquet, beside its floor and scikit-learn.

python -m benchmarks.large_client                # 10 million rows of 50 columns: 4 GB, some minutes
python -m benchmarks.large_client --rows 1000000

The floor of a round is reading the same file once with pyarrow and the bare symmetric rank-k product over as
many rows. scikit-learn's lbfgs is given the rows in memory, prepared. Each runs three times,
in a process of its own; the figures are those of the run with the median total.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe
from benchmarks.results import write_section

ROOT = Path(__file__).resolve().parent.parent
FEATURES, LABEL, PART, TIMES = 50, "fraud", 1 << 20, 3
VALIDATION_ROWS = 100_000


def write_rows(path: Path, rows: int, seed: int) -> None:
    """Write made-up rows: skewed amounts, and a label that depends on their logarithms."""
    import pyarrow as pa  # noqa: PLC0415 - not in the process that measures others
    import pyarrow.parquet as pq  # noqa: PLC0415

    rng = np.random.default_rng(seed)
    effects = np.random.default_rng(0).normal(size=FEATURES) / 5
    names = [f"amount_{j}" for j in range(FEATURES)]
    schema = pa.schema([(name, pa.float64()) for name in names] + [(LABEL, pa.int8())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, PART):
            X = rng.lognormal(size=(FEATURES, min(PART, rows - start)))
            odds = np.exp(effects @ np.log1p(X) - 2)
            y = (rng.random(X.shape[1]) < odds / (1 + odds)).astype(np.int8)
            writer.write_table(pa.table([*X, y], schema=schema))


def client(folder: Path) -> dict[str, Any]:
    """Be the client, and the server's arithmetic: statistics, then rounds to the optimum."""
    sys.path.insert(0, str(ROOT / "client_code"))
    import memory  # noqa: PLC0415 - the client's flat modules
    import utils  # noqa: PLC0415
    from federation.learning.strategies.newton.descent import DampedNewton, Sums  # noqa: PLC0415
    from federation.learning.strategies.newton.fednewton import FedNewton  # noqa: PLC0415

    memory.IN_MEMORY_BYTES = 0
    files = folder / "train.parquet", folder / "validation.parquet"
    task = memory.open_task(*files, name="client", label=LABEL, max_iter=10, model_dir=folder / "model")
    seconds = [_seconds(task.statistics)]
    (rows, positives), (arrays, log1p, *_) = task.train.counts(), task.statistics()
    agreement = json.dumps(
        {
            "features": task.features,
            "log1p": log1p,
            "mean": arrays["log1p-mean"].tolist(),
            "scale": np.sqrt(arrays["log1p-m2"] / rows).tolist(),
        }
    )
    search = DampedNewton(penalty=1.0, tolerance=FedNewton(l2=1.0).tolerance, max_halvings=20)
    model = utils.new_model(10)
    utils.initialise_parameters(model, FEATURES)
    model.intercept_[0] = math.log(positives / (rows - positives))
    evaluations = []
    while not search.converged:
        started = time.perf_counter()
        one = task.newton(agreement, model, (1.0, 1.0))
        seconds.append(time.perf_counter() - started)
        arrays = one.arrays()
        point = search.propose(
            utils.flat(model), {"client": Sums(one.rows, one.loss, one.gradient, arrays["hessian"], None)}
        )
        model.coef_, model.intercept_ = point[np.newaxis, :-1], point[-1:]
        evaluations.append(_seconds(lambda: task.score(agreement, model)))
    total = sum(seconds)
    return {"total": total, "seconds": seconds, "evaluation": evaluations, "w": utils.flat(model).tolist()}


def floor(folder: Path) -> dict[str, Any]:
    """Read the file, and multiply as many rows."""
    import pyarrow.parquet as pq  # noqa: PLC0415
    from scipy.linalg.blas import dsyrk  # noqa: PLC0415

    rows, seconds = 0, []
    for settings in ({}, {"pre_buffer": False, "buffer_size": 1 << 16}):
        started = time.perf_counter()
        with pq.ParquetFile(folder / "train.parquet", **settings) as file:
            rows = sum(batch.num_rows for batch in file.iter_batches())
        seconds.append(time.perf_counter() - started)
    A = np.asfortranarray(np.random.default_rng(0).normal(size=(1 << 16, FEATURES + 1)))
    started = time.perf_counter()
    for _ in range(0, rows, len(A)):
        dsyrk(1.0, A, trans=1)
    multiply = time.perf_counter() - started
    return {"total": seconds[0] + multiply, "read": seconds, "multiply": multiply}


def lbfgs(folder: Path) -> dict[str, Any]:
    """Fit scikit-learn's default on rows that are in memory and prepared."""
    import pyarrow.parquet as pq  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    with pq.ParquetFile(folder / "train.parquet") as file:
        Z, start = np.empty((file.metadata.num_rows, FEATURES)), 0
        y = np.empty(len(Z))
        for batch in file.iter_batches():
            part = slice(start, start := start + batch.num_rows)
            for j in range(FEATURES):
                Z[part, j] = np.log1p(batch.column(j).to_numpy())
            y[part] = batch.column(FEATURES).to_numpy()
    for j in range(FEATURES):
        Z[:, j] -= Z[:, j].mean()
        Z[:, j] /= Z[:, j].std()
    model = LogisticRegression(max_iter=1000)
    seconds = _seconds(lambda: model.fit(Z, y))
    return {"total": seconds, "w": [*model.coef_[0], *model.intercept_]}


def _peak_bytes() -> int:
    """Return this process's high-water mark; ``ru_maxrss`` would count the parent's memory at the fork."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


PARTS: Mapping[str, Callable[[Path], dict[str, Any]]] = {"client": client, "floor": floor, "lbfgs": lbfgs}


def measure(part: str, folder: Path) -> dict[str, Any]:
    """Run one part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.large_client", "--part", part, "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def table(rows: int, ours: dict[str, Any], least: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return the lines of the section."""
    statistics, first, second, *later = ours["seconds"]
    bare, total = least["total"], ours["total"]
    usual, lean = least["read"]
    w, other = np.array(ours["w"]), np.array(theirs["w"])
    more = theirs["peak"] / ours["peak"]
    distance = np.linalg.norm(w - other) / np.linalg.norm(w)
    return [
        f"{rows:,} rows of {FEATURES} columns at one client, Parquet as pyarrow writes it, float64. The",
        "floor of a round is reading the file once with pyarrow, and the bare symmetric rank-k product over",
        "as many rows. lbfgs is scikit-learn's default, with the rows in memory; it ends",
        f"{distance:.0e} (relative) from the optimum that fednewton finds. The pass for the statistics",
        "answers round 1 as well: round 2 is the first that reads the file again, from the page cache.",
        f"The figures are those of the median of {TIMES} runs.",
        "",
        "| figure | measured | wanted |",
        "|---|---|---|",
        f"| floor, s | {usual:.2f} + {least['multiply']:.2f} = {bare:.2f} | |",
        f"| the same with the reader's settings that we use, s | {lean:.2f} + {least['multiply']:.2f} | |",
        f"| statistics, s | {statistics:.2f} | |",
        f"| first round, s | {first:.2f} | |",
        f"| second round, s | {second:.2f} ({second / bare:.2f} × floor) | ≤ 1.3 × |",
        f"| later rounds, median, s | {np.median(later):.2f} ({np.median(later) / bare:.2f} × floor) | |",
        f"| evaluation of {VALIDATION_ROWS:,} rows, median, s | {np.median(ours['evaluation']):.2f} | |",
        f"| rounds to the optimum | {len(ours['seconds']) - 1} | |",
        f"| statistics and all rounds, s | {total:.1f} ({total / theirs['total']:.2f} × lbfgs) | ≤ 3 × |",
        f"| lbfgs in memory, s | {theirs['total']:.1f} | |",
        f"| peak memory, MB | {ours['peak'] / 1e6:.0f} | ≤ 600 |",
        f"| peak memory of lbfgs, MB | {theirs['peak'] / 1e6:.0f} ({more:.1f} × ours) | ≥ 10 × |",
    ]


def main() -> None:
    """Measure all parts and write the section, or run one part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        result = PARTS[options.part](options.folder)
        print(json.dumps(result | {"peak": _peak_bytes()}))
        return
    machine = describe()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "train.parquet", options.rows, seed=1)
        write_rows(folder / "validation.parquet", VALIDATION_ROWS, seed=2)
        # One part after the other: the gigabytes that one takes push the file out of the page cache.
        results = [
            sorted((measure(part, folder) for _ in range(TIMES)), key=lambda run: run["total"])[TIMES // 2]
            for part in PARTS
        ]
    write_section("A client larger than memory", machine, table(options.rows, *results))


if __name__ == "__main__":
    main()
