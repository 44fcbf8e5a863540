"""Build the environment that replaces the training image once, and keep it.

It contains the packages of the image (``training_image.txt``, and the toolkit from its sources) and none of
the product: a client's code that imports a package of the product must fail in the rehearsal, as it would in
the container.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from federation.rehearse.errors import JobEnvironmentError
from federation.rehearse.machine.image.toolkit_sources import TOOLKIT_SOURCES, install_toolkit, installed_text

IMAGE_REQUIREMENTS = Path(__file__).with_name("training_image.txt")
_READY = "ready"
_WHERE = "import sysconfig; print(sysconfig.get_path('purelib'))"
Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]


def default_cache(environment: Mapping[str, str]) -> Path:
    """Return the folder of the environments: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    home = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".cache"
    return Path(home) / "federation"


def run_quietly(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def job_environment(
    cache: Path,
    *,
    python: Path = Path(sys.executable),
    requirements: Path = IMAGE_REQUIREMENTS,
    toolkit: Path = TOOLKIT_SOURCES,
    run: Run = run_quietly,
) -> Path:
    """Return the interpreter of an environment with exactly these requirements, and the toolkit.

    The first call builds it, in about 40 s and 470 MB. Later ones find it by the digest of the requirements;
    two that come at the same time wait for each other.

    Parameters
    ----------
    cache : pathlib.Path
        The folder that keeps environments; see `default_cache`.
    python : pathlib.Path
        The interpreter to build with. The image has Python 3.12; any from 3.11 on is accepted.
    requirements : pathlib.Path
        A file that pins all packages, each with its sha256.
    toolkit : pathlib.Path
        A file that pins the packages to install from their sources.
    run : callable
        Runs a command.

    Raises
    ------
    JobEnvironmentError
        It cannot be built. Nothing half-built is ever used.
    """
    folder = _folder(cache, python, requirements, toolkit, run)
    cache.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _READY).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _build(folder, python, requirements, toolkit, run)
            (folder / _READY).touch()
    return folder / "bin" / "python"


def is_built(cache: Path, python: Path, *, run: Run = run_quietly) -> bool:
    """Return whether the cache contains the environment of an interpreter."""
    return (_folder(cache, python, IMAGE_REQUIREMENTS, TOOLKIT_SOURCES, run) / _READY).exists()


def _folder(cache: Path, python: Path, requirements: Path, toolkit: Path, run: Run) -> Path:
    version = _checked(run([str(python), "-VV"]), f"ask {python} for its version").stdout
    made_of = f"{python}{version}{requirements.read_text(encoding='utf-8')}{installed_text(toolkit)}"
    return cache / f"training-image-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"


def _build(folder: Path, python: Path, requirements: Path, toolkit: Path, run: Run) -> None:
    _checked(run([str(python), "-m", "venv", str(folder)]), f"make {folder}")
    own = folder / "bin" / "python"
    wheels = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(requirements)]
    install = [str(own), "-m", "pip", "install", "--disable-pip-version-check", *wheels]
    _checked(run(install), f"install {requirements.name}")
    where = _checked(run([str(own), "-c", _WHERE]), f"ask {own} where its packages are").stdout
    _checked(install_toolkit(own, Path(where.strip()), run, sources=toolkit), f"download {toolkit.name}")


def _checked(done: subprocess.CompletedProcess[str], what: str) -> subprocess.CompletedProcess[str]:
    if done.returncode != 0:
        said = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise JobEnvironmentError(
            f"The stand-in for the training image could not be built: could not {what} ({said}).",
            "Check that the package index can be reached and that the disk has 500 MB left, then try again.",
        )
    return done
