"""A run folder that two commands want, that is damaged between two runs, or that goes in mid-run."""

import json
import re
import shutil
import signal
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.faults.runs import Run, Start, gone
from tests.faults.test_server import ADAM
from tests.faults.wire import Wire

Seen = Callable[[str], None]
SHORT = ("--rounds", "3", "--seed", "5")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Return the folder of a run that was ended after a few of its rounds."""
    run = Run(tmp_path_factory.mktemp("interrupted") / "run", data, [*ADAM], {})
    try:
        run.until_round(3)
        run.process.send_signal(signal.SIGTERM)
        assert run.finish()[0] == 143
    finally:
        run.end()
    assert len(run.rounds()) < 12, "it was too fast"
    return run.folder


@pytest.fixture
def cut(interrupted: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(interrupted, tmp_path / "run"))


def _ends(runs: Sequence[Run]) -> dict[int, str]:
    """Wait for runs; return what each has said by its exit code."""
    return dict(run.finish() for run in runs)


def _is_told_who_has_it(said: str, winner: Run) -> bool:
    return f"in use by process {winner.process.pid} on " in said


@pytest.mark.fault("two starts in one folder at the same moment", "one runs; the other ends, with 39 or 20")
def test_two_starts(start: Start, seen: Seen) -> None:
    """The loser names the winner, or finds its files; the winner's folder is whole, and the audit agrees."""
    runs = [start(*SHORT), start(*SHORT)]
    ends = _ends(runs)
    (loser,) = ends.keys() - {0}
    assert loser in (39, 20), ends
    [winner] = [run for run in runs if run.process.returncode == 0]
    assert loser == 20 or _is_told_who_has_it(ends[loser], winner)
    assert len(winner.rounds()) == 4
    assert winner.audit()[0] == 0, winner.audit()
    seen(f"one ended with 0, the other with {loser}; audit agrees")


@pytest.mark.fault("two resumes of one run at the same moment", "one goes on; the other ends, with 39")
def test_two_resumes(start: Start, cut: Path, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """Or with 35, if it comes when the other has ended."""
    runs = [start("--resume", cut), start("--resume", cut)]
    ends = _ends(runs)
    (loser,) = ends.keys() - {0}
    assert loser in (39, 35), ends
    [winner] = [run for run in runs if run.process.returncode == 0]
    assert loser == 35 or _is_told_who_has_it(ends[loser], winner)
    assert winner.model() == undisturbed(*ADAM)
    assert winner.audit()[0] == 0, winner.audit()
    seen(f"one ended with the same model, the other with {loser}; audit agrees")


@pytest.mark.fault(
    "a start in the folder of a run that is resumed", "it ends with 39 or 20, and disturbs nothing"
)
def test_a_start_beside_a_resume(
    start: Start, cut: Path, seen: Seen, undisturbed: Callable[..., str]
) -> None:
    """Nothing of the run is removed."""
    resumed, other = start("--resume", cut), start(*SHORT)
    code, said = other.finish()
    assert code in (39, 20), said
    assert resumed.finish()[0] == 0, resumed.said()
    assert resumed.model() == undisturbed(*ADAM)
    assert resumed.audit()[0] == 0, resumed.audit()
    seen(f"exit code {code}; the resumed run ended with the same model, audit agrees")


def _flip(path: Path) -> None:
    """Change one byte of an archive's first array."""
    content = bytearray(path.read_bytes())
    content[zipfile.ZipFile(path).infolist()[1].header_offset + 200] ^= 1
    path.write_bytes(content)


@pytest.mark.fault(
    "one byte of the last round's checkpoint changes, and events.jsonl and a ledger end in half a line",
    "--resume goes on after the round before, and says so; the uninterrupted run's model, bit for bit",
)
def test_a_damaged_checkpoint(start: Start, cut: Path, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """Half a line damages no other: what a process left that was killed while it wrote."""
    _flip(cut / "checkpoint" / "round.zip")
    for name in ("events.jsonl", "clients/site-1/ledger.jsonl"):
        with (cut / name).open("a") as file:
            file.write('{"time": "2026-11-')
    run = start("--resume", cut)
    code, said = run.finish()
    assert code == 0, said
    told = re.search(
        r"round\.zip is damaged .*: (going on after round (\d+), which earlier\.zip holds)", said
    )
    assert told, said
    assert told[1] in (cut / "report.html").read_text()
    assert run.model() == undisturbed(*ADAM)
    assert run.audit()[0] == 0, run.audit()
    seen(f"told in a line, went on after round {told[2]}, the same model; audit agrees")


@pytest.mark.fault(
    "rounds.jsonl is gone when a run is resumed",
    "the same model; the report names the rounds without figures",
)
def test_lost_figures(start: Start, cut: Path, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """What is only told is not needed."""
    last = len((cut / "rounds.jsonl").read_text().splitlines()) - 2
    (cut / "rounds.jsonl").unlink()
    run = start("--resume", cut)
    code, said = run.finish()
    assert code == 0, said
    words = f"the figures of rounds 0 to {last} are lost"
    assert words in said
    assert words in (cut / "report.html").read_text()
    assert run.model() == undisturbed(*ADAM)
    seen(f'"{words}", in the report too; the same model')


def _without_a_round(run: Path) -> None:
    for name in ("round.zip", "earlier.zip"):
        (run / "checkpoint" / name).unlink()


def _both_damaged(run: Path) -> None:
    for name in ("round.zip", "earlier.zip"):
        _flip(run / "checkpoint" / name)


def _edited(run: Path) -> None:
    path = run / "checkpoint" / "settings.json"
    path.write_text(path.read_text().replace('"fedadam"', '"fedmedian"'))


def _of_another_shape(run: Path) -> None:
    (run / "checkpoint" / "settings.json").write_text(json.dumps({"out": "x"}))


@pytest.mark.parametrize(
    ("what", "damage", "words"),
    [
        ("both rounds of the checkpoint are damaged", _both_damaged, "earlier.zip is damaged"),
        ("both rounds of the checkpoint are gone", _without_a_round, "although"),
        ("settings.json is edited by hand", _edited, '--strategy was "fedadam" and is "fedmedian"'),
        ("settings.json is other JSON", _of_another_shape, "settings.json is damaged"),
    ],
)
@pytest.mark.fault("{what} when a run is resumed", "ends with exit code 35 before a client starts")
def test_what_is_refused(
    what: str, damage: Callable[[Path], None], words: str, start: Start, cut: Path, seen: Seen
) -> None:
    """The file or the option is named, and no file is changed."""
    assert what
    damage(cut)
    before = {path: path.read_bytes() for path in cut.glob("checkpoint/*.zip")}
    code, said = start("--resume", cut).finish()
    assert code == 35, said
    assert words in said
    assert "Traceback" not in said
    assert "Starting" not in said
    assert {path: path.read_bytes() for path in cut.glob("checkpoint/*.zip")} == before
    seen(f'exit code 35: "… {words} …"')


def _moved(folder: Path) -> Path:
    return folder.rename(folder.with_name("elsewhere"))


def _removed(folder: Path) -> Path:
    moved = _moved(folder)
    shutil.rmtree(moved, ignore_errors=True)
    return moved


@pytest.mark.parametrize(("what", "change"), [("renamed", _moved), ("removed", _removed)])
@pytest.mark.fault(
    "the run folder is {what} in mid-run", "ends with exit code 36, which says so, and makes no folder anew"
)
def test_the_folder_goes(what: str, change: Callable[[Path], Path], start: Start, seen: Seen) -> None:
    """The clients end too; the record in the folder has the cause, wherever it is."""
    run = start("--rounds", 100_000)
    run.until_round(2)
    clients = run.clients()
    kept = change(run.folder)
    code, said = run.finish(timeout=60)
    assert code == 36, said
    assert f"the run folder {run.folder} was moved or removed in mid-run" in said
    assert "Traceback" not in said
    assert gone(clients)
    assert not (run.folder / "checkpoint").exists()
    assert what == "removed" or (kept / "checkpoint" / "round.zip").exists()
    seen("exit code 36, with the cause; no process left")


@pytest.mark.fault(
    "the run folder becomes read-only in mid-run; then writable, then --resume",
    "ends with exit code 36, which names the file and the cause; the same model after resume",
)
def test_the_folder_becomes_read_only(start: Start, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """The remedy is not to make room."""
    run = start(*ADAM, without_override=True)
    run.until_round(2)
    checkpoint = run.folder / "checkpoint"
    checkpoint.chmod(0o500)
    code, said = run.finish(timeout=60)
    assert code == 36, said
    assert "checkpoint/round.zip: Permission denied. Make it writable" in said
    checkpoint.chmod(0o700)
    again = start("--resume", run.folder)
    assert again.finish()[0] == 0, again.said()
    assert again.model() == undisturbed(*ADAM)
    seen('exit code 36, "Permission denied. Make it writable"; resumed with the same model')


@pytest.mark.fault(
    "another process listens on the server's port", "ends with exit code 30, and leaves nothing"
)
def test_a_taken_port(start: Start, seen: Seen, wire: Wire) -> None:
    """No client is started."""
    run = start("--port", wire.port)
    code, said = run.finish()
    assert code == 30, said
    assert not run.folder.exists()
    assert run.clients() == []
    seen("exit code 30, no folder, no process")
