"""The wheel is the product: installed elsewhere, it has every command, and trains."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from federation import __version__
from tests.local.processes import ROOT

pytestmark = pytest.mark.timeout(600)

SIX_LINES = """
import federation
run = federation.train(label="fraudulent_provider", clients=2, strategy="fednewton", progress=False)
rows = run.folder / "data" / "server" / "test.csv"
scores = federation.Model.load(run.folder).predict_proba(rows)
print(run.metrics.loc["roc_auc", "federated"])
print(len(scores))
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment with the wheel, whose packages are those of this one.

    No index is asked: the packages that the wheel requires are made visible from this environment.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = folder / "venv" / "lib" / version / "site-packages"
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--quiet", str(wheel)], check=True)
    return folder / "venv" / "bin"


def in_empty_folder(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command where nothing of the checkout is in reach."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_holds_what_publishing_needs(wheel: Path) -> None:
    """The clients' code with its locks, the notebook's lock, the report's templates; no test, no stack."""
    names = zipfile.ZipFile(wheel).namelist()
    wanted = {
        "client_code/client.py",
        "client_code/requirements.txt",
        "client_code/requirements-arrow.txt",
        "federation/requirements-notebook.txt",
        "federation/report/templates/report.html.j2",
    }
    assert wanted <= set(names)
    assert f"federation-{__version__}.dist-info/licenses/LICENSE" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"federation", "client_code", f"federation-{__version__}.dist-info"}


def test_six_lines_train_and_score(elsewhere: Path, tmp_path: Path) -> None:
    """In an empty folder, from the wheel alone."""
    done = in_empty_folder(tmp_path, elsewhere / "python", "-c", SIX_LINES)
    assert done.returncode == 0, done.stderr
    auc, scored = done.stdout.split()
    assert 0.7 < float(auc) < 1
    assert int(scored) > 100


def test_every_command_is_there(elsewhere: Path, tmp_path: Path) -> None:
    """`federation COMMAND` answers, and the one that needs a checkout says so."""
    listed = in_empty_folder(tmp_path, elsewhere / "federation", "--help")
    assert listed.returncode == 0, listed.stderr
    trained = in_empty_folder(tmp_path, elsewhere / "federation", "local", "--rounds", "1", "--json")
    assert json.loads(trained.stdout)["federated"]["rows"] > 0
    rehearsal = in_empty_folder(tmp_path, elsewhere / "federation", "rehearse")
    assert rehearsal.returncode == 23
    assert "Clone the repository" in rehearsal.stderr


def test_publishing_from_the_wheel_packs_the_same_code(elsewhere: Path, tmp_path: Path) -> None:
    """The archive that clients run has the digest that the checkout gives it."""
    code = (
        "from federation.aws.publishing.source_archive import source_archive; print(source_archive().digest)"
    )
    installed = in_empty_folder(tmp_path, elsewhere / "python", "-c", code)
    checkout = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ
    )
    assert installed.stdout == checkout.stdout
