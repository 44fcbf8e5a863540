"""The notebook's start script, run for real; a directory stands in for the bucket."""

import getpass
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from federation.aws.publishing.notebook_bundle import NotebookPackages, bundle, package_wheel, read_package
from federation.aws.publishing.source_archive import source_archive
from stacks.constructs.notebook import start_script

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

# What `aws s3 sync` does with a bucket, done with a directory of the same name.
SYNC = """#!/bin/bash
source="$BUCKETS/${*: -2:1}" target="${*: -1}"
[ -d "${source/s3:\\/\\//}" ] || { echo "fatal error: AccessDenied" >&2; exit 1; }
rm -rf "$target" && cp -r "${source/s3:\\/\\//}" "$target"
"""


class Machine:
    """A notebook's volume and a code bucket in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.bundle = folder / "buckets" / "code" / "notebook"
        self.home = folder / "volume" / "federation"
        self.profile = folder / "profile.sh"
        tools = folder / "bin"
        tools.mkdir()
        (tools / "aws").write_text(SYNC, encoding="utf-8")
        (tools / "aws").chmod(0o755)
        (tools / "dnf").write_text(f'#!/bin/bash\necho "$@" >{folder}/dnf\nexit 1\n', encoding="utf-8")
        (tools / "dnf").chmod(0o755)
        self.script = folder / "on_start.sh"
        self.script.write_text(
            start_script(code_bucket="code", region="us-east-1", module="federation.server"), encoding="utf-8"
        )
        self.environment = {
            "PATH": f"{tools}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "BUCKETS": str(folder / "buckets"),
            "NOTEBOOK_USER": getpass.getuser(),
            "NOTEBOOK_VOLUME": str(folder / "volume"),
            "PROFILE": str(self.profile),
        }

    def start(self) -> str:
        """Start the notebook and return the last line of its log."""
        done = subprocess.run(
            ["bash", str(self.script)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()[-1]

    def publish(self, requirements: str, code: str = "VALUE = 1") -> None:
        """Put requirements, a wheel and the configuration into the bucket, as an operator does."""
        wheels = self.bundle / "wheels"
        wheels.mkdir(parents=True, exist_ok=True)
        (self.bundle / "requirements.txt").write_text(requirements, encoding="utf-8")
        (self.bundle / "federation.toml").write_text("", encoding="utf-8")
        (self.bundle / "python-version").write_text(f"{PYTHON}\n", encoding="utf-8")
        _wheel(wheels, code)


def _wheel(folder: Path, code: str) -> None:
    """Build a one-module wheel by hand: a zip of the module and three lines of metadata."""
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", code)
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(
            "tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\nRoot-Is-Purelib: true\n"
        )
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a notebook that was never started."""
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, str]:
    """Return a notebook that was started with a package, and the last line of its log."""
    machine = Machine(tmp_path_factory.mktemp("notebook"))
    machine.publish("tiny==1.0\n")
    return machine, machine.start()


def test_a_notebook_becomes_ready(started: tuple[Machine, str]) -> None:
    """Its terminals find the published packages and say which command to run."""
    machine, line = started
    ready = f"READY: python -m federation.server --config {machine.home}/bundle/federation.toml"
    assert line == f"federation: {ready}"
    terminal = ["sh", "-c", f'. "{machine.profile}"; python -c "import tiny; print(tiny.VALUE)"']
    shown = subprocess.run(
        terminal, env=machine.environment, capture_output=True, text=True, check=True
    ).stdout
    assert shown == f"{ready}\n1\n"


def test_before_anything_is_published_it_says_so(machine: Machine) -> None:
    """An empty bucket is the normal state after the first deployment, not a failure."""
    machine.bundle.mkdir(parents=True)
    assert machine.start() == (
        "federation: NOT READY: nothing is published at s3://code/notebook/. "
        "Run federation.publish, then restart."
    )


def test_a_bucket_out_of_reach_is_one_clear_line(machine: Machine) -> None:
    """The cause is in the log that the line names."""
    line = machine.start()
    assert line.startswith("federation: NOT READY: cannot read s3://code/notebook/")
    assert "AccessDenied" in (machine.home / "install.log").read_text(encoding="utf-8")


def test_wheels_that_do_not_install_are_one_clear_line(machine: Machine) -> None:
    """For example wheels for another Python."""
    machine.publish("absent==1.0\n")
    assert "NOT READY: the published wheels do not fit Python 3." in machine.start()


def test_without_a_python_it_says_so(machine: Machine) -> None:
    """Neither found nor to be had from Amazon Linux's repository."""
    machine.publish("tiny==1.0\n")
    tools = Path(machine.environment["PATH"].split(":")[0])
    for name in ("bash", "mkdir", "cat", "grep", "id", "seq", "sleep", "cp", "rm"):
        (tools / name).symlink_to(_which(name))
    machine.environment["PATH"] = str(tools)
    assert f"NOT READY: no Python {PYTHON}, and dnf could not install it" in machine.start()
    asked = (tools.parent / "dnf").read_text(encoding="utf-8").split()
    assert [word for word in asked if "repo" in word] == ["--disablerepo=*", "--enablerepo=amazonlinux"]
    assert asked[-2:] == [f"python{PYTHON}", f"python{PYTHON}-pip"]


@pytest.mark.parametrize("said", ["", "3.12; reboot\n", "../../bin/sh\n"])
def test_a_bundle_for_no_python_is_refused(machine: Machine, said: str) -> None:
    """Root hands the version to dnf; nothing but a version gets there."""
    machine.publish("tiny==1.0\n")
    (machine.bundle / "python-version").write_text(said, encoding="utf-8")
    assert "NOT READY: what is published does not say for which Python it is." in machine.start()


def test_the_real_bundle_is_installed(machine: Machine) -> None:
    """What federation.publish uploads is what this script expects; here without the packages of others."""
    package = package_wheel(read_package())
    files = bundle(package, NotebookPackages(wheels=(), python=PYTHON), configuration=b"")
    for key, content in files.items():
        path = machine.bundle.parent / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert "READY: python -m federation.server" in machine.start()
    python = machine.home / "venv" / "bin" / "python"
    code = (
        "from federation.aws.publishing.source_archive import source_archive; print(source_archive().digest)"
    )
    shown = subprocess.run(
        [python, "-c", code], cwd=machine.home, capture_output=True, text=True, check=True
    ).stdout
    assert shown == f"{source_archive().digest}\n"


def test_a_restart_keeps_the_environment(started: tuple[Machine, str]) -> None:
    """The volume outlives a stop; installing again would cost minutes."""
    machine, _ = started
    made = (machine.home / "venv" / "pyvenv.cfg").stat().st_mtime_ns
    assert "READY" in machine.start()
    assert (machine.home / "venv" / "pyvenv.cfg").stat().st_mtime_ns == made


def test_a_changed_wheel_of_the_same_version_is_installed(machine: Machine) -> None:
    """What is installed is what is published, also while a version number stays."""
    machine.publish("tiny==1.0\n")
    machine.start()
    machine.publish("tiny==1.0\n", code="VALUE = 2")
    machine.start()
    python = machine.home / "venv" / "bin" / "python"
    shown = subprocess.run([python, "-c", "import tiny; print(tiny.VALUE)"], capture_output=True, check=True)
    assert shown.stdout == b"2\n"


def _which(name: str) -> str:
    return next(path for folder in ("/usr/bin", "/bin") if os.access(path := f"{folder}/{name}", os.X_OK))
