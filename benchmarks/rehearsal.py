"""How long a whole rehearsal takes, phase by phase, and how much memory the embedded AWS needs.

python -m benchmarks.rehearsal
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from benchmarks.memory import peak_memory
from benchmarks.results import write_section

TIMES = 3
TARGETS = {"in all": 90, "deploy": 25, "federation": 20, "memory": 200}
_EMULATOR = "federation.rehearse.emulator"


def rehearse(folder: Path) -> tuple[dict[str, float], float]:
    """Rehearse once; return each phase's seconds and in all, and the emulator's peak memory in MB."""
    started = time.perf_counter()
    with (
        subprocess.Popen(  # noqa: S603 (our own command)
            [sys.executable, "-m", "federation.rehearse", "--out", str(folder)]
        ) as process,
        peak_memory(process.pid, argument=_EMULATOR, every=0.5) as peaks,
    ):
        process.wait()
    if process.returncode:
        sys.exit(f"the rehearsal ended with code {process.returncode}")
    seconds = json.loads((folder / "seconds.json").read_text(encoding="utf-8"))
    return seconds | {"in all": time.perf_counter() - started}, max(peaks)


def main() -> None:
    """Measure, and write the table; the first rehearsal, which fills the caches, does not count."""
    machine = describe()
    with tempfile.TemporaryDirectory() as folder:
        rehearse(Path(folder) / "first")
        results = [rehearse(Path(folder) / str(number)) for number in range(TIMES)]
    phases = list(results[0][0])
    rows = {f"{phase}, s": [seconds[phase] for seconds, _ in results] for phase in phases}
    rows["peak memory of the embedded AWS, MB"] = [memory for _, memory in results]
    lines = [
        f"Two clients, synthetic data, {TIMES} times, everything installed. Wanted: at most",
        f"{TARGETS['in all']} s in all, {TARGETS['deploy']} s to deploy, {TARGETS['federation']} s for the",
        f"federation itself, and {TARGETS['memory']} MB.",
        "",
        "| phase | median | worst |",
        "|---|---|---|",
        *(f"| {name} | {np.median(values):.3g} | {max(values):.3g} |" for name, values in rows.items()),
    ]
    write_section("Rehearsal", machine, lines)


if __name__ == "__main__":
    main()
