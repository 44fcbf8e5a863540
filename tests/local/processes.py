"""The processes of a local run."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., subprocess.Popen[str]]


def clients_of(out: Path) -> list[psutil.Process]:
    """Return the client processes, of any age, that belong to the run in ``out``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SM_OUTPUT_DATA_DIR", "").startswith(str(out)):
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found
