"""A server that dies, at any moment: the run goes on after the last finished round."""

import json
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.runs import Run, Start, clock_of, gone

Seen = Callable[[str], None]
ADAM = ("--rounds", "12", "--strategy", "fedadam", "--seed", "5")


def _resume(start: Start, run: Run, *options: object) -> Run:
    return start("--resume", run.folder, *options)


def _finished(run: Run) -> int:
    return len((run.folder / "rounds.jsonl").read_text().splitlines()) - 1


@pytest.mark.parametrize("phase", ["train", "evaluate"])
@pytest.mark.fault(
    "kill -9 the server in {phase}, then --resume", "the uninterrupted run's model, bit for bit"
)
def test_killed_in_a_round(phase: str, start: Start, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """At most the round in flight is lost; its clients end by themselves."""
    if phase == "train":
        run = start(*ADAM)
        run.until_round(2)
        frozen = run.freeze_in(phase, "site-1")
    else:
        run = start(*ADAM, faults={"site-1": {phase: "freeze"}})
        frozen = run.until_frozen("site-1")
    run.kill()
    with suppress(psutil.NoSuchProcess):  # the kernel has ended it already
        frozen.send_signal(signal.SIGCONT)
    orphans = run.clients()
    finished = _finished(run)
    again = _resume(start, run)
    code, said = again.finish()
    assert code == 0, said
    numbers = [one["round"] for one in again.find("round")]
    assert numbers == list(range(13)), "a finished round was done again, or lost"
    assert again.model() == undisturbed(*ADAM)
    assert gone(orphans)
    assert again.audit()[0] == 0, again.audit()
    seen(f"killed after round {finished} of 12, the same model; audit agrees")


@pytest.mark.fault(
    "kill -9 the server while clients join, then --resume", "the run begins, with the same model"
)
def test_killed_in_the_join(start: Start, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """No round was finished, and the settings are known: the resumed run is the whole run."""
    run = start(*ADAM)
    run.until_said("0 of 3 clients joined")
    run.kill()
    again = _resume(start, run)
    code, said = again.finish()
    assert code == 0, said
    assert again.model() == undisturbed(*ADAM)
    seen("began with round 1, the same model")


@pytest.mark.fault(
    "kill -9 the server after the last round, before the model is written; then --resume",
    "the model is written",
)
def test_killed_at_the_end(start: Start, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """All rounds are finished: the clients get the model again, and no round is trained."""
    run = start(*ADAM)
    run.until_round(12)
    run.kill()
    assert not (run.folder / "report.html").exists(), "the run ended before it was killed"
    again = _resume(start, run)
    code, said = again.finish()
    assert code == 0, said
    assert len(again.find("round")) == 13
    assert again.model() == undisturbed(*ADAM)
    seen("no round trained again, the same model")


@pytest.mark.fault(
    "resume a run that has ended, with other settings, with other data, or a folder without a run",
    "each refused with exit code 35, nothing changed",
)
def test_refused(start: Start, seen: Seen, data: Path, tmp_path: Path) -> None:
    """Each says what is wrong; the checkpoint is as it was."""
    own = tmp_path / "data"
    shutil.copytree(data, own)
    run = start("--rounds", 100_000, table=own)
    run.until_round(1)
    run.process.send_signal(signal.SIGTERM)
    run.finish()
    checkpoint = (run.folder / "checkpoint" / "round.zip").read_bytes()
    train = own / "site-1" / "train.csv"
    kept = train.read_text()

    def refused(words: str, *options: object) -> None:
        code, said = _resume(start, run, *options).finish()
        assert code == 35, said
        assert words in said

    refused("--rounds was 100000 and is 5", "--rounds", 5)
    train.write_text(kept.replace("1", "2", 1))
    refused("site-1/train.csv", "--rounds", 100_000)
    train.write_text(kept)
    (run.folder / "report.html").touch()
    refused("has ended")
    shutil.move(run.folder / "checkpoint", tmp_path / "kept")
    (run.folder / "report.html").unlink()
    refused("there is no run to resume")
    assert (tmp_path / "kept" / "round.zip").read_bytes() == checkpoint
    seen("exit code 35 each time, naming the option, the file, the end, the folder")


@pytest.mark.fault("the server's clock jumps by 30 h in mid-run", "the run finishes with the same model")
def test_the_clock_jumps(start: Start, seen: Seen, tmp_path: Path, undisturbed: Callable[..., str]) -> None:
    """Deadlines are measured by a clock that does not jump; the wall clock only stamps what is written."""
    offset = tmp_path / "offset"
    run = start(*ADAM, environment=clock_of(offset))
    run.until_round(3)
    offset.write_text("+30h\n")
    code, said = run.finish()
    assert code == 0, said
    days = {json.loads(line)["time"][:10] for line in (run.folder / "events.jsonl").read_text().splitlines()}
    assert len(days) == 2, "the clock did not jump"
    assert run.model() == undisturbed(*ADAM)
    seen("events.jsonl shows the jump; no deadline passed, the same model")


@pytest.mark.fault("a client's clock jumps by 30 h in mid-run", "the run finishes with the same model")
def test_a_clients_clock_jumps(
    start: Start, seen: Seen, tmp_path: Path, undisturbed: Callable[..., str]
) -> None:
    """It stays connected; its ledger shows the jump, and the audit compares no times."""
    offset = tmp_path / "offset"
    # A library that is loaded before all others needs a process of its own.
    of_its_own = {"FEDERATION_FORK_CLIENTS": "0"}
    run = start(*ADAM, environment=of_its_own, environments={"site-2": clock_of(offset)})
    run.until_round(3)
    offset.write_text("+30h\n")
    code, said = run.finish()
    assert code == 0, said
    ledger = run.folder / "clients" / "site-2" / "ledger.jsonl"
    days = {json.loads(line)["time"][:10] for line in ledger.read_text().splitlines()}
    assert len(days) == 2, "the clock did not jump"
    assert run.model() == undisturbed(*ADAM)
    assert run.audit()[0] == 0, run.audit()
    seen("its ledger shows the jump; it stays connected, the same model; audit agrees")
