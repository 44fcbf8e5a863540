"""Run one contender alone: a network of its own, everything watched, nothing left behind."""

import json
import os
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

# Inside a new network namespace only its own loopback exists; its counter tells what this contender sent.
_INSIDE = 'ip link set lo up && "$@"; code=$?; cat /proc/net/dev > "$COUNTERS"; exit $code'


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured of one contender.

    Parameters
    ----------
    first, total : float
        Seconds from the start to the end of the first round, and of everything.
    rounds : list of float
        Seconds of each later round.
    memory : float
        Peak of all processes together, MB (proportional set size).
    processes : int
        Most at one time.
    sent : float
        Bytes through loopback, headers and all.
    coef, intercept : ndarray, float
        The final model, of standardised columns.
    """

    first: float
    total: float
    rounds: list[float]
    memory: float
    processes: int
    sent: float
    coef: NDArray[np.float64]
    intercept: float

    @property
    def median(self) -> float:
        """Median seconds of a round after the first."""
        return statistics.median(self.rounds) if self.rounds else float("nan")

    @property
    def p95(self) -> float:
        """Their 95th percentile."""
        return float(np.quantile(self.rounds, 0.95)) if self.rounds else float("nan")


class ContenderError(Exception):
    """A contender did not finish; says why."""


def run(command: Sequence[str], out: Path, *, python_path: str, timeout: float) -> Outcome:
    """Run a contender to its end.

    Parameters
    ----------
    command : sequence of str
        Its command line; it leaves ``marks`` and ``result.json`` in ``out``.
    out : Path
        A new folder for all that it writes.
    python_path : str
        Where it finds our modules.
    timeout : float
        Seconds it may take.

    Raises
    ------
    ContenderError
        It failed or took too long.
    """
    out.mkdir(parents=True)
    started = time.monotonic()
    with (out / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 (our own command)
            [*_unshare(), "sh", "-c", _INSIDE, "sh", *command],
            env=_environment(out, Path(command[0]).parent, python_path),
            cwd=out,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    with _Watch(process.pid) as watch:
        try:
            code = process.wait(timeout)
            total = time.monotonic() - started
        except subprocess.TimeoutExpired:
            code = None
    if code != 0 or not (out / "result.json").exists():
        reason = f"took more than {timeout:g} s" if code is None else f"ended with code {code}"
        raise ContenderError(f"{reason}: {_last_line(out / 'log')}")
    marks = [float(line) for line in (out / "marks").read_text().split()]
    result = json.loads((out / "result.json").read_text())
    return Outcome(
        first=marks[0] - started,
        total=total,
        rounds=np.diff(marks).tolist(),
        memory=watch.peak / 1e6,
        processes=watch.processes,
        sent=_loopback_bytes((out / "counters").read_text()),
        coef=np.array(result["coef"]),
        intercept=result["intercept"],
    )


class _Watch:
    """Watches all processes of a network namespace, however they are related; ends what is left of them."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._own = _namespace(os.getpid())
        self._namespace: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.peak = 0.0
        self.processes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)
        for _try in range(50):
            left = self._members()
            if not left:
                return
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            members = self._members()
            self.processes = max(self.processes, len(members))
            self.peak = max(self.peak, sum(map(_memory, members)))

    def _members(self) -> list[int]:
        if self._namespace is None:
            found = _namespace(self._pid)
            if found is None or found == self._own:
                return []
            self._namespace = found
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if _namespace(pid) == self._namespace]


def _namespace(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return None


def _memory(pid: int) -> float:
    """Return the bytes of a process, a share of what it shares with others (Linux: Pss)."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return 1024.0 * int(line.split()[1])
    return 0.0


def _unshare() -> list[str]:
    return ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]


def _environment(out: Path, bin_dir: Path, python_path: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    return inherited | {
        "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",  # some peers start what they find there
        "HOME": str(out),
        "COUNTERS": str(out / "counters"),
        "PYTHONPATH": python_path,
        "OMP_NUM_THREADS": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _loopback_bytes(counters: str) -> float:
    line = next(line for line in counters.splitlines() if line.strip().startswith("lo:"))
    return float(line.partition(":")[2].split()[0])


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][-200:] if lines else "it printed nothing"
