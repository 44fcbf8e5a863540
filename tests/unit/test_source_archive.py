"""The archive that training jobs run is the same everywhere."""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.aws.publishing.source_archive import archive_key, pack, read_code, source_archive
from federation.aws.publishing.wheel_lock import PYTHON, parse_lock
from federation.checkout import CLIENT_CODE
from federation.errors import PublishError
from tests.conftest import ROOT


def _code(folder: Path) -> Path:
    (folder / "protocol").mkdir(parents=True)
    (folder / "protocol" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "client.py").write_text("print('trains')\n", encoding="utf-8")
    for lock in ("requirements.txt", "requirements-arrow.txt"):
        (folder / lock).write_text("--no-index\n", encoding="utf-8")
    return folder


def test_the_bytes_are_known() -> None:
    """They depend on names and contents only: this digest holds on any machine, Python and zlib."""
    packed = pack({"b.py": b"y\n", "a.py": b"x" * 70_000})
    digest = "75db15967524928236bdea37c48213fada094a64adbb4c6fdea277b09a769eaf"
    assert hashlib.sha256(packed).hexdigest() == digest


@pytest.mark.process
def test_place_umask_times_and_modes_do_not_matter(tmp_path: Path) -> None:
    """Two checkouts of one commit, made by different people, give one digest."""
    here, there = _code(tmp_path / "here"), _code(tmp_path / "deep" / "there")
    os.utime(there / "client.py", (0, 0))
    (there / "client.py").chmod(0o700)
    code = f"from pathlib import Path; from federation.aws.publishing.source_archive import source_archive as a; print(a(Path({str(there)!r})).digest)"  # noqa: E501
    elsewhere = subprocess.run(
        [sys.executable, "-c", f"import os, sys; os.umask(0o077); sys.path.insert(0, {str(ROOT)!r}); {code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert elsewhere == source_archive(here).digest


def test_only_code_goes_in(tmp_path: Path) -> None:
    """No caches, notes or data that happen to lie in the folder."""
    folder = _code(tmp_path / "code")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "client.cpython-312.pyc").write_bytes(b"cache")
    (folder / "requirements.in").write_text("flwr\n", encoding="utf-8")
    (folder / "rows.csv").write_text("secret\n", encoding="utf-8")
    (folder / "protocol" / "__pycache__").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes" / "old.py").write_text("", encoding="utf-8")
    files = ["client.py", "protocol/__init__.py", "requirements-arrow.txt", "requirements.txt"]
    assert sorted(read_code(folder)) == files


@pytest.mark.parametrize("file", ["client.py", "protocol/__init__.py", "protocol/frames.py"])
def test_any_change_of_the_code_changes_the_digest(tmp_path: Path, file: str) -> None:
    """The digest names the code, the protocol's too."""
    folder = _code(tmp_path / "code")
    before = source_archive(folder)
    (folder / file).write_text("print('trains!')\n", encoding="utf-8")
    assert source_archive(folder).digest != before.digest


def test_the_key_holds_the_digest() -> None:
    """A job that asks for a digest gets that code or none."""
    archive = source_archive()
    assert archive.key == archive_key(archive.digest) == f"source/{archive.digest}/source.tar.gz"


def test_script_mode_can_unpack_it() -> None:
    """It is an ordinary .tar.gz whose files anybody may read."""
    archive = source_archive()
    with tarfile.open(fileobj=io.BytesIO(archive.content), mode="r:gz") as tar:
        members = tar.getmembers()
        assert {member.name for member in members} >= {
            "client.py",
            "link.py",
            "protocol/frames.py",
            "requirements.txt",
        }
        assert {(it.mode, it.uid, it.gid, it.mtime, it.uname) for it in members} == {(0o644, 0, 0, 0, "")}
        unpacked = tar.extractfile("client.py")
        assert unpacked is not None
        assert unpacked.read() == (CLIENT_CODE / "client.py").read_bytes()


@given(st.binary(max_size=200_000))
def test_what_is_packed_comes_back(content: bytes) -> None:
    """Our gzip without compression is gzip, for every length."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(pack({"client.py": content})))) as tar:
        unpacked = tar.extractfile("client.py")
        assert unpacked is not None
        assert unpacked.read() == content


@pytest.mark.parametrize(
    "missing", ["client.py", "protocol/__init__.py", "requirements.txt", "requirements-arrow.txt"]
)
def test_an_incomplete_folder_is_refused(tmp_path: Path, missing: str) -> None:
    """A job without entry point or packages would fail minutes later, and cost."""
    folder = _code(tmp_path / "code")
    (folder / missing).unlink()
    with pytest.raises(PublishError, match=missing):
        source_archive(folder)


LOCKS = pytest.mark.parametrize("lock", ["requirements.txt", "requirements-arrow.txt"])


@LOCKS
def test_the_job_installs_from_the_wheels_channel_only(lock: str) -> None:
    """Its VPC has no internet, and every package is pinned to one wheel for the image's Python."""
    text = (CLIENT_CODE / lock).read_text(encoding="utf-8")
    assert {"--no-index", "--find-links ${WHEELHOUSE}"} <= set(text.splitlines())
    wheels = {wheel.pin.partition("==")[0]: wheel for wheel in parse_lock(text, name=lock)}
    assert "numpy" not in wheels  # the image's scikit-learn is built for the image's
    tag = f"cp{PYTHON.replace('.', '')}"
    assert all(f"-{tag}-" in it.file or "-abi3-" in it.file or "-none-" in it.file for it in wheels.values())


@LOCKS
def test_the_lock_follows_its_sources(lock: str) -> None:
    """Whoever changes a requirement and forgets `make lock` learns it here."""
    asked = (CLIENT_CODE / lock).with_suffix(".in").read_text(encoding="utf-8").splitlines()
    pins = {it.pin for it in parse_lock((CLIENT_CODE / lock).read_text("utf-8"), name="lock")}
    assert {line for line in asked if line and not line.startswith("#")} <= pins
    tested = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert pins <= {line.split()[0] for line in tested if "==" in line}
