"""How fast a table becomes a federation: from the prompt to round 1, beside an earlier commit.

python -m benchmarks.reading --rows 1000000 --only parquet
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.machine import describe
from benchmarks.results import write_section

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "14bb2f9"
COLUMNS, CLIENTS, SEED = 50, 2, 0


def main() -> None:
    """Measure both commits in turn, and write a section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("csv", "parquet"), help="read this kind of file only")
    parser.add_argument("--before", default=BEFORE, help="commit to compare with (default: %(default)s)")
    options = parser.parse_args()
    machine = describe()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        before = folder / "before"
        for command in (["clone", str(ROOT), str(before)], ["-C", str(before), "checkout", options.before]):
            subprocess.run(["git", *command], check=True, capture_output=True)  # noqa: S603, S607 - the user's git
        kinds = [options.only] if options.only else ["csv", "parquet"]
        lines = list(_lines(folder, before, kinds, options.rows, options.before))
    write_section("Reading a table", machine, lines)


def _lines(folder: Path, before: Path, kinds: Sequence[str], rows: int, commit: str) -> Iterator[str]:
    yield f"{rows:,} rows, {COLUMNS} columns, {CLIENTS} clients; commit {commit}, then this checkout."
    yield "Wanted: 2.5 times as fast from CSV, 4 times from Parquet, half the memory."
    yield ""
    yield "| | before | now | ratio |"
    yield "|---|---|---|---|"
    _write(folder, rows, kinds)
    for kind in kinds:
        table = folder / f"table.{kind}"
        checkouts = (before, ROOT)
        for what, measure, second in (
            ("from the prompt to round 1", _until_round_1, "processor time until then, s"),
            ("preparation alone, processor time", _preparation, "its peak memory, MB"),
        ):
            for title, both in zip(
                (f"{what}, s", second),
                zip(*(measure(checkout, table, folder / "out") for checkout in checkouts), strict=True),
                strict=True,
            ):
                yield _row(f"{kind}, {title}", *both)


def _row(title: str, before: float, now: float) -> str:
    return f"| {title} | {before:,.1f} | {now:,.1f} | {before / now:.2f} |"


def _write(folder: Path, rows: int, kinds: Sequence[str]) -> None:
    """Write the same rows in each kind of file: measurements, counts, and a label that depends on them."""
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((rows, COLUMNS - 1))
    y = (X[:, :10].sum(axis=1) + rng.logistic(size=rows) > 2).astype(np.int64)  # noqa: PLR2004 - rarer than not
    columns: dict[str, npt.NDArray[Any]] = {f"x{at}": X[:, at].round(4) for at in range(40)}
    columns |= {f"n{at}": rng.poisson(20, rows) for at in range(COLUMNS - 41)}
    frame = pd.DataFrame({"y": y, **columns})
    if "csv" in kinds:
        frame.to_csv(folder / "table.csv", index=False)
    if "parquet" in kinds:
        frame.to_parquet(folder / "table.parquet")


def _until_round_1(checkout: Path, table: Path, out: Path) -> tuple[float, float]:
    """Return the seconds until the terminal shows the table of rounds, and the processor time of all of it.

    The run is stopped there; what stopping takes is in the processor time.
    """
    shutil.rmtree(out, ignore_errors=True)
    options = ["--label", "y", "--clients", str(CLIENTS), "--rounds", "1", "--out", str(out)]
    started = time.monotonic()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "federation.local", "--data", str(table), *options],
        cwd=checkout,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr
    begun = any(line.lstrip().startswith("round ") for line in process.stderr)
    seconds = time.monotonic() - started
    assert begun, "the run failed"
    process.send_signal(signal.SIGINT)
    process.stderr.read()
    return seconds, _usage_of(process)[0]


def _preparation(checkout: Path, table: Path, out: Path) -> tuple[float, float]:
    """Return the processor time of a preparation in s, and its peak memory in MB."""
    shutil.rmtree(out, ignore_errors=True)
    options = ["--input", str(table), "--label", "y", "--clients", str(CLIENTS), "--out", str(out)]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "federation.data_prep", *options],
        cwd=checkout,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds, megabytes = _usage_of(process)
    assert process.returncode == 0, "the preparation failed"
    return seconds, megabytes


def _usage_of(process: "subprocess.Popen[Any]") -> tuple[float, float]:
    """Wait for a process; return the processor time of it and its own, in s, and its peak memory in MB."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    kilobytes = usage.ru_maxrss / (1 if sys.platform == "linux" else 1024)
    return usage.ru_utime + usage.ru_stime, kilobytes / 1024


if __name__ == "__main__":
    main()
