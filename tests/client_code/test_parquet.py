"""pyarrow is installed only where a file needs it, and a Parquet file stands in for a CSV file."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

import contract
from client_code.protocol.contract import NAME
from errors import ContractError, PyarrowMissingError
from parquet import need_pyarrow, pip_install, stand_in

CLIENT_CODE = Path(contract.__file__).parent


class Job:
    """Stands in for a job's environment: what can be imported, and whether pip succeeds."""

    def __init__(self, *, there: bool = False, succeeds: bool = True) -> None:
        self.there, self.succeeds, self.installed = there, succeeds, 0

    def available(self) -> bool:
        return self.there

    def install(self) -> bool:
        self.installed += 1
        self.there = self.succeeds
        return self.succeeds


def test_pyarrow_that_is_there_is_left_alone() -> None:
    """The training image may have it."""
    job = Job(there=True)
    need_pyarrow("train.parquet", available=job.available, install=job.install)
    assert job.installed == 0


def test_pyarrow_is_installed_once(caplog: pytest.LogCaptureFixture) -> None:
    """Before the first file that needs it; the log says for which."""
    job = Job()
    caplog.set_level("INFO")
    for name in ("train.parquet", "validation.parquet"):
        need_pyarrow(name, available=job.available, install=job.install)
    assert job.installed == 1
    assert [record.getMessage()[:27] for record in caplog.records] == ["train.parquet needs pyarrow"]


def test_the_error_names_the_file_and_what_to_do() -> None:
    """No such wheel is in the channel, or not the one that is locked."""
    job = Job(succeeds=False)
    with pytest.raises(
        PyarrowMissingError, match=r"^train\.parquet needs pyarrow.*federation\.publish"
    ) as told:
        need_pyarrow("train.parquet", available=job.available, install=job.install)
    assert told.value.exit_code == 91


def _wheel(folder: Path, name: str) -> str:
    """Write a wheel of a package with nothing in it, and return its line in a lock."""
    file, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


@pytest.mark.process
@pytest.mark.parametrize(
    ("spoilt", "installed"), [(False, True), (True, False)], ids=["the locked wheel", "another"]
)
def test_pip_takes_the_locked_wheel_of_the_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, spoilt: bool, installed: bool
) -> None:
    """The real pip: no index, the channel that ``WHEELHOUSE`` names, and the very bytes of the lock."""
    channel, target = tmp_path / "channel", tmp_path / "installed"
    channel.mkdir()
    line = _wheel(channel, "made_up_for_this_test")
    if spoilt:
        _wheel(channel, "another")
        (channel / "another-1.0-py3-none-any.whl").rename(
            channel / "made_up_for_this_test-1.0-py3-none-any.whl"
        )
    lock = tmp_path / "requirements-arrow.txt"
    head = (CLIENT_CODE / lock.name).read_text(encoding="utf-8").partition("pyarrow==")[0]
    lock.write_text(f"{head}{line}\n", encoding="utf-8")
    monkeypatch.setenv("WHEELHOUSE", str(channel))
    monkeypatch.setenv("PIP_TARGET", str(target))
    assert pip_install(lock) is installed
    assert (target / "made_up_for_this_test.py").is_file() is installed


def test_a_parquet_file_stands_in_only_for_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A CSV file that is there is what the server asked for."""
    csv, parquet = tmp_path / "train.csv", tmp_path / "train.parquet"
    assert stand_in(csv) == csv
    parquet.touch()
    assert stand_in(csv) == parquet
    csv.touch()
    assert stand_in(csv) == csv


def test_a_parquet_file_is_held_to_the_contract_too(tmp_path: Path) -> None:
    """The client tells the contract's digest only if the rows that it will use keep it."""
    terms = '{"label": "y", "positive": null, "columns": {"a": {"type": "numeric", "maximum": 1}}}'
    (tmp_path / NAME).write_text(terms, encoding="utf-8")
    for name, value in (("train", 2.0), ("validation", 1.0)):
        pd.DataFrame({"a": [value], "y": [1]}).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(ContractError, match=r"train\.parquet breaks the contract"):
        contract.kept(tmp_path, ("train.csv", "validation.csv"))


@pytest.mark.process
def test_small_csv_files_are_read_without_pyarrow(tmp_path: Path) -> None:
    """And without installing it: it stays out of the process that opens the task."""
    rows = "a,y\n" + "1.5,0\n2.5,1\n" * 20
    for name in ("train.csv", "validation.csv"):
        (tmp_path / name).write_text(rows, encoding="utf-8")
    script = f"""
import sys
sys.modules["pyarrow"] = None  # as if it were not installed
import memory, parquet, pathlib
parquet.pip_install = None
folder = pathlib.Path({str(tmp_path)!r})
task = memory.open_task(folder / "train.csv", folder / "validation.csv", name="a", label="y",
                        max_iter=1, model_dir=folder)
print(task.train.counts())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=CLIENT_CODE, capture_output=True, text=True, check=False
    )
    assert done.stdout == "(40, 20)\n", done.stderr
