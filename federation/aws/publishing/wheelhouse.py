"""Download the wheels of a lock once, and keep them: publishing again needs neither network nor time.

The folder is named after the lock, so another lock is downloaded again. A folder that exists is complete.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from federation.aws.publishing.wheel_lock import PLATFORMS, PYTHON, LockedWheel
from federation.errors import PublishError
from federation.files import replacing, sha256_of

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
"""Runs a command and returns what it printed."""

_LOCK = "lock.txt"


def run_quietly(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end and return what it printed, whatever its exit code."""
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pip


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the wheels, below ``XDG_CACHE_HOME``; it may be removed at any time."""
    cache = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "federation" / "wheels"


def fetch(wheels: Sequence[LockedWheel], *, cache: Path | None = None, run: Run = run_quietly) -> Path:
    """Return a folder with all wheels of a lock; download them if it does not exist yet.

    Parameters
    ----------
    wheels : sequence of LockedWheel
        The wheels to download; pip refuses a file with another sha256.
    cache : Path, optional
        The folder of the wheels, by default `cache_folder`.
    run : callable
        Runs pip.

    Raises
    ------
    PublishError
        pip cannot get a wheel (the message contains pip's last output), or a kept wheel was damaged.
    """
    folder = (cache or cache_folder()) / _name(wheels)
    if not folder.is_dir():
        with replacing(folder) as fresh:
            fresh.mkdir()
            (fresh / _LOCK).write_text(_text(wheels), encoding="utf-8")
            _download(fresh, run)
            _check(wheels, fresh)
    else:
        _check(wheels, folder)
    return folder


def keep(wheels: Sequence[LockedWheel], source: Path, *, cache: Path) -> None:
    """Keep the wheels of an existing folder, so that `fetch` finds them.

    Parameters
    ----------
    wheels : sequence of LockedWheel
        A lock.
    source : Path
        The folder with the wheels of the lock.
    cache : Path
        The folder of the kept wheels.
    """
    folder = cache / _name(wheels)
    if not folder.is_dir():
        with replacing(folder) as fresh:
            fresh.mkdir()
            for wheel in wheels:
                _link(source / wheel.file, fresh / wheel.file)


def _link(source: Path, target: Path) -> None:
    """Link a file to a second path without using more space, if the file system can do so."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy(source, target)


def _name(wheels: Sequence[LockedWheel]) -> str:
    return hashlib.sha256(_text(wheels).encode()).hexdigest()[:16]


def _text(wheels: Sequence[LockedWheel]) -> str:
    return "".join(f"{wheel.line}\n" for wheel in sorted(wheels))


def only_these_wheels(requirements: Path) -> list[str]:
    """Return pip's options for exactly the wheels of a file, for the training image on any machine."""
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    target = ["--python-version", PYTHON, "--implementation", "cp", *platforms]
    # uv has resolved for that Python; pip would compare with the one it runs in.
    pinned = ["--no-deps", "--ignore-requires-python", "--only-binary", ":all:"]
    return [*pinned, *target, "--requirement", str(requirements)]


def _download(folder: Path, run: Run) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    done = run([*pip, *only_these_wheels(folder / _LOCK), "--dest", str(folder)])
    if done.returncode:
        said = [
            line for line in done.stderr.splitlines() if line.startswith("ERROR")
        ] or done.stderr.splitlines()
        raise PublishError(
            f"pip cannot fetch the wheels: {said[-1] if said else f'exit code {done.returncode}'}.",
            "Check the network and pip's index; what is published stays as it is.",
        )


def _check(wheels: Sequence[LockedWheel], folder: Path) -> None:
    for wheel in wheels:
        path = folder / wheel.file
        if not path.is_file() or sha256_of(path) != wheel.sha256:
            raise PublishError(
                f"{path}: not the locked wheel.", f"Remove {folder} and publish again, or run make lock."
            )
