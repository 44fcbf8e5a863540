"""What a notebook installs is complete, and the same from the same commit."""

import base64
import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from federation import __version__
from federation.aws.publishing.client_wheels import client_locks
from federation.aws.publishing.notebook_bundle import (
    NOT_SHIPPED,
    SHIPPED,
    NotebookPackages,
    bundle,
    locked_packages,
    package_wheel,
    read_package,
)
from federation.aws.publishing.wheel_lock import LockedWheel, format_lock, parse_lock, python_line
from tests.conftest import ROOT

WHEEL = LockedWheel(pin="tiny==1.0", file="tiny-1.0-py3-none-any.whl", sha256="0" * 64)


def test_the_bytes_are_known() -> None:
    """They depend on paths and contents only, on any machine."""
    wheel = package_wheel({"federation/b.py": b"", "federation/a.py": b"1\n"})
    assert wheel.version == f"{__version__}+7540d466ea4c"
    assert wheel.locked.sha256 == hashlib.sha256(wheel.content).hexdigest()
    assert wheel.locked.sha256 == "e61768d0c67c4982baae26e0c03e9a2490f468840914225f3df3466e6b695f15"
    assert wheel == package_wheel({"federation/a.py": b"1\n", "federation/b.py": b""})


def test_what_is_published_is_for_the_training_image_whatever_machine_publishes() -> None:
    """Every wheel of the locks runs on CPython 3.12 with glibc 2.34 on x86_64; this machine is not asked."""
    there = [f"manylinux_2_{minor}_x86_64" for minor in range(34, 4, -1)] + ["manylinux2014_x86_64"]
    tags = {*cpython_tags((3, 12), ["cp312"], there), *compatible_tags((3, 12), "cp312", there)}
    packages = locked_packages()
    client, spare = client_locks(ROOT / "client_code", {})
    assert packages.python == "3.12"
    for wheel in (*packages.wheels, *client[0], *spare):
        assert tags & parse_wheel_filename(wheel.file)[3], wheel.file


def test_a_lock_for_another_python_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a rehearsal, for one; then the bundle is for that Python."""
    lock = tmp_path / "requirements-notebook.txt"
    lock.write_text(format_lock([WHEEL], head=f"# Made up.\n{python_line('3.13')}"))
    monkeypatch.setattr("federation.aws.publishing.notebook_bundle.NOTEBOOK_LOCK", lock)
    assert locked_packages() == NotebookPackages(wheels=(WHEEL,), python="3.13")


def test_other_content_is_another_file() -> None:
    """So that uploading a new bundle leaves the one in force whole until ``requirements.txt`` changes."""
    one, other = (package_wheel({"federation/a.py": content}) for content in (b"1", b"2"))
    assert one.locked.file != other.locked.file


def test_the_wheel_lists_what_it_holds() -> None:
    """As the wheel format demands: every file with its sha256 and size."""
    content = package_wheel({"federation/a.py": b"1\n"}).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/RECORD")]
        for line in records[0].splitlines()[:-1]:
            path, digest, size = line.rsplit(",", maxsplit=2)
            held = archive.read(path)
            expected = base64.urlsafe_b64encode(hashlib.sha256(held).digest()).decode().rstrip("=")
            assert (digest, int(size)) == (f"sha256={expected}", len(held))


@pytest.mark.process
def test_the_package_is_whole(tmp_path: Path) -> None:
    """From the wheel alone, the commands of a notebook start and find the clients' code and the templates."""
    with zipfile.ZipFile(io.BytesIO(package_wheel(read_package()).content)) as archive:
        archive.extractall(tmp_path)
    code = (
        "import federation.publish, federation.report.page, federation.server; "
        "from federation.aws.publishing.source_archive import source_archive; print(source_archive().digest)"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    installed, here = (
        subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
        for folder in (tmp_path, ROOT)
    )
    assert installed == here
    assert (tmp_path / "federation" / "report" / "templates" / "report.html.j2").is_file()


def test_nothing_of_the_package_is_left_out() -> None:
    """A new kind of file in ``federation/`` has to be shipped, or left out on purpose."""
    package = ROOT / "federation"
    files = {path.relative_to(package) for path in package.rglob("*") if path.is_file()}
    needed = {path for path in files if path.suffix != ".pyc" and path.parts[0] != NOT_SHIPPED}
    assert {path.suffix for path in needed} == SHIPPED
    assert {f"federation/{path.as_posix()}" for path in needed} <= set(read_package())


def test_the_emulator_of_aws_does_not_go_to_aws() -> None:
    """A notebook gets what it runs, and no program that plays AWS."""
    assert not [path for path in read_package() if "rehearse" in path or "emulator" in path]


def test_the_bundle_is_what_the_start_script_expects() -> None:
    """Requirements with the sha256 of every wheel, the Python they are for, and the configuration."""
    package = package_wheel({"federation/a.py": b""})
    packages = NotebookPackages(wheels=(WHEEL,), python="3.12")
    files = bundle(package, packages, configuration=b"[federation]\n")
    assert set(files) == {
        "notebook/federation.toml",
        "notebook/python-version",
        "notebook/requirements.txt",
        f"notebook/wheels/{package.locked.file}",
    }
    requirements = files["notebook/requirements.txt"].decode()
    assert parse_lock(requirements, name="requirements.txt") == (package.locked, WHEEL)
    assert files["notebook/python-version"] == b"3.12\n"
    assert files["notebook/federation.toml"] == b"[federation]\n"
    named = bundle(package, packages, configuration=b"[federation]\n", beside={"contract.toml": b"x"})
    assert named == {**files, "notebook/contract.toml": b"x"}
