"""Build the environment that stands in for the training image, once, and keep it.

It has what the image has (``training_image.txt``) and nothing of ours: a client's code that leans on a
package of the product must fail in the rehearsal, as it would in the container.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from federation.errors import JobEnvironmentError

IMAGE_REQUIREMENTS = Path(__file__).with_name("training_image.txt")
_READY = "ready"
Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]


def default_cache(environment: Mapping[str, str]) -> Path:
    """Return where environments are kept: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    home = environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".cache"
    return Path(home) / "federation"


def run_quietly(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and capture what it says."""
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own commands)


def job_environment(
    cache: Path,
    *,
    python: Path = Path(sys.executable),
    requirements: Path = IMAGE_REQUIREMENTS,
    run: Run = run_quietly,
) -> Path:
    """Return the interpreter of an environment with exactly these requirements.

    The first call builds it, in about 40 s and 470 MB. Later ones find it by the digest of the requirements;
    two that come at the same time wait for each other.

    Parameters
    ----------
    cache : pathlib.Path
        The folder that keeps environments; see `default_cache`.
    python : pathlib.Path
        The interpreter to build with. The image has Python 3.12; any from 3.11 on is accepted.
    requirements : pathlib.Path
        A file that pins everything.
    run : callable
        Runs a command.

    Raises
    ------
    JobEnvironmentError
        It cannot be built. Nothing half-built is ever used.
    """
    folder = cache / f"training-image-{_digest(python, requirements, run)}"
    cache.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _READY).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _build(folder, python, requirements, run)
            (folder / _READY).touch()
    return folder / "bin" / "python"


def _digest(python: Path, requirements: Path, run: Run) -> str:
    version = _checked(run([str(python), "-VV"]), f"ask {python} for its version").stdout
    return hashlib.sha256(f"{python}{version}{requirements.read_text()}".encode()).hexdigest()[:12]


def _build(folder: Path, python: Path, requirements: Path, run: Run) -> None:
    _checked(run([str(python), "-m", "venv", str(folder)]), f"make {folder}")
    install = ["-m", "pip", "install", "--disable-pip-version-check", "--requirement", str(requirements)]
    _checked(run([str(folder / "bin" / "python"), *install]), f"install {requirements.name}")


def _checked(done: subprocess.CompletedProcess[str], what: str) -> subprocess.CompletedProcess[str]:
    if done.returncode != 0:
        said = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise JobEnvironmentError(
            f"The stand-in for the training image could not be built: could not {what} ({said}).",
            "Check that the package index can be reached and that the disk has 500 MB left, then try again.",
        )
    return done
