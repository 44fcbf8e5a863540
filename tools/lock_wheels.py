"""Note which wheels exist of every pinned package, and refuse a lock that would need a compiler somewhere.

``make lock`` runs it after uv has resolved the locks. What it notes in ``wheels.txt`` is held against the
locks by a test, which needs no network: each package has a wheel for every Python and platform of the README.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (
    "requirements.txt",
    "requirements-aws.txt",
    "requirements-dev.txt",
    "federation/rehearse/machine/image/training_image.txt",
)
NOTES = ROOT / "tools" / "wheels.txt"
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
GLIBC = 28  # minor version: Debian 10, Ubuntu 20.04, RHEL 8 and everything later have it
MACOS = (14, 0)
_HEAD = "# Written by `make lock`: the tags of each package's wheels for the platforms of the README.\n"


class Platform(NamedTuple):
    """A kind of machine.

    Parameters
    ----------
    system : str
        ``Linux`` or ``Darwin``, as `platform.system` has it.
    machine : str
        As `platform.machine` has it.
    """

    system: str
    machine: str

    def tags(self, python: tuple[int, int]) -> frozenset[Tag]:
        """Return the tags of wheels that run there with some Python."""
        if self.system == "Darwin":
            names = list(mac_platforms(MACOS, self.machine))
        else:
            minors = range(GLIBC, 4, -1)
            names = [f"manylinux_2_{minor}_{self.machine}" for minor in minors]
            names += [f"manylinux{year}_{self.machine}" for year in ("2014", "2010", "1")]
        interpreter = f"cp{python[0]}{python[1]}"
        return frozenset(
            [*cpython_tags(python, platforms=names), *compatible_tags(python, interpreter, names)]
        )

    def markers(self, python: tuple[int, int]) -> dict[str, str]:
        """Return the environment in which a requirement's marker is evaluated."""
        version = f"{python[0]}.{python[1]}"
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": self.system,
            "python_full_version": f"{version}.0",
            "python_version": version,
            "sys_platform": self.system.lower(),
        }


PLATFORMS = (Platform("Linux", "x86_64"), Platform("Linux", "aarch64"), Platform("Darwin", "arm64"))


def main() -> None:
    """Write the notes, or say which package has no wheel where."""
    available: dict[str, list[str]] = {}
    for lock in LOCKS:
        available |= _wheels(ROOT / lock)
    lines = [" ".join([pin, *available[pin]]) + "\n" for pin in sorted(available)]
    NOTES.write_text(_HEAD + "".join(lines), encoding="utf-8")
    if gaps := [gap for lock in LOCKS for gap in missing(pins(ROOT / lock), read_notes())]:
        sys.exit("\n".join(sorted(set(gaps))))


def pins(lock: Path) -> list[Requirement]:
    """Return the requirements of a lock."""
    return pins_of(lock.read_text(encoding="utf-8"))


def pins_of(text: str) -> list[Requirement]:
    """Return the requirements of a lock's text."""
    lines = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
    return [Requirement(line.removesuffix("\\").strip()) for line in lines]


def read_notes(path: Path = NOTES) -> dict[str, frozenset[Tag]]:
    """Return the tags of each pin's wheels, by ``name==version``."""
    noted = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            pin, *wheels = line.split()
            noted[pin] = frozenset(tag for wheel in wheels for tag in _tags(wheel))
    return noted


def missing(requirements: Iterable[Requirement], noted: Mapping[str, frozenset[Tag]]) -> list[str]:
    """Return one sentence for each requirement that a platform could only compile.

    Parameters
    ----------
    requirements : iterable of Requirement
        The pins of a lock.
    noted : mapping
        From `read_notes`.
    """
    tags = {(python, where): where.tags(python) for python, where in product(PYTHONS, PLATFORMS)}
    gaps = []
    for requirement in requirements:
        pin = f"{requirement.name}{requirement.specifier}"
        for (python, where), runs in tags.items():
            if requirement.marker and not requirement.marker.evaluate(where.markers(python)):
                continue
            if not noted.get(pin, frozenset()) & runs:
                gaps.append(f"{pin} has no wheel for Python {python[0]}.{python[1]} on {' '.join(where)}.")
    return gaps


def _wheels(lock: Path) -> dict[str, list[str]]:
    """Ask the package index which wheels each pin of a lock has, and keep those for our platforms."""
    wanted = frozenset(tag for python, where in product(PYTHONS, PLATFORMS) for tag in where.tags(python))
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "pylock.toml"
        uv = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--no-deps"]
        oldest = "{}.{}".format(*PYTHONS[0])
        shape = ["--python-version", oldest, "--format", "pylock.toml", "--output-file", str(listing)]
        subprocess.run([*uv, *shape, str(lock)], check=True)  # noqa: S603 - our own command
        packages = tomllib.loads(listing.read_text(encoding="utf-8"))["packages"]
    return {
        f"{package['name']}=={package['version']}": sorted(
            wheel
            for file in (each["url"].rsplit("/", 1)[1] for each in package.get("wheels", []))
            if _tags(wheel := file.removesuffix(".whl").split("-", 2)[2]) & wanted
        )
        for package in packages
    }


def _tags(wheel: str) -> frozenset[Tag]:
    """Return the tags that the end of a wheel's name stands for."""
    return parse_wheel_filename(f"x-0-{wheel}.whl")[3]


if __name__ == "__main__":
    main()
