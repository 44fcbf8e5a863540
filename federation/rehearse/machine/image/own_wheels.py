"""Rehearse on machines that cannot run the published wheels: use the same versions for the stand-in's Python.

On AWS, publishing uses wheels for the training image, on any machine. A rehearsal's operators receive their
own checkout instead, in which only the locks differ; everything else is unchanged.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from federation.aws.publishing.notebook_bundle import NOT_SHIPPED
from federation.aws.publishing.source_archive import ARROW_REQUIREMENTS, REQUIREMENTS
from federation.aws.publishing.wheel_lock import LockedWheel, format_lock, lock_head, python_line, read_lock
from federation.aws.publishing.wheelhouse import keep
from federation.checkout import NOTEBOOK_LOCK, PROJECT
from federation.files import replacing, sha256_of
from federation.rehearse.errors import JobEnvironmentError

Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]


def own_wheels(cache: Path, job_python: Path, run: Run, *, pins: Path = PROJECT / REQUIREMENTS) -> Path:
    """Return a folder with the wheels of all pinned packages for an interpreter; download missing ones.

    Parameters
    ----------
    cache : pathlib.Path
        The folder that keeps them.
    job_python : pathlib.Path
        The interpreter of an environment that has pip; see
        `federation.rehearse.machine.image.job_environment`.
    run : callable
        Runs a command.
    pins : pathlib.Path
        Pins the product's packages for every Python, each with the sha256 of its wheels.

    Raises
    ------
    JobEnvironmentError
        A package has no wheel for it, or the index cannot be reached.
    """
    made_of = pins.read_bytes() + job_python.parents[1].name.encode()
    folder = cache / f"own-wheels-{hashlib.sha256(made_of).hexdigest()[:12]}"
    if not folder.is_dir():
        with replacing(folder) as fresh:
            fresh.mkdir()
            pip = [str(job_python), "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
            pinned = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", str(pins)]
            done = run([*pip, *pinned, "--dest", str(fresh)])
            if done.returncode:
                said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
                raise JobEnvironmentError(
                    f"The published packages cannot be had for {job_python}: "
                    f"{(said or ['pip says nothing'])[-1].rstrip('.')}.",
                    "Check that the package index can be reached, or install Python 3.12 and try again.",
                )
    return folder


def own_checkout(folder: Path, wheels: Path, *, python: str, wheelhouse: Path) -> Path:
    """Write a copy of this checkout whose locks name other wheels, and keep these as if downloaded.

    Parameters
    ----------
    folder : pathlib.Path
        The new folder for the checkout.
    wheels : pathlib.Path
        From `own_wheels`.
    python : str
        Which Python they are for, such as ``3.13``.
    wheelhouse : pathlib.Path
        The folder in which publishing finds wheels; see `federation.aws.publishing.wheelhouse.cache_folder`.
    """
    for part, left_out in (("federation", ("__pycache__", NOT_SHIPPED)), ("client_code", ("__pycache__",))):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns(*left_out))
    published = {name: read_lock(path) for name, path in _locks(PROJECT).items()}
    for name, lock in own_locks(published, wheels).items():
        path = _locks(folder)[name]
        head = lock_head(_locks(PROJECT)[name].read_text(encoding="utf-8"))
        path.write_text(format_lock(lock, head=f"{head}\n{python_line(python)}"), encoding="utf-8")
        keep(lock, wheels, cache=wheelhouse)
    return folder


def own_locks(
    published: Mapping[str, Sequence[LockedWheel]], wheels: Path
) -> dict[str, tuple[LockedWheel, ...]]:
    """Return locks with the packages of the published ones, and those that this Python needs in addition.

    Parameters
    ----------
    published : mapping of str to sequence of LockedWheel
        The locks for the training image, by name.
    wheels : pathlib.Path
        A folder with a wheel of every package.
    """
    here = {_name_of(path): _locked(path) for path in sorted(wheels.glob("*.whl"))}
    names = {lock: {_package(wheel) for wheel in held} for lock, held in published.items()}
    only_here = here.keys() - names[NOTEBOOK_LOCK.name]
    wanted = names | {
        NOTEBOOK_LOCK.name: set(here),
        REQUIREMENTS: names[REQUIREMENTS] | only_here,
    }
    return {
        lock: tuple(wheel for name, wheel in here.items() if name in held) for lock, held in wanted.items()
    }


def _locks(checkout: Path) -> dict[str, Path]:
    client = checkout / "client_code"
    return {
        REQUIREMENTS: client / REQUIREMENTS,
        ARROW_REQUIREMENTS: client / ARROW_REQUIREMENTS,
        NOTEBOOK_LOCK.name: checkout / NOTEBOOK_LOCK.name,
    }


def _name_of(wheel: Path) -> str:
    return parse_wheel_filename(wheel.name)[0]


def _package(wheel: LockedWheel) -> str:
    return canonicalize_name(wheel.pin.partition("==")[0])


def _locked(wheel: Path) -> LockedWheel:
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return LockedWheel(pin=f"{name}=={version}", file=wheel.name, sha256=sha256_of(wheel))
