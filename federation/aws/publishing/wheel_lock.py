"""Locks of the packages that are installed without internet access, with the sha256 of each wheel.

A lock is a requirements file that pip installs from, one wheel a line, written by ``make lock``::

    flwr==1.41.0 --hash=sha256:8743e6… # flwr-1.41.0-py3-none-any.whl

There are three: ``client_code/requirements.txt`` and ``requirements-arrow.txt`` for training jobs, and
``requirements-notebook.txt`` for notebooks. All are for the Python of the training image on Amazon Linux 2023
(glibc 2.34), independent of the machine that publishes. The locks of a rehearsal may be for another Python,
which they then name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from federation.errors import PublishError

PYTHON = "3.12"
"""Of the training image, and of the notebooks' environment."""
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(34, 4, -1)), "manylinux2014_x86_64")
"""Tags of wheels that run there, the newest first."""

_LINE = re.compile(r"(?P<pin>\S+==\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64}) # (?P<file>[\w.+-]+\.whl)")

_OTHER_PYTHON = re.compile(r"^# For Python (?P<python>3\.\d+)\.$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, order=True)
class LockedWheel:
    """One wheel.

    Parameters
    ----------
    pin : str
        The package and its version, such as ``flwr==1.41.0``.
    file : str
        Name of the wheel.
    sha256 : str
        Of its bytes, hexadecimal.
    """

    pin: str
    file: str
    sha256: str

    @property
    def line(self) -> str:
        """The wheel's line in the lock."""
        return f"{self.pin} --hash=sha256:{self.sha256} # {self.file}"


def read_lock(path: Path) -> tuple[LockedWheel, ...]:
    """Return the wheels of a lock.

    Raises
    ------
    PublishError
        The file cannot be read or is not a lock.
    """
    try:
        return parse_lock(path.read_text(encoding="utf-8"), name=path.name)
    except OSError as error:
        raise PublishError(
            f"{path}: cannot be read ({error.strerror}).", "Publish from a checkout of the repository."
        ) from error


def lock_python(path: Path) -> str:
    """Return the Python of a lock's wheels: the training image's, if the lock names no other.

    Raises
    ------
    PublishError
        The file cannot be read.
    """
    read_lock(path)
    found = _OTHER_PYTHON.search(path.read_text(encoding="utf-8"))
    return found["python"] if found else PYTHON


def python_line(python: str) -> str:
    """Return the line in which a lock names the Python of its wheels."""
    return f"# For Python {python}."


def lock_head(text: str) -> str:
    """Return the comments and options that precede the wheels of a lock."""
    return "\n".join(line for line in text.splitlines() if line.startswith(("#", "--")))


def parse_lock(text: str, *, name: str) -> tuple[LockedWheel, ...]:
    """Return the wheels that a lock's text pins; comments and options are skipped.

    Raises
    ------
    PublishError
        A line is neither; the message has the name and the line's number.
    """
    wheels = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith(("#", "--")):
            continue
        if not (match := _LINE.fullmatch(line.strip())):
            raise PublishError(
                f"{name}, line {number}: not a wheel with its sha256.",
                "Locks are generated: change what they are made of, then run make lock.",
            )
        wheels.append(LockedWheel(**match.groupdict()))
    return tuple(wheels)


def format_lock(wheels: Iterable[LockedWheel], *, head: str) -> str:
    """Return the text of a lock.

    Parameters
    ----------
    wheels : iterable of LockedWheel
        The wheels to pin, in any order.
    head : str
        Comments and options that precede them.
    """
    return "\n".join([head.strip(), *(wheel.line for wheel in sorted(wheels)), ""])
