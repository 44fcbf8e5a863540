"""Install the toolkit of the training image from its sources, without a compiler.

``sagemaker-training``, and ``inotify-simple`` with which it watches folders, are published as sources only.
The only C extension serves distributed training. A module that can only be imported (``toolkit_stand_ins/``)
replaces it, and replaces inotify on systems without it.
"""

import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

TOOLKIT_SOURCES = Path(__file__).with_name("toolkit_sources.txt")
STAND_INS = Path(__file__).with_name("toolkit_stand_ins")
Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
_PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
_INOTIFY = "inotify-simple"


def stand_ins(system: str) -> tuple[Path, ...]:
    """Return the replacement modules on a system, by `platform.system`."""
    named = ("gethostname",) if system == "Linux" else ("gethostname", "inotify_simple")
    return tuple(STAND_INS / f"{name}.py" for name in named)


def installed_text(sources: Path) -> str:
    """Return the text of everything that `install_toolkit` installs from."""
    return "".join(path.read_text(encoding="utf-8") for path in (sources, *stand_ins(platform.system())))


def install_toolkit(
    python: Path, site_packages: Path, run: Run, *, sources: Path = TOOLKIT_SOURCES
) -> subprocess.CompletedProcess[str]:
    """Install the modules of some source distributions, and the replacement modules.

    Parameters
    ----------
    python : pathlib.Path
        An interpreter with pip, which downloads and compares the sha256.
    site_packages : pathlib.Path
        The folder for the modules.
    run : callable
        Runs a command.
    sources : pathlib.Path
        Pins each distribution with its sha256.

    Returns
    -------
    subprocess.CompletedProcess
        The result of the download; if it failed, nothing is installed.
    """
    system = platform.system()
    text = sources.read_text(encoding="utf-8")
    wanted = [line for line in text.splitlines() if system == "Linux" or not line.startswith(_INOTIFY)]
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "sources.txt")
        pins.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        options = ["--no-deps", "--require-hashes", "--requirement", str(pins)]
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        done = run([*pip, *options, "--dest", folder])
        if done.returncode == 0:
            for name, version in _PIN.findall("\n".join(wanted)):
                _unpack(Path(folder), name.replace("-", "_"), version, site_packages)
            for module in stand_ins(system):
                shutil.copy(module, site_packages)
    return done


def _unpack(folder: Path, name: str, version: str, site_packages: Path) -> None:
    """Write a distribution's Python modules, and the two lines that identify it to pip."""
    with tarfile.open(folder / f"{name}-{version}.tar.gz") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            inside = [part for part in path.parts[1:] if part != "src"]
            if member.isfile() and path.suffix == ".py" and inside[0] == name and ".." not in inside:
                target = site_packages.joinpath(*inside)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.extractfile(member).read())  # type: ignore[union-attr] # a file
    info = site_packages / f"{name}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
