"""The stand-in for the training image is built once, completely or not at all."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from federation.errors import JobEnvironmentError
from federation.rehearse.job_environment import (
    IMAGE_REQUIREMENTS,
    default_cache,
    job_environment,
)


class Commands:
    """Remember commands instead of running them; optionally fail the installation."""

    def __init__(self, *, fail: bool = False) -> None:
        self.seen: list[Sequence[str]] = []
        self.fail = fail

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Take one command."""
        self.seen.append(command)
        failed = self.fail and "install" in command
        return subprocess.CompletedProcess(command, int(failed), "", "no such package" if failed else "")

    @property
    def builds(self) -> int:
        """How often an environment was made."""
        return sum("venv" in command for command in self.seen)


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """Return requirements that need no network."""
    path = tmp_path / "requirements.txt"
    path.write_text("# nothing\n")
    return path


def test_is_made_and_works(tmp_path: Path, requirements: Path) -> None:
    """Its interpreter is its own."""
    python = job_environment(tmp_path / "cache", requirements=requirements)
    code = "import sys; print(sys.prefix)"
    where = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert where.stdout.strip() == str(python.parents[1])


def test_is_built_once(tmp_path: Path, requirements: Path) -> None:
    """The second call finds it; a change of a pin never reuses what the old one installed."""
    run = Commands()
    first = job_environment(tmp_path / "cache", requirements=requirements, run=run)
    assert job_environment(tmp_path / "cache", requirements=requirements, run=run) == first
    assert run.builds == 1
    requirements.write_text("# still nothing\n")
    assert job_environment(tmp_path / "cache", requirements=requirements, run=run) != first
    assert run.builds == 2


def test_one_that_failed_is_built_anew(tmp_path: Path, requirements: Path) -> None:
    """The error says what pip said, and the next call starts over."""
    run = Commands(fail=True)
    with pytest.raises(JobEnvironmentError, match="no such package"):
        job_environment(tmp_path / "cache", requirements=requirements, run=run)
    run.fail = False
    job_environment(tmp_path / "cache", requirements=requirements, run=run)
    assert run.builds == 2


def test_pins_the_toolkit_and_the_libraries_of_the_image() -> None:
    """The versions are those of the image, and every line is a pin."""
    lines = [line for line in IMAGE_REQUIREMENTS.read_text().splitlines() if line and line[0] not in "# "]
    assert {"sagemaker-training==5.1.4", "scikit-learn==1.9.0"} <= set(lines)
    assert any(line.startswith("numpy==2.5.1") for line in lines)
    assert all("==" in line for line in lines)


def test_the_cache_is_where_the_desktop_standard_says() -> None:
    """``XDG_CACHE_HOME`` wins over the home folder."""
    assert default_cache({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/federation")
    assert default_cache({"HOME": "/h"}) == Path("/h/.cache/federation")
