"""A virtual environment for each peer, made from its lock with uv and kept in `.bench`."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".bench"
PYTHONS = {"flower-1.3.0": "3.11"}  # as old as what it depends on; the others take this interpreter


def environment(name: str) -> Path:
    """Return the interpreter of a peer's environment, made now unless it is there and its lock unchanged.

    Parameters
    ----------
    name : str
        Of the lock, ``NAME.txt``, beside this file.

    Raises
    ------
    subprocess.CalledProcessError
        It cannot be installed; its output says why.
    """
    lock, folder = HERE / f"{name}.txt", CACHE / name
    python, stamp = folder / "bin" / "python", folder / "lock.sha256"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == digest):
        _uv("venv", "--clear", "--python", PYTHONS.get(name, sys.executable), str(folder))
        # Compiled now, as pip does: else every process of a peer would compile all it imports.
        _uv("pip", "sync", "--compile-bytecode", "--python", str(python), str(lock))
        stamp.write_text(digest)
    return python


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run(  # noqa: S603 (our own command)
        [str(uv), *arguments],
        cwd=ROOT,
        env=os.environ | {"UV_PYTHON_DOWNLOADS": "never"},
        check=True,
        capture_output=True,
        text=True,
    )
