"""How long a local run takes to start and to end: ``python -m benchmarks.start [CHECKOUT]``.

Clients that are forked, and clients that each load their libraries, in turns; or this checkout and another
one that is named. Processor seconds are those of all processes of the run; memory is measured
in runs of its own, as looking at many processes takes time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from benchmarks.machine import describe
from benchmarks.results import write_section
from federation.runs.local.forked import SWITCH

HERE = Path(__file__).resolve().parent.parent
MARKS = {
    "prompt to clients' start": (None, "Starting"),
    "clients' start to all joined": ("Starting", "all are here"),
    "prompt to end of round 1": (None, "1/3"),
    "end of the last round to all clients' end": ("3/3", "Comparing"),
    "comparison, run folder, end": ("Comparing", None),
    "prompt to end": (None, None),
}
"""Each figure: from the line that contains these words to the line that contains those."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to start clients.

    Parameters
    ----------
    name : str
        The column's heading.
    checkout : Path
        Whose code runs.
    environment : dict of str to str
        What is added to it.
    """

    name: str
    checkout: Path = HERE
    environment: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def run(self, clients: int, rounds: int) -> Iterator[subprocess.Popen[str]]:
        """Start a run, and end it."""
        with tempfile.TemporaryDirectory() as folder:
            options = ["--clients", str(clients), "--rounds", str(rounds), "--out", f"{folder}/run"]
            if clients > 3:  # noqa: PLR2004 - the synthetic table has a partition into three
                options += ["--partition", "iid"]
            with subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "federation.local", *options],
                cwd=self.checkout,
                env=os.environ | self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                yield process
                process.terminate()

    def times(self, clients: int) -> dict[str, float]:
        """Run three rounds; return each figure of `MARKS`, and the processor seconds."""
        before = os.times()
        started = time.monotonic()
        seen: dict[str | None, float] = {None: 0.0}
        with self.run(clients, 3) as process:
            for line in process.stderr or ():
                for word in {word for marks in MARKS.values() for word in marks if word and word in line}:
                    seen.setdefault(word, time.monotonic() - started)
            assert process.wait() == 0, "the run failed"
        ended, after = time.monotonic() - started, os.times()
        figures = {
            name: (ended if last is None else seen[last]) - seen[first]
            for name, (first, last) in MARKS.items()
        }
        spent = sum(after[2:4]) - sum(before[2:4])
        return figures | {"processor": spent}

    def memory(self, clients: int) -> float:
        """Return the memory in MB of all processes of a run that trains; what they share counts once."""
        with self.run(clients, 1_000_000) as process:
            for line in process.stderr or ():
                if line.strip().startswith("2/"):
                    break
            one = psutil.Process(process.pid)
            return sum(map(_own_share, (one, *one.children(recursive=True)))) / 1e6


def _own_share(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return float(process.memory_full_info().pss)
    return 0.0


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description="Measure how long a local run takes to start and to end.")
    parser.add_argument("checkout", type=Path, nargs="?", help="another checkout, to measure beside this one")
    parser.add_argument("--times", type=int, default=3, help="how often (default: 3)")
    parser.add_argument("--many", type=int, default=50, help="as many clients beside three (default: 50)")
    given = parser.parse_args()
    if given.checkout:
        ways = [Way(name="forked"), Way(name=_commit(given.checkout), checkout=given.checkout.resolve())]
    else:
        ways = [Way(name="forked"), Way(name="not forked", environment={SWITCH: "0"})]
    machine = describe()
    lines = [
        "Synthetic data, three rounds of `fedavg`; medians (least–greatest) in seconds of runs in turns.",
        "Memory: of all processes while they train, with shared pages counted once (Pss).",
        "",
    ]
    for clients in (3, given.many):
        runs = [[way.times(clients) for way in ways] for _ in range(given.times)]
        heads = " | ".join(way.name for way in ways)
        lines += [f"| {clients} clients | {heads} |", f"|---|{'---|' * len(ways)}"]
        for name in [*MARKS, "processor"]:
            cells = [_cell([figures[i][name] for figures in runs]) for i in range(len(ways))]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        memory = [way.memory(clients) for way in ways]
        lines += [f"| memory, MB | {' | '.join(f'{of_way:,.0f}' for of_way in memory)} |", ""]
    write_section("Start of a local run", machine, lines[:-1])


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return "commit " + subprocess.check_output(command, text=True).strip()  # noqa: S603 - our own command


def _cell(values: list[float]) -> str:
    return f"{np.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main()
