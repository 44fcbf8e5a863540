"""Build the stand-in for the training image on this machine, and describe its differences in one sentence."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from packaging.requirements import Requirement

from federation.aws.publishing.client_wheels import client_locks
from federation.aws.publishing.notebook_bundle import locked_packages
from federation.aws.publishing.wheel_lock import PYTHON, LockedWheel
from federation.aws.publishing.wheelhouse import cache_folder
from federation.checkout import CLIENT_CODE, PROJECT
from federation.rehearse.machine.image.image_python import ImagePython, Interpreter, image_python
from federation.rehearse.machine.image.job_environment import (
    IMAGE_REQUIREMENTS,
    default_cache,
    is_built,
    job_environment,
    run_quietly,
)
from federation.rehearse.machine.image.own_wheels import own_checkout, own_wheels

IMAGE_MACHINE = "Linux x86_64"
_IMAGE_MARKERS = {
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_system": "Linux",
    "python_full_version": f"{PYTHON}.0",
    "python_version": PYTHON,
    "sys_platform": "linux",
}


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """The stand-in for the training image.

    Parameters
    ----------
    interpreter : Interpreter
        The interpreter that notebooks find and that created the jobs' environment.
    job_python : pathlib.Path
        The interpreter of that environment.
    difference : str
        A sentence that states the differences from the image, or "".
    wheels : pathlib.Path, optional
        Wheels of the published versions, if the published wheels do not run.
    wheelhouse : pathlib.Path
        The folder in which publishing finds wheels.
    """

    interpreter: Interpreter
    job_python: Path
    difference: str
    wheels: Path | None
    wheelhouse: Path

    def checkout(self, folder: Path) -> Path:
        """Return the operators' checkout: this one, or a copy with its own locks.

        Parameters
        ----------
        folder : pathlib.Path
            The new folder for a copy.
        """
        if self.wheels is None:
            return PROJECT
        return own_checkout(folder, self.wheels, python=self.interpreter.minor, wheelhouse=self.wheelhouse)


def make_stand_in(environment: Mapping[str, str], choice: ImagePython = ImagePython.AUTO) -> StandIn:
    """Return the stand-in for the training image; build it if the cache lacks it.

    Parameters
    ----------
    environment : mapping of str
        The variables of this process.
    choice : ImagePython
        Which Python it has.

    Raises
    ------
    ToolMissingError
        There is no such Python.
    JobEnvironmentError
        The packages cannot be had.
    """
    cache = default_cache(environment)
    python = image_python(environment, cache=cache, choice=choice, is_built=partial(is_built, cache))
    job_python = job_environment(cache, python=python.path)
    as_published = python.runs(published_wheels())
    return StandIn(
        interpreter=python,
        job_python=job_python,
        difference=difference(python, as_published=as_published),
        wheels=None if as_published else own_wheels(cache, job_python, run_quietly),
        wheelhouse=cache_folder(environment),
    )


def published_wheels() -> list[LockedWheel]:
    """Return the wheels of all locks of this checkout."""
    (always,), arrow = client_locks(CLIENT_CODE, {})
    return [*always, *arrow, *locked_packages().wheels]


def difference(
    python: Interpreter, *, as_published: bool, machine: str = "", image: Path = IMAGE_REQUIREMENTS
) -> str:
    """Return a sentence that states the differences from the training image, or "".

    Parameters
    ----------
    python : Interpreter
        The interpreter that replaces the image's.
    as_published : bool
        Whether it runs the published wheels.
    machine : str
        System and processor. [default: this machine's]
    image : pathlib.Path
        The packages of the image, with markers if they depend on the Python.
    """
    machine = machine or this_machine()
    theirs = pinned(image, python.markers | _IMAGE_MARKERS)
    parts = [
        *([f"Python {python.version} instead of {PYTHON}"] if python.minor != PYTHON else []),
        *([f"{machine} instead of {IMAGE_MACHINE}"] if machine != IMAGE_MACHINE else []),
        *(
            f"{name} {version} instead of {theirs[name]}"
            for name, version in pinned(image, python.markers).items()
            if name in theirs and version != theirs[name]
        ),
        *([] if as_published else ["wheels of its own instead of the published ones"]),
    ]
    if not parts:
        return ""
    listed = " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)
    return f"The stand-in for the training image has {listed}."


def this_machine() -> str:
    """Return system and processor, such as ``Linux x86_64``."""
    system = platform.system().replace("Darwin", "macOS")
    return f"{system} {platform.machine()}"


def pinned(lock: Path, markers: Mapping[str, str]) -> dict[str, str]:
    """Return the versions that a lock pins where its markers hold, by package.

    Parameters
    ----------
    lock : pathlib.Path
        A requirements file by uv.
    markers : mapping of str
        The values of the markers.
    """
    lines = lock.read_text(encoding="utf-8").splitlines()
    requirements = [
        Requirement(line.partition(" --hash")[0].rstrip(" \\")) for line in lines if line[:1].isalnum()
    ]
    return {
        each.name: str(each.specifier).removeprefix("==")
        for each in requirements
        if each.marker is None or each.marker.evaluate(dict(markers))
    }
