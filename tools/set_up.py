"""Set up what a command of the Makefile needs: ``python3 tools/set_up.py demo-local|demo|test``.

It makes ``.venv`` and ``node_modules``, once: while the locks stay as they are, another call changes nothing
and asks nothing of the network. What is missing on this machine is said before anything is downloaded.
Everything is installed by the sha256 of the locks, and nothing is compiled. Standard library only, for it
runs before anything is there; any Python from 3.7 on can read it, to say that it is too old.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 14)
"""The Pythons for which the locks have wheels."""
UNSUPPORTED_MACHINES = {
    ("Darwin", "x86_64"): "flwr needs a cryptography that has no wheel for Macs with Intel processors."
    " Use a Linux container or virtual machine on it.",
}
PREREQUISITES = "make and Python 3.11 to 3.14 with its venv module, on Linux or macOS"
"""What the README says is needed; a test holds the two together."""

_SAY_EVERY = 5.0  # seconds


class Set(NamedTuple):
    """What one command needs.

    Parameters
    ----------
    lock : str
        Its Python packages. A later set's lock holds all that an earlier one's does.
    node : tuple of str, optional
        Options of ``npm ci``; None for no Node packages at all.
    room : int
        Megabytes that it takes on the disk, what the command itself caches included.
    """

    lock: str
    node: tuple[str, ...] | None
    room: int


SETS = {
    "demo-local": Set("requirements.txt", None, 1000),
    "demo": Set("requirements-aws.txt", ("--omit=dev",), 2500),
    "test": Set("requirements-dev.txt", (), 3000),
}


class SetUpError(Exception):
    """The set-up cannot go on; the message says why, and what to do."""


def main() -> None:
    """Set up what a command needs, or end with one line that says what is missing."""
    parser = argparse.ArgumentParser(
        description="Set up .venv and node_modules for a command of the Makefile."
    )
    parser.add_argument("command", choices=SETS, help="what shall run afterwards")
    parser.add_argument("--python", help="the Python to use (default: the first suitable one that is found)")
    asked = parser.parse_args()
    try:
        with _alone():
            set_up(asked.command, python=asked.python)
    except SetUpError as error:
        _end(f"error: {error}", 1)
    except KeyboardInterrupt:
        _end("\nInterrupted. Run the same command again: it starts over where something is half done.", 130)


def set_up(command: str, *, python: str | None = None, root: Path = ROOT) -> None:
    """Make or complete the environments of a checkout; do nothing if they are as they should be.

    Parameters
    ----------
    command : str
        One of `SETS`.
    python : str, optional
        The interpreter to use.
    root : pathlib.Path
        The checkout.

    Raises
    ------
    SetUpError
        Something is missing or failed.
    """
    wanted, venv = SETS[command], Environment(root)
    stale = venv.why_stale(python)
    packages = stale is not None or not venv.has(command)
    node = wanted.node is not None and not _node_is_there(root, wanted.node)
    if not packages and not node:
        return
    interpreter = _interpreter(root, python) if stale is not None or not venv.exists else venv.python
    _check_machine(root, wanted, fresh=not venv.exists)
    started = time.monotonic()
    if packages:
        if stale:
            _say(stale)
        _say(
            f"Setting up for `make {command}`, once. At most {wanted.room / 1000:.1f} GB of disk are needed."
        )
        venv.install(command, interpreter, anew=stale is not None)
    if node:
        _install_node(root, wanted.node or (), venv.folder / "bin")
    _say(f"Set up in {time.monotonic() - started:.0f} s.")


class Environment:
    """The virtual environment of a checkout, and a note of what was installed into it.

    Parameters
    ----------
    root : pathlib.Path
        The checkout.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / ".venv"
        self.python = self.folder / "bin" / "python"
        self._note = self.folder / "set-up.json"

    @property
    def exists(self) -> bool:
        """Whether there is a folder of that name, usable or not."""
        return self.folder.exists()

    def why_stale(self, python: str | None) -> str | None:
        """Return why the environment must be made anew; None if it can be used, or there is none.

        Parameters
        ----------
        python : str, optional
            The interpreter that was asked for.
        """
        if not self.exists:
            return None
        note = self._read()
        if note.get("unfinished", True):
            return "The last set-up did not finish: starting over."
        if note["folder"] != str(self.folder):
            return (
                f"The environment was made for {note['folder']}, and its commands point there: starting over."
            )
        version = _version(str(self.python))
        if version is None:
            return "The environment's Python is gone: starting over."
        if python and _version(python) != version:
            return f"The environment has Python {version}, not the one asked for: starting over."
        return None

    def has(self, command: str) -> bool:
        """Return whether all packages of a command are installed, as its lock is now."""
        installed = self._read().get("installed", {})
        names = list(SETS)
        covering = [SETS[name].lock for name in names[names.index(command) :]]
        return any(installed.get(lock) == _digest(self.root / lock) for lock in covering)

    def install(self, command: str, python: str | Path, *, anew: bool) -> None:
        """Install a command's lock.

        Parameters
        ----------
        command : str
            One of `SETS`.
        python : str or path
            Makes the environment, if there is none to keep.
        anew : bool
            Remove the present one first.

        Raises
        ------
        SetUpError
            pip could not; what is half done is not used again.
        """
        kept = {} if anew else self._read().get("installed", {})
        if anew:
            self.folder.unlink() if self.folder.is_symlink() else shutil.rmtree(self.folder)
        if not self.exists:
            _run([str(python), "-m", "venv", str(self.folder)], "make the virtual environment")
        self._write(unfinished=True)
        lock = SETS[command].lock
        _pip_install(self.python, self.root / lock)
        self._write(unfinished=False, installed={**kept, lock: _digest(self.root / lock)})

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def _write(self, **note: object) -> None:
        self._note.write_text(json.dumps({"folder": str(self.folder), **note}, indent=2), encoding="utf-8")


def _check_machine(root: Path, wanted: Set, *, fresh: bool) -> None:
    """Say what is missing, before anything is downloaded."""
    machine = (platform.system(), platform.machine())
    if machine in UNSUPPORTED_MACHINES:
        raise SetUpError(f"this machine cannot run it: {UNSUPPORTED_MACHINES[machine]}")
    if not os.access(root, os.W_OK):
        raise SetUpError(f"{root} cannot be written. Clone the repository into a folder of your own.")
    free = shutil.disk_usage(root).free // 1_000_000
    if fresh and free < wanted.room:
        raise SetUpError(
            f"{root} has {free} MB of room, and {wanted.room} MB are needed. Free some, then try again."
        )


def _interpreter(root: Path, asked: str | None) -> str:
    """Return the first suitable Python, or say what is missing."""
    names = [*(f"python3.{minor}" for minor in (12, 13, 11, 14)), "python3"]
    found_there = [path for path in (shutil.which(name, path=_outer_path(root)) for name in names) if path]
    candidates = [asked] if asked else [_own_python(), *found_there]
    versions = {name: _version(name) for name in candidates}
    for name, version in versions.items():
        if version and _supported(version) and _can_make_environments(name):
            return name
    suitable = [version for version in versions.values() if version and _supported(version)]
    span = "{}.{} to {}.{}".format(*OLDEST, *NEWEST)
    if suitable:
        minor = ".".join(suitable[0].split(".")[:2])
        raise SetUpError(
            f"Python {minor} has no venv module. {_how_to_install(f'python{minor}-venv', 'venv')}"
        )
    found = sorted({version for version in versions.values() if version})
    has = f"Found {', '.join(found)}" if found else "Found none"
    raise SetUpError(f"Python {span} is needed. {has}. {_how_to_install('python3 python3-venv', 'python')}")


def _own_python() -> str:
    """Return the interpreter of this process, or the one behind it if that is one of an environment."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _outer_path(root: Path) -> str:
    """Return ``PATH`` without the environment, which may be about to be removed."""
    own = str(root / ".venv" / "bin")
    return os.pathsep.join(part for part in os.environ.get("PATH", "").split(os.pathsep) if part != own)


def _how_to_install(debian: str, what: str) -> str:
    """Return the command that installs something on this system."""
    fedora = {"python": "python3.12", "venv": "python3-libs"}[what]
    managers = {
        "apt-get": f"apt-get install {debian}",
        "dnf": f"dnf install {fedora}",
        "zypper": "zypper install python312",
        "brew": "brew install python@3.12",
    }
    for manager, command in managers.items():
        if shutil.which(manager):
            sudo = "" if manager == "brew" or os.geteuid() == 0 else "sudo "
            return f"Install it: {sudo}{command}"
    return "Install it, or name one: make PYTHON=/path/to/python …"


def _version(python: str) -> str | None:
    """Return an interpreter's version, or None if there is none or it does not answer (as some shims)."""
    ask = "import platform; print(platform.python_version())"
    try:
        done = subprocess.run(
            [python, "-c", ask], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
    except OSError:
        return None
    return done.stdout.decode().strip() or None if done.returncode == 0 else None


def _supported(version: str) -> bool:
    return OLDEST <= tuple(int(part) for part in version.split(".")[:2]) <= NEWEST


def _can_make_environments(python: str) -> bool:
    done = subprocess.run([python, "-c", "import venv, ensurepip"], stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def _pip_install(python: Path, lock: Path) -> None:
    """Install a lock, and say now and then how far it is."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    # Not compiled to bytecode now: of what is installed a tenth is ever imported, and Python compiles that.
    limits = [
        "--no-compile",
        "--retries",
        "2",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--requirement",
        str(lock),
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    progress = _Progress()
    pip = subprocess.Popen(
        [*command, *limits],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        universal_newlines=True,
    )
    assert pip.stdout
    assert pip.stderr
    with pip:
        try:
            for line in pip.stdout:
                progress.take(line)
            said = pip.stderr.read()
        except KeyboardInterrupt:
            with suppress(subprocess.TimeoutExpired):
                pip.wait(timeout=10)
            raise
    if pip.returncode and "Retrying (" in said:
        raise SetUpError(
            f"pip cannot reach the package index, which it needs for {lock.name}. Check the network, or pip's"
            " index and proxy settings, then run the same command again."
        )
    if pip.returncode:
        lines = said.strip().splitlines() or [f"exit code {pip.returncode}"]
        last = ([line for line in lines if line.startswith("ERROR:")] or lines)[-1]
        raise SetUpError(
            f"pip could not install {lock.name}: {last.strip()}. Check the network, pip's index and the"
            " disk, then run the same command again."
        )


class _Progress:
    """Say how many packages are there, every few seconds."""

    _PACKAGE = re.compile(r"(Collecting|Processing|Requirement already satisfied:) ")
    _FILE = re.compile(r"\s*Downloading \S+\.whl \(([\d.]+) (\w+)\)")
    _UNITS: ClassVar = {"B": 1e-6, "bytes": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}

    def __init__(self) -> None:
        self._packages, self._megabytes, self._said = 0, 0.0, time.monotonic()

    def take(self, line: str) -> None:
        """Look at one line of pip's."""
        match = self._FILE.match(line)
        if match:
            self._megabytes += float(match.group(1)) * self._UNITS.get(match.group(2), 0)
        elif self._PACKAGE.match(line):
            self._packages += 1
            if time.monotonic() - self._said > _SAY_EVERY:
                self._say()
        elif line.startswith("Installing collected packages"):
            self._say("; installing them")

    def _say(self, then: str = "") -> None:
        _say(f"  {self._packages} packages, {self._megabytes:.0f} MB downloaded{then}")
        self._said = time.monotonic()


def _node_is_there(root: Path, options: tuple[str, ...]) -> bool:
    with suppress(OSError):
        noted = (root / "node_modules" / ".set-up").read_text(encoding="utf-8").split()
        return noted[:1] == [_digest(root / "package-lock.json")] and set(noted[1:]) <= set(options)
    return False


def _install_node(root: Path, options: tuple[str, ...], programs: Path) -> None:
    """Install the Node packages with the npm of the virtual environment."""
    _say("  the CDK CLI, with npm")
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    npm = ["npm", "ci", "--silent", "--no-audit", "--no-fund", *options]
    _run([str(programs / npm[0]), *npm[1:]], "install the Node packages", environment, root)
    note = " ".join([_digest(root / "package-lock.json"), *options])
    (root / "node_modules" / ".set-up").write_text(note, encoding="utf-8")


def _run(
    command: list[str], what: str, environment: dict[str, str] | None = None, folder: Path | None = None
) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd=folder, check=False
    )
    if done.returncode:
        lines = done.stdout.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"exit code {done.returncode}"
        raise SetUpError(f"could not {what}: {last}. Check the network, then run the same command again.")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _alone() -> Iterator[None]:
    """Wait for another set-up of this checkout."""
    with Path(__file__).open(encoding="utf-8") as own:
        try:
            fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say("Another set-up is under way in this folder: waiting for it.")
            fcntl.flock(own, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _end(text: str, code: int) -> NoReturn:
    _say(text)
    sys.exit(code)


if __name__ == "__main__":
    main()
