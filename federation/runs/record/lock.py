"""Reserve a run folder for one process: two in the same folder would damage each other's files."""

import datetime as dt
import fcntl
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from federation.errors import FULL, OutputExistsError, RunInUseError, SettingError, StorageError

NAME = ".lock"
MOMENT_SECONDS = 0.3
"""How long the lock is waited for: a start may hold it just until it finds that the folder is not empty."""


def folder_of(started: dt.datetime) -> Path:
    """Return the default folder of a run: of two that begin in the same second, each has its own.

    Process ids would not do: containers that share a disk have the same.
    """
    return Path("runs") / f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


@contextmanager
def exclusive(run: Path, *, new: bool) -> Iterator[None]:
    """Hold a run folder; one that is made here is readable by this user only, and goes if it stays empty.

    The lock is the kernel's: it ends with the process, however that ends. The file says who holds it.

    Parameters
    ----------
    run : Path
        The run folder, which is made if it is not there.
    new : bool
        Whether it must hold nothing yet.

    Raises
    ------
    RunInUseError
        Another process holds it.
    OutputExistsError
        It holds something and should not, or is a file.
    SettingError
        It cannot be made.
    StorageError
        There is no room for a file, whichever it is.
    """
    made = not run.exists()
    try:
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        if new and not (run / NAME).exists():
            _refuse_content(run)  # without the lock, which whoever resumes that run needs
        lock = _acquire(run / NAME)
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputExistsError(f"{run} is no folder.", "Choose another folder with --out.") from error
    except OSError as error:
        raise SettingError(
            f"{run}: cannot be written ({error.strerror}).", "Choose another folder with --out."
        ) from error
    try:
        if new:
            _refuse_content(run)
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageError.of(Path(error.filename or run), error) from error
        raise
    finally:
        with suppress(OSError):
            (run / NAME).unlink()
            if made:
                run.rmdir()
        os.close(lock)


def clear(run: Path) -> None:
    """Remove what a run folder holds, but for its lock."""
    for path in _content(run):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _content(run: Path) -> list[Path]:
    return [path for path in run.iterdir() if path.name != NAME]


def _refuse_content(run: Path) -> None:
    if any(_content(run)):
        raise OutputExistsError(f"{run} exists already.", "Choose another folder with --out, or remove it.")


def _acquire(path: Path) -> int:
    deadline = time.monotonic() + MOMENT_SECONDS
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                os.close(lock)
                time.sleep(MOMENT_SECONDS / 10)
                continue
            holder = os.read(lock, 200).decode(errors="replace") or "another process"
            os.close(lock)
            raise RunInUseError(
                f"{path.parent}: in use by {holder}.", "Wait until it ends, or choose another folder."
            ) from error
        if _still_there(path, lock):
            os.ftruncate(lock, 0)
            os.write(lock, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return lock
        os.close(lock)  # its holder ended, and removed it, just before


def _still_there(path: Path, lock: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False
