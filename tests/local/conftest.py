"""Start the command as a user does, and look for what it leaves behind."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from tests.local.processes import ROOT, Command, environment


@pytest.fixture
def local() -> Iterator[Command]:
    """Start ``python -m federation.local`` with the given options."""
    started = []

    def start(*options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "federation.local", *map(str, options)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def finish() -> Callable[[subprocess.Popen[str]], str]:
    """Wait for a run to end well, and to say nothing of its libraries' logs; return what it printed."""

    def wait(process: subprocess.Popen[str]) -> str:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        assert "INFO" not in stderr
        return stdout

    return wait


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Write prepared synthetic data that a test may change."""
    out = tmp_path / "prepared"
    prepare(None, out, PreparationSettings(label=LABEL))
    return out
