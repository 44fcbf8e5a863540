"""Where the published wheels do not run, a rehearsal publishes the same versions for its own Python."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from federation.aws.publishing.source_archive import read_code
from federation.aws.publishing.wheel_lock import LockedWheel, lock_python, read_lock
from federation.aws.publishing.wheelhouse import fetch
from federation.checkout import NOTEBOOK_LOCK, PROJECT
from federation.files import sha256_of
from federation.rehearse.errors import JobEnvironmentError
from federation.rehearse.machine.image.own_wheels import own_checkout, own_locks, own_wheels

WHEELS = ("flwr-1.0-py3-none-any.whl", "Num_Py-2.4-cp313-cp313-macosx_14_0_arm64.whl")
PYARROW, ONLY_HERE = "pyarrow-26.0-cp313-cp313-macosx_14_0_arm64.whl", "extra-1.0-py3-none-any.whl"


def _published(pin: str) -> LockedWheel:
    return LockedWheel(pin=pin, file="f-1-cp312-cp312-manylinux_2_28_x86_64.whl", sha256="0" * 64)


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Return a folder of wheels, as pip downloads them."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in (*WHEELS, PYARROW, ONLY_HERE):
        (folder / name).write_text(name)
    return folder


def test_locks_have_the_published_packages_and_what_else_this_python_needs(wheels: Path) -> None:
    """Each with this Python's version, wheel and sha256; what the image has by itself is left out."""
    notebook = [_published(pin) for pin in ("flwr==1.0", "num-py==2.5", "pyarrow==26.0")]
    published = {
        "requirements.txt": [_published("flwr==1.0")],
        "requirements-arrow.txt": [_published("pyarrow==26.0")],
        NOTEBOOK_LOCK.name: notebook,
    }
    locks = {
        name: {wheel.file: wheel for wheel in lock} for name, lock in own_locks(published, wheels).items()
    }
    assert set(locks["requirements.txt"]) == {WHEELS[0], ONLY_HERE}
    assert set(locks["requirements-arrow.txt"]) == {PYARROW}
    assert set(locks[NOTEBOOK_LOCK.name]) == {*WHEELS, PYARROW, ONLY_HERE}
    locked = locks[NOTEBOOK_LOCK.name][WHEELS[1]]
    assert (locked.pin, locked.sha256) == ("num-py==2.4", sha256_of(wheels / WHEELS[1]))


def test_the_checkout_differs_in_its_locks_only(tmp_path: Path, wheels: Path) -> None:
    """Its operators publish the same code; the locks name their Python, and their wheels need no download."""
    made = own_checkout(tmp_path / "checkout", wheels, python="3.13", wheelhouse=tmp_path / "kept")
    ours, theirs = read_code(PROJECT / "client_code"), read_code(made / "client_code")
    assert {name for name in ours if ours[name] != theirs[name]} == {
        "requirements.txt",
        "requirements-arrow.txt",
    }
    assert "--no-index\n--find-links ${WHEELHOUSE}\n" in theirs["requirements.txt"].decode()
    assert lock_python(made / NOTEBOOK_LOCK.name) == "3.13"
    assert (made / "federation" / "publish.py").is_file()
    lock = read_lock(made / "client_code" / "requirements.txt")
    assert (fetch(lock, cache=tmp_path / "kept") / WHEELS[0]).is_file()


class Pip:
    """Stands in for pip: writes a wheel, or fails with what pip would say."""

    def __init__(self, error: str = "") -> None:
        self.error = error
        self.commands: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """Take one command."""
        self.commands.append(command)
        (Path(command[command.index("--dest") + 1]) / WHEELS[0]).write_text("")
        return subprocess.CompletedProcess(command, int(bool(self.error)), "", self.error)


def test_wheels_are_downloaded_once_and_by_their_hashes(tmp_path: Path) -> None:
    """Pip picks them for the jobs' interpreter from the pins of the product, and compares the sha256."""
    python, pins, pip = tmp_path / "env" / "bin" / "python", tmp_path / "requirements.txt", Pip()
    pins.write_text("flwr==1.0 --hash=sha256:00\n")
    first, second = (own_wheels(tmp_path / "cache", python, pip, pins=pins) for _ in range(2))
    assert first == second
    assert (first / WHEELS[0]).exists()
    [command] = pip.commands
    assert command[0] == str(python)
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(command)
    assert "--platform" not in command


def test_a_package_without_a_wheel_is_named(tmp_path: Path) -> None:
    """The error has pip's last word and a remedy, and nothing half-downloaded is kept."""
    pins = tmp_path / "requirements.txt"
    pins.write_text("flwr==1.0 --hash=sha256:00\n")
    pip = Pip("ERROR: No matching distribution found for flwr==1.0\nmore\n")
    with pytest.raises(JobEnvironmentError, match=r"No matching distribution found for flwr==1\.0\."):
        own_wheels(tmp_path / "cache", tmp_path / "env" / "bin" / "python", pip, pins=pins)
    assert list((tmp_path / "cache").iterdir()) == []
