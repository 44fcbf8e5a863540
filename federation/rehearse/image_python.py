"""Find the Python that the training image and the notebooks have, on this machine."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from federation.errors import ToolMissingError

PYTHON = "3.12"
_MACHINE = ("Linux", "x86_64")
_ASK = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2], sys.executable)"


def image_python(environment: Mapping[str, str]) -> Path:
    """Return an interpreter of the training image's version, for which the locked wheels are.

    Parameters
    ----------
    environment : mapping of str
        Where to look: ``PATH``, and ``HOME`` for what pyenv and uv installed.

    Raises
    ------
    ToolMissingError
        There is none, or this machine runs none of the locked wheels.
    """
    if (platform.system(), platform.machine()) != _MACHINE:
        raise ToolMissingError(
            f"The training image's packages are for Linux on x86_64; this is {platform.system()} on "
            f"{platform.machine()}.",
            "Rehearse in a Linux container or virtual machine; `make demo-local` runs anywhere.",
        )
    for candidate in _candidates(environment):
        if interpreter := _answer(candidate):
            return interpreter
    raise ToolMissingError(
        f"There is no Python {PYTHON} on this machine, which the training image has.",
        f"Install it, for example with `uv python install {PYTHON}`, then try again.",
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    if sys.version_info[:2] == tuple(int(part) for part in PYTHON.split(".")):
        yield Path(sys.executable)
    for folder in environment.get("PATH", "").split(":"):
        if found := shutil.which(f"python{PYTHON}", path=folder):
            yield Path(found)
    home = Path(environment.get("HOME", "/nonexistent"))
    yield from sorted(home.glob(f".pyenv/versions/{PYTHON}*/bin/python{PYTHON}"))
    yield from sorted(home.glob(f".local/share/uv/python/cpython-{PYTHON}*/bin/python{PYTHON}"))


def _answer(python: Path) -> Path | None:
    """Return the interpreter behind a path, if it can make environments (a shim may not even answer)."""
    try:
        done = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    version, _, executable = done.stdout.strip().partition(" ")
    return Path(executable) if done.returncode == 0 and version == PYTHON else None
