"""Wheels are fetched once, and are the locked ones."""

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from federation.aws.publishing.wheel_lock import LockedWheel, format_lock, parse_lock, read_lock
from federation.aws.publishing.wheelhouse import cache_folder, fetch
from federation.checkout import NOTEBOOK_LOCK
from federation.errors import PublishError
from tests.conftest import ROOT

CONTENT = b"a wheel"
WHEEL = LockedWheel(
    pin="tiny==1.0", file="tiny-1.0-py3-none-any.whl", sha256=hashlib.sha256(CONTENT).hexdigest()
)


class Pip:
    """Stands in for pip: writes a wheel, or fails with what pip would say."""

    def __init__(self, content: bytes = CONTENT, error: str = "") -> None:
        self.content, self.error = content, error
        self.commands: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        self.commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        (folder / WHEEL.file).write_bytes(self.content)
        return subprocess.CompletedProcess(command, int(bool(self.error)), "", self.error)


def test_wheels_are_fetched_once(tmp_path: Path) -> None:
    """The second time needs no network."""
    pip = Pip()
    first, second = (fetch([WHEEL], cache=tmp_path, run=pip) for _ in range(2))
    assert (first / WHEEL.file).read_bytes() == CONTENT
    assert first == second
    assert len(pip.commands) == 1


def test_pip_is_asked_for_the_training_image_whatever_runs_here(tmp_path: Path) -> None:
    """An operator's laptop may have another Python, platform and processor."""
    pip = Pip()
    fetch([WHEEL], cache=tmp_path, run=pip)
    asked = " ".join(pip.commands[0])
    for option in (
        "--python-version 3.12 --implementation cp",
        "--only-binary :all:",
        "--platform manylinux_2_34_x86_64",
        "--platform manylinux2014_x86_64",
        "--no-deps",
    ):
        assert option in asked


def test_another_lock_is_another_folder(tmp_path: Path) -> None:
    """After `make lock` nothing old is published."""
    newer = LockedWheel(pin="tiny==1.0", file=WHEEL.file, sha256=hashlib.sha256(b"newer").hexdigest())
    first = fetch([WHEEL], cache=tmp_path, run=Pip())
    assert fetch([newer], cache=tmp_path, run=Pip(b"newer")) != first


def test_what_pip_says_is_the_error(tmp_path: Path) -> None:
    """Its last error line, not its advertisement; and nothing half-fetched is kept."""
    said = "ERROR: one\nERROR: No matching distribution found for tiny==1.0\n[notice] A new release of pip\n"
    with pytest.raises(
        PublishError, match=r"fetch the wheels: ERROR: No matching distribution .* tiny==1.0\."
    ):
        fetch([WHEEL], cache=tmp_path, run=Pip(error=said))
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_with_other_bytes_is_refused(tmp_path: Path) -> None:
    """Also if pip should let it pass."""
    with pytest.raises(PublishError, match="not the locked wheel"):
        fetch([WHEEL], cache=tmp_path, run=Pip(b"another"))
    assert list(tmp_path.iterdir()) == []


def test_a_kept_wheel_that_was_damaged_is_refused(tmp_path: Path) -> None:
    """The message names what to remove."""
    folder = fetch([WHEEL], cache=tmp_path, run=Pip())
    (folder / WHEEL.file).write_bytes(b"damaged")
    with pytest.raises(PublishError, match=f"Remove {folder}"):
        fetch([WHEEL], cache=tmp_path, run=Pip())


@pytest.mark.process
def test_pip_itself_takes_our_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pip, with a folder for an index: it checks the sha256 and takes the wheel for the target."""
    index = tmp_path / "index"
    index.mkdir()
    (index / WHEEL.file).write_bytes(CONTENT)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    other = LockedWheel(pin=WHEEL.pin, file=WHEEL.file, sha256="0" * 64)
    with pytest.raises(PublishError, match=r"ERROR: "):
        fetch([other], cache=tmp_path / "cache")


def test_the_cache_follows_the_standard() -> None:
    """``XDG_CACHE_HOME``, else ``~/.cache``."""
    assert cache_folder({"XDG_CACHE_HOME": "/elsewhere"}) == Path("/elsewhere/federation/wheels")
    assert cache_folder({}) == Path.home() / ".cache" / "federation" / "wheels"


def test_a_lock_reads_back() -> None:
    """Sorted, with its head, and readable by pip."""
    other = LockedWheel(pin="a==1", file="a-1-py3-none-any.whl", sha256="0" * 64)
    text = format_lock([WHEEL, other], head="# head\n--no-index")
    assert text.startswith("# head\n--no-index\na==1 --hash=sha256:00")
    assert parse_lock(text, name="lock") == (other, WHEEL)


@pytest.mark.parametrize("line", ["flwr>=1.41", "flwr==1.41.0", "flwr==1.41.0 --hash=sha256:12 # flwr.whl"])
def test_a_lock_pins_bytes(line: str) -> None:
    """A version alone does not."""
    with pytest.raises(PublishError, match=r"lock\.txt, line 2: not a wheel with its sha256"):
        parse_lock(f"# by hand\n{line}\n", name="lock.txt")


def test_a_missing_lock_is_an_error(tmp_path: Path) -> None:
    """Installed on a notebook, the product has no lock for notebooks."""
    with pytest.raises(PublishError, match="Publish from a checkout"):
        read_lock(tmp_path / "requirements-notebook.txt")


def test_the_notebooks_lock_follows_requirements_txt() -> None:
    """Notebooks run the versions that are tested."""
    pins = {wheel.pin for wheel in read_lock(NOTEBOOK_LOCK)}
    tested = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    versions = {line.split()[0] for line in tested if "==" in line}
    assert pins <= versions
    assert {pin.partition("==")[0] for pin in pins} >= {"boto3", "flwr", "scikit-learn", "typer"}
