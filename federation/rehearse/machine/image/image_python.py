"""Find the Python that replaces the training image's: the same version, otherwise this machine's own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from packaging.markers import default_environment
from packaging.tags import compatible_tags, cpython_tags, platform_tags
from packaging.utils import parse_wheel_filename

from federation.aws.publishing.wheel_lock import PYTHON, LockedWheel
from federation.rehearse.errors import ToolMissingError

_ASK = (
    "import sys, venv, ensurepip, json, platform; "
    "print(json.dumps([sys.executable, platform.python_version(), platform.python_implementation()]))"
)
_LONGEST_DOWNLOAD = 120.0
_NO_WAITING = {"UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_TIMEOUT": "10"}


class ImagePython(StrEnum):
    """The choice of the Python that replaces the training image's."""

    AUTO = "auto"
    IMAGE = PYTHON
    OWN = "own"


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python that can create environments.

    Parameters
    ----------
    path : pathlib.Path
        The program.
    version : str
        All of it, such as ``3.13.5``.
    """

    path: Path
    version: str

    @property
    def minor(self) -> str:
        """The version in the tags of wheels, such as ``3.13``."""
        return ".".join(self.version.split(".")[:2])

    @property
    def markers(self) -> dict[str, str]:
        """The values of a requirement's markers for this Python on this machine."""
        environment: dict[str, str] = dict(default_environment())  # type: ignore[arg-type] # texts, all of them
        return environment | {
            "python_version": self.minor,
            "python_full_version": self.version,
            "implementation_version": self.version,
        }

    def runs(self, wheels: Iterable[LockedWheel]) -> bool:
        """Return whether all of these wheels are for this Python, this machine and its C library."""
        version = tuple(int(part) for part in self.minor.split("."))
        abi, platforms = f"cp{self.minor.replace('.', '')}", list(platform_tags())
        tags = {
            *cpython_tags(version, [abi], platforms),
            *compatible_tags(version, abi, platforms),
        }
        return all(tags & parse_wheel_filename(wheel.file)[3] for wheel in wheels)


Download = Callable[[Path], None]
"""Tries to install the training image's Python into a folder."""


def download_python(folder: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Let uv install the training image's Python, if possible; without a network this takes some seconds."""
    install = ["python", "install", "--quiet", "--no-bin", "--install-dir", str(folder), PYTHON]
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-m", "uv", *install],
            env={**environment, **_NO_WAITING},
            capture_output=True,
            timeout=_LONGEST_DOWNLOAD,
            check=False,
        )


def image_python(
    environment: Mapping[str, str],
    *,
    cache: Path,
    choice: ImagePython = ImagePython.AUTO,
    own: Path | None = None,
    is_built: Callable[[Path], bool] = lambda _: False,
    download: Download = download_python,
) -> Interpreter:
    """Return the interpreter that replaces the training image's.

    That is one of its version, found on this machine or else downloaded; else this machine's own.

    Parameters
    ----------
    environment : mapping of str
        The variables to use for the search: ``PATH``, and ``HOME`` for installations by pyenv and uv.
    cache : pathlib.Path
        A folder to download into.
    choice : ImagePython
        ``own`` searches for no other Python, and ``3.12`` accepts no other.
    own : pathlib.Path, optional
        This machine's own Python; by default the one that runs this, outside its virtual environment.
    is_built : callable
        Whether an interpreter's environment is there already: then nothing is downloaded for a better one.
    download : callable
        Tries to download.

    Raises
    ------
    ToolMissingError
        There is no such interpreter.
    """
    own = own or Path(getattr(sys, "_base_executable", None) or sys.executable)
    mine = _answer(own)
    if choice is ImagePython.OWN:
        return _or_raise(mine, f"{own} cannot make environments: it has no venv or no ensurepip.")
    folder = cache / "python"
    for candidate in (own, *_candidates(environment), *_downloaded(folder)):
        if (found := _answer(candidate)) and found.minor == PYTHON:
            return found
    if choice is ImagePython.IMAGE or not (mine and is_built(mine.path)):
        download(folder)
        for candidate in _downloaded(folder):
            if found := _answer(candidate):
                return found
    return _or_raise(
        None if choice is ImagePython.IMAGE else mine,
        f"There is no Python {PYTHON} here, which the training image has, and uv cannot download it.",
    )


def _or_raise(found: Interpreter | None, problem: str) -> Interpreter:
    if found is None:
        raise ToolMissingError(
            problem,
            f"Install Python {PYTHON}, for example with `uv python install {PYTHON}`, then try again.",
        )
    return found


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    for folder in environment.get("PATH", "").split(":"):
        if found := shutil.which(f"python{PYTHON}", path=folder):
            yield Path(found)
    home = Path(environment.get("HOME", "/nonexistent"))
    yield from sorted(home.glob(f".pyenv/versions/{PYTHON}*/bin/python{PYTHON}"))
    yield from _downloaded(home / ".local/share/uv/python")


def _downloaded(folder: Path) -> Sequence[Path]:
    """Return the interpreters of the image's version in uv's folder."""
    return sorted(folder.glob(f"cpython-{PYTHON}*/bin/python{PYTHON}"))


def _answer(python: Path) -> Interpreter | None:
    """Return the interpreter at a path, if it can create environments (a shim may not even answer)."""
    try:
        done = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, check=False)
    except OSError:
        return None
    if done.returncode:
        return None
    executable, version, implementation = json.loads(done.stdout)
    return Interpreter(path=Path(executable), version=version) if implementation == "CPython" else None
