"""The stand-in for the training image is built once, completely or not at all."""

import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from federation.rehearse.errors import JobEnvironmentError
from federation.rehearse.machine.image.job_environment import (
    IMAGE_REQUIREMENTS,
    default_cache,
    job_environment,
)
from federation.rehearse.machine.image.toolkit_sources import TOOLKIT_SOURCES


class Commands:
    """Remember commands instead of running them; optionally fail the installation."""

    def __init__(self, packages: Path, *, fail: bool = False) -> None:
        self.packages = packages
        self.seen: list[Sequence[str]] = []
        self.fail = fail

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Take one command."""
        self.seen.append(command)
        failed = self.fail and "install" in command
        return subprocess.CompletedProcess(
            command, int(failed), f"{self.packages}\n", "no such package" if failed else ""
        )

    @property
    def builds(self) -> int:
        """How often an environment was made."""
        return sum("venv" in command for command in self.seen)


Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Return `job_environment` of requirements and a toolkit that need no network."""
    requirements, toolkit = tmp_path / "requirements.txt", tmp_path / "toolkit.txt"
    requirements.write_text("# nothing\n")
    toolkit.write_text("# nothing\n")
    return partial(job_environment, tmp_path / "cache", requirements=requirements, toolkit=toolkit)


def test_is_made_and_works(build: Build) -> None:
    """Its interpreter is its own, and the modules that stand in can be imported."""
    python = build()
    code = "import sys, gethostname; print(sys.prefix)"
    where = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert where.stdout.strip() == str(python.parents[1])


def test_is_built_once(tmp_path: Path, build: Build) -> None:
    """The second call finds it; a change of a pin never reuses what the old one installed."""
    run = Commands(tmp_path)
    first = build(run=run)
    assert build(run=run) == first
    assert run.builds == 1
    for builds, pins in ((2, "requirements.txt"), (3, "toolkit.txt")):
        (tmp_path / pins).write_text("# still nothing\n")
        assert build(run=run) != first
        assert run.builds == builds


def test_one_that_failed_is_built_anew(tmp_path: Path, build: Build) -> None:
    """The error says what pip said, and the next call starts over."""
    run = Commands(tmp_path, fail=True)
    with pytest.raises(JobEnvironmentError, match="no such package"):
        build(run=run)
    run.fail = False
    build(run=run)
    assert run.builds == 2


def test_pins_the_libraries_of_the_image() -> None:
    """The versions are those of the image, every package is pinned, and each file by its sha256."""
    lines = [
        line for line in IMAGE_REQUIREMENTS.read_text().splitlines() if line.strip()[:1] not in {"", "#"}
    ]
    pins = [line for line in lines if not line.startswith(" ")]
    assert any(line.startswith("scikit-learn==1.9.0 ") for line in pins)
    assert any(line.startswith("numpy==2.5.1 ") for line in pins)
    assert all("==" in line for line in pins)
    assert all(line.strip().startswith("--hash=sha256:") for line in lines if line.startswith(" "))
    assert all(after.startswith(" ") for line, after in pairwise(lines) if not line.startswith(" "))


def test_has_all_that_the_toolkit_requires() -> None:
    """Whoever raises its version compares what it requires; nothing of it is found at run time only."""
    pins = {line.partition("==")[0] for line in IMAGE_REQUIREMENTS.read_text().splitlines() if "==" in line}
    required = "boto3 botocore gevent numpy paramiko pip protobuf psutil retrying scipy six werkzeug"
    assert set(required.split()) <= pins
    assert "sagemaker-training==5.1.4 " in TOOLKIT_SOURCES.read_text()


def test_the_cache_is_where_the_desktop_standard_says() -> None:
    """``XDG_CACHE_HOME`` wins over the home folder."""
    assert default_cache({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/federation")
    assert default_cache({"HOME": "/h"}) == Path("/h/.cache/federation")
