"""The Python of the training image's stand-in: the image's where it can be had, else this machine's own."""

import os
import sys
from pathlib import Path

import pytest

from federation.aws.publishing.wheel_lock import PYTHON, LockedWheel
from federation.rehearse.errors import ToolMissingError
from federation.rehearse.machine.image.image_python import (
    ImagePython,
    Interpreter,
    download_python,
    image_python,
)
from federation.rehearse.machine.image.stand_in import difference, pinned

IMAGE_LOCK = """\
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa
numpy==2.5.1 ; python_full_version >= '3.12' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via scipy
six==1.17.0 \\
    --hash=sha256:dd
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a machine's own Python, of another version than the image's."""
    return _fake(tmp_path / "own", "3.13.5")


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a machine without another Python."""
    return {"PATH": "", "HOME": str(tmp_path)}


def _fake(folder: Path, version: str) -> Path:
    """Write a program that answers as an interpreter would."""
    folder.mkdir(parents=True)
    program = folder / f"python{PYTHON}"
    program.write_text(f'#!/bin/sh\necho \'["{program}", "{version}", "CPython"]\'\n')
    program.chmod(0o755)
    return program


def _refuse(folder: Path) -> None:
    pytest.fail(f"asked to download into {folder}")


def _nothing(_folder: Path) -> None:
    return


@pytest.mark.process
def test_one_of_the_images_version_is_taken_from_the_path(tmp_path: Path, own: Path) -> None:
    """Nothing is downloaded then; a shim that answers with another version is passed over."""
    _fake(tmp_path / "shims", "3.10.1")
    program = _fake(tmp_path / "bin", "3.12.7")
    environment = {"PATH": f"{tmp_path / 'shims'}:{tmp_path / 'bin'}", "HOME": str(tmp_path)}
    found = image_python(environment, cache=tmp_path / "cache", own=own, download=_refuse)
    assert found == Interpreter(path=program, version="3.12.7")


@pytest.mark.process
def test_own_looks_for_no_other(tmp_path: Path) -> None:
    """``--image-python own`` takes the base of this environment, even if the image's version is there."""
    _fake(tmp_path / "bin", "3.12.7")
    environment = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    found = image_python(environment, cache=tmp_path, choice=ImagePython.OWN, download=_refuse)
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert Path(sys.base_prefix).resolve() in found.path.resolve().parents


@pytest.mark.process
def test_one_is_downloaded_once(tmp_path: Path, alone: dict[str, str], own: Path) -> None:
    """Where there is none, and the next time it is there."""

    def download(folder: Path) -> None:
        _fake(folder / f"cpython-{PYTHON}.9-somewhere" / "bin", "3.12.9")

    found = image_python(alone, cache=tmp_path / "cache", own=own, download=download)
    assert found.version == "3.12.9"
    assert image_python(alone, cache=tmp_path / "cache", own=own, download=_refuse) == found


@pytest.mark.process
def test_else_it_is_the_machines_own(tmp_path: Path, alone: dict[str, str], own: Path) -> None:
    """A download that fails is no error; once the own environment is built, none is tried."""
    mine = Interpreter(path=own, version="3.13.5")
    assert image_python(alone, cache=tmp_path, own=own, download=_nothing) == mine
    assert image_python(alone, cache=tmp_path, own=own, is_built=lambda _: True, download=_refuse) == mine
    with pytest.raises(ToolMissingError, match=rf"no Python {PYTHON}"):
        image_python(alone, cache=tmp_path, own=own, choice=ImagePython.IMAGE, download=_nothing)


@pytest.mark.process
def test_a_download_without_network_gives_up(tmp_path: Path) -> None:
    """It is quiet, leaves nothing that would be taken for a Python, and raises nothing."""
    nowhere = {**os.environ, "UV_PYTHON_INSTALL_MIRROR": "http://127.0.0.1:9", "HTTPS_PROXY": ""}
    download_python(tmp_path / "python", nowhere)
    assert not list(tmp_path.glob(f"python/cpython-*/bin/python{PYTHON}"))


def _wheel(tag: str) -> LockedWheel:
    return LockedWheel(pin="tiny==1.0", file=f"tiny-1.0-{tag}.whl", sha256="0" * 64)


@pytest.mark.parametrize(
    ("tag", "runs"),
    [
        ("py3-none-any", True),
        ("cp313-cp313-{here}", True),
        ("cp311-abi3-{here}", True),
        ("cp312-cp312-{here}", False),
        ("cp313-cp313-manylinux_2_99_x86_64", False),
        ("cp313-cp313-win_amd64", False),
    ],
)
def test_the_wheels_tags_tell_whether_it_runs(tag: str, runs: bool) -> None:  # noqa: FBT001
    """The Python's version, the machine, and how old its C library is: no platform is named."""
    from packaging.tags import platform_tags  # noqa: PLC0415

    wheels = [_wheel("py3-none-any"), _wheel(tag.format(here=next(iter(platform_tags()))))]
    assert Interpreter(path=Path("python"), version="3.13.5").runs(wheels) is runs


def test_the_difference_is_a_sentence(tmp_path: Path) -> None:
    """It names the Python, the machine, the packages of other versions, and where the wheels are from."""
    image = tmp_path / "image.txt"
    image.write_text(IMAGE_LOCK)
    same, newer, older = (
        Interpreter(path=Path("python"), version=version) for version in ("3.12.1", "3.13.5", "3.11.7")
    )
    linux, mac = "Linux x86_64", "macOS arm64"
    assert difference(same, as_published=True, machine=linux, image=image) == ""
    assert difference(newer, as_published=False, machine=linux, image=image) == (
        "The stand-in for the training image has Python 3.13.5 instead of 3.12 and wheels of its own instead "
        "of the published ones."
    )
    older_on_mac = difference(older, as_published=False, machine=mac, image=image)
    assert "Python 3.11.7 instead of 3.12, macOS arm64 instead of Linux x86_64, numpy 2.4.6 " in older_on_mac


def test_markers_decide_what_a_lock_pins(tmp_path: Path) -> None:
    """One file holds the resolutions of all Pythons."""
    image = tmp_path / "image.txt"
    image.write_text(IMAGE_LOCK)
    interpreter = Interpreter(path=Path("python"), version="3.11.7")
    assert pinned(image, interpreter.markers) == {"numpy": "2.4.6", "six": "1.17.0"}
