"""The processes of a local run."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., subprocess.Popen[str]]


def environment() -> dict[str, str]:
    """Return the environment of somebody at a prompt: without what make and Flower add to the tests'."""
    added = ("MAKE", "MFLAGS", "GRPC_VERBOSITY")
    return {name: value for name, value in os.environ.items() if not name.startswith(added)}


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
