"""Each JSON file of ours that is read back is checked by shape, not only by syntax.

Every part of a file in turn is replaced by values of another shape, and left out: its reader returns what it
can use, or raises an error of ours that an operator can read. No reader of JSON in `federation` is left out.
"""

import datetime as dt
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client_code.protocol.contract import Contract, Rule
from federation.api.model import Model
from federation.api.run import Run
from federation.aws.jobs.found_jobs import JobFinder
from federation.config.contract import contract_beside
from federation.config.schema import load_config
from federation.data.preparation.manifest import read_manifest
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.errors import FederationError
from federation.runs.folder import read_egress
from federation.runs.record.checkpoint import CheckpointFolder
from federation.runs.record.ledgers import compare, read_events, read_ledgers
from federation.runs.record.record import RunRecord
from federation.runs.record.settings import attempts, recall, remember
from tests.conftest import ROOT
from tests.unit.test_checked_strategy import Federation

OPTIONS: dict[str, Any] = {"started": "2026-11-28T05:00:00+00:00", "strategy": "fednewton", "seed": 3}
DEFAULTS = {**OPTIONS, "out": None, "keep": [], "rounds": 5, "c": 1.0}
OTHER: tuple[Any, ...] = (None, True, 0, -1.5, "x", [], [1], {}, {"a": 1})
LOCAL, LEDGER = "data/manifest.json", "clients/anna/ledger.jsonl"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one of each file."""
    run = tmp_path_factory.mktemp("written") / "run"
    remember(run, OPTIONS)
    trained = Federation(run / "of").run(
        record=RunRecord(run, options=OPTIONS), strategy="fednewton", penalty="none", rounds=3
    )
    (run / "model.json").write_text(trained.model.to_json())
    server = trained.rounds[-1].server
    (run / "metrics.json").write_text(
        json.dumps({"federated": server, "pooled": None, "local": {"a": server}})
    )
    (run / "run.json").write_text(json.dumps({"strategy": "fednewton"}))
    sent = {"kind": "train", "round": 1, "bytes": 9, "sha256": "f" * 64, "arrays": [{"name": "coef"}]}
    (run / LEDGER).parent.mkdir(parents=True)
    (run / LEDGER).write_text(
        json.dumps({"line": 1, "time": "t", **sent, "metrics": [], "config": []}) + "\n"
    )
    received = {"event": "received", "client": "anna", **sent, "used": True}
    (run / "events.jsonl").write_text(json.dumps({"time": "t", **received}) + "\n")
    prepare(None, run / "data", PreparationSettings(label=LABEL, clients=2, partition="iid"))
    (run / "jobs.json").write_text(json.dumps({"jobs": {"a": "claims-a-1"}}))
    (run / "contract.json").write_text(Contract(label="y", columns={"x": Rule(type="numeric")}).to_json())
    return run


class Bucket:
    """A results bucket that holds one note."""

    bucket = "results"

    def __init__(self, note: Path) -> None:
        self._note = note

    def sizes(self, prefix: str) -> dict[str, int]:
        """Tell of it."""
        return {f"{prefix}20991128-000000-aaaa/jobs.json": 1}

    def read(self, key: str) -> bytes:
        """Return it."""
        assert key
        return self._note.read_bytes()


def _model(run: Path) -> None:
    model = Model.load(run / "model.json")
    assert len(model.coefficients)
    assert model.references is not None
    assert model.site_intercepts is None or model.site_intercepts


def _rounds(run: Path) -> None:
    assert len(Run(run).rounds)
    CheckpointFolder(run).load()


def _ledger(run: Path) -> None:
    assert read_egress(run / LEDGER).messages
    assert len(Run(run).egress)
    assert compare("anna", [], read_ledgers([run / LEDGER])).client


def _events(run: Path) -> None:
    (run / LEDGER).unlink(missing_ok=True)
    received = read_events(run / "events.jsonl")
    assert compare("anna", received.get("anna", []), []).client
    assert attempts(run) == 0
    Run(run).egress.info(buf=io.StringIO())


def _jobs(run: Path) -> None:
    config = load_config(ROOT / "config" / "example.toml")
    finder = JobFinder(config, Bucket(run / "jobs.json"), {}, now=dt.datetime.now(dt.UTC))  # type: ignore[arg-type]
    assert all(isinstance(name, str) for _, name in finder._noted)


def _contract(run: Path) -> None:
    assert contract_beside(run / "test.csv")


READERS: dict[str, Callable[[Path], object]] = {
    "model.json": _model,
    "metrics.json": lambda run: Run(run).metrics,
    "run.json": lambda run: Run(run).settings,
    "rounds.jsonl": _rounds,
    LEDGER: _ledger,
    "events.jsonl": _events,
    "checkpoint/settings.json": lambda run: recall(run, {}, DEFAULTS),
    LOCAL: lambda run: read_manifest(run / "data"),
    "jobs.json": _jobs,
    "contract.json": _contract,
}


def _changed(value: Any) -> Iterator[Any]:
    """Return a value with one part of it of another shape, or left out; all ways."""
    yield from OTHER
    if isinstance(value, dict):
        for key in value:
            yield {name: part for name, part in value.items() if name != key}
            for other in _changed(value[key]):
                yield {**value, key: other}
    elif isinstance(value, list):
        for at in range(min(len(value), 2)):
            for other in _changed(value[at]):
                yield [*value[:at], other, *value[at + 1 :]]


@pytest.mark.parametrize("name", READERS)
def test_no_shape_ends_in_a_traceback(name: str, written: Path, tmp_path: Path) -> None:
    """What its reader cannot use is an error that names the file, or says what the model lacks."""
    run = Path(shutil.copytree(written, tmp_path / "run"))
    READERS[name](run)
    path, lines = run / name, (written / name).read_text().splitlines()
    whole = json.loads(lines[0] if name.endswith(".jsonl") else "\n".join(lines))
    refused, lines_of_error = 0, set[int]()
    for other in _changed(whole):
        text = json.dumps(other)
        path.write_text("\n".join([text, *lines[1:]]) + "\n" if name.endswith(".jsonl") else text)
        try:
            READERS[name](run)
        except FederationError as error:
            refused += 1
            lines_of_error.add(str(error).count("\n"))
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error} for {text[:300]}") from error
    assert refused > len(OTHER) / 2
    assert lines_of_error == {0}


@pytest.mark.parametrize("name", ["round.zip", "agreed.zip"])
def test_no_shape_in_a_checkpoint_ends_in_a_traceback(name: str, written: Path, tmp_path: Path) -> None:
    """Its archives hold JSON too."""
    run = Path(shutil.copytree(written, tmp_path / "run"))
    (run / "checkpoint" / "earlier.zip").unlink()
    with zipfile.ZipFile(written / "checkpoint" / name) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    refused = 0
    for number, other in enumerate(_changed(json.loads(members["state.json"]))):
        if number > len(OTHER) and number % 23:
            continue
        with zipfile.ZipFile(run / "checkpoint" / name, "w") as archive:
            for member, content in (members | {"state.json": json.dumps(other).encode()}).items():
                archive.writestr(member, content)
        try:
            CheckpointFolder(run).load()
        except FederationError:
            refused += 1
    assert refused > len(OTHER)


CHECKED = {
    "model/linear.py": "model.json",
    "aws/jobs/found_jobs.py": "jobs.json",
    "api/run.py": "metrics.json",
    "data/preparation/manifest.py": LOCAL,
    "runs/record/settings.py": "checkpoint/settings.json",
    "runs/record/ledgers.py": LEDGER,
    "runs/record/checkpoint.py": "rounds.jsonl",
}
ELSEWHERE = {
    "runs/record/archive.py": "above, the checkpoint's archives",
    "data/files/typed.py": "tables of the user: tests/unit/test_damaged_tables.py",
    "learning/preprocessing/statistics.py": "what clients send: tests/fuzz",
    "runs/local/fork_server.py": "what its own parent process writes",
    "runs/local/forked.py": "what its own child process writes",
    "runs/local/repeat.py": "what the same process wrote just before",
}


def test_no_reader_of_json_is_left_out() -> None:
    """A new one says here what checks it; the rehearsal reads what its own processes write."""
    package = ROOT / "federation"
    reading = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\b(json\.loads?|\.?validate_json)\(", path.read_text())
    }
    assert {name for name in reading if not name.startswith("rehearse/")} == {*CHECKED, *ELSEWHERE}
    assert set(CHECKED.values()) <= READERS.keys()
