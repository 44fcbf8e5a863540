"""The toolkit is installed from its sources: only Python modules, by their sha256, without a compiler."""

import io
import platform
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from federation.rehearse.machine.image.toolkit_sources import (
    STAND_INS,
    TOOLKIT_SOURCES,
    install_toolkit,
    stand_ins,
)
from tests.rehearsal.federations import stand_in

FILES = {
    "tool_kit-1.0/setup.py": "raise SystemExit('never run')",
    "tool_kit-1.0/src/tool_kit/__init__.py": "",
    "tool_kit-1.0/src/tool_kit/cli/train.py": "trained = True",
    "tool_kit-1.0/src/tool_kit/c/extension.c": "int x;",
    "tool_kit-1.0/src/tool_kit/../../outside.py": "",
    "tool_kit-1.0/tests/test_it.py": "",
}


def _pip(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Stand in for pip: write a source distribution."""
    with tarfile.open(Path(command[command.index("--dest") + 1]) / "tool_kit-1.0.tar.gz", "w:gz") as archive:
        for name, text in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a file that pins one distribution."""
    path = tmp_path / "sources.txt"
    path.write_text(f"# one\ntool-kit==1.0 --hash=sha256:{'0' * 64}\n")
    return path


def test_only_python_modules_are_installed(tmp_path: Path, sources: Path) -> None:
    """No setup.py runs, no C file is copied, and nothing lands outside."""
    packages = tmp_path / "site" / "packages"
    packages.mkdir(parents=True)
    assert install_toolkit(Path("python"), packages, _pip, sources=sources).returncode == 0
    written = {path.relative_to(tmp_path / "site").as_posix() for path in tmp_path.rglob("*.py")}
    assert {"packages/tool_kit/__init__.py", "packages/tool_kit/cli/train.py"} <= written
    assert {path.split("/")[1] for path in written} == {
        "tool_kit",
        *(it.name for it in stand_ins(platform.system())),
    }
    metadata = (packages / "tool_kit-1.0.dist-info" / "METADATA").read_text()
    assert "Name: tool-kit\nVersion: 1.0\n" in metadata


def test_pip_compares_the_sha256(tmp_path: Path, sources: Path) -> None:
    """What is unpacked is what was read when the version was pinned; else nothing is installed."""
    asked: list[str] = []

    def refuse(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        asked.extend(command)
        return subprocess.CompletedProcess(command, 1, "", "another sha256")

    assert install_toolkit(Path("python"), tmp_path / "packages", refuse, sources=sources).returncode == 1
    assert {"--require-hashes", "--no-deps"} <= set(asked)
    assert not (tmp_path / "packages").exists()
    pins = [line for line in TOOLKIT_SOURCES.read_text().splitlines() if not line.startswith("#")]
    assert all(" --hash=sha256:" in line for line in pins)


def test_modules_stand_in_by_their_names() -> None:
    """Inotify is real where the system has it; each module says what it stands for."""
    assert [path.stem for path in stand_ins("Linux")] == ["gethostname"]
    assert [path.stem for path in stand_ins("Darwin")] == ["gethostname", "inotify_simple"]
    assert all("Stands in for" in path.read_text() for path in stand_ins("Darwin"))
    assert all(path.parent == STAND_INS for path in stand_ins("Darwin"))


def test_the_real_toolkit_runs() -> None:
    """In the environment of the jobs its entry point imports all it needs, and pip knows its version."""
    code = "import sagemaker_training.cli.train; from importlib.metadata import version; "
    code += "print(version('sagemaker-training'))"
    done = subprocess.run([stand_in().job_python, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("5.1.4\n", "")
