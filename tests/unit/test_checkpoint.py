"""What a run keeps is one state: damage to a part of it is found, told, and costs as little as possible."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federation.errors import ResumeError
from federation.learning.federate import Federated
from federation.learning.rounds.record import Checkpoint
from federation.runs.record.checkpoint import CheckpointFolder
from federation.runs.record.record import RunRecord
from federation.runs.record.settings import recall, remember
from tests.unit.test_checked_strategy import Federation
from tests.unit.test_resume import CutShortError, cut_short, exactly, last_of

ROUNDS = 4
OPTIONS = {"started": "2026-11-28T05:00:00+00:00", "strategy": "fedadam", "seed": 3, "port": 0, "out": "run"}
ADAM: dict[str, Any] = {"strategy": "fedadam", "rounds": ROUNDS, "seed": 7}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was cut short in its last round."""
    folder = tmp_path_factory.mktemp("kept")
    remember(folder / "run", OPTIONS)
    record = RunRecord(folder / "run", options=OPTIONS)
    with pytest.raises(CutShortError):
        Federation(folder / "clients").run(cut_short("train", ROUNDS), record=record, **ADAM)
    return folder / "run"


@pytest.fixture
def run(kept: Path, tmp_path: Path) -> Path:
    """Return a copy of it to damage."""
    return Path(shutil.copytree(kept, tmp_path / "run"))


def resume(run: Path, clients: Path) -> Federated:
    """Go on with a run."""
    return Federation(clients).run(record=RunRecord(run, options=OPTIONS), **ADAM)


def cut(path: Path) -> None:
    """Lose the second half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip(path: Path) -> None:
    """Change one byte of the first array in an archive."""
    content = bytearray(path.read_bytes())
    content[zipfile.ZipFile(path).infolist()[1].header_offset + 200] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_the_earlier_round_is_used_if_the_last_is_damaged(
    damage: Callable[[Path], None], run: Path, tmp_path: Path
) -> None:
    """The model is the uninterrupted run's; a note names the file; what is whole is never overwritten."""
    damage(run / "checkpoint" / "round.zip")
    for _ in range(2):  # a run that is cut short again, before its next round, finds the same
        checkpoint = last_of(run)
        assert checkpoint.round == ROUNDS - 2
        (note,) = checkpoint.notes
        assert "checkpoint/round.zip is " in note
        assert f"going on after round {ROUNDS - 2}, which earlier.zip holds" in note
    resumed, whole = resume(run, tmp_path / "b"), Federation(tmp_path / "c").run(**ADAM)
    np.testing.assert_array_equal(resumed.model.coef, whole.model.coef)
    assert note in resumed.notes
    assert [one.round for one in resumed.rounds] == list(range(ROUNDS + 1))
    (run / "checkpoint" / "round.zip").unlink()
    assert last_of(run).round == ROUNDS - 1


def test_the_first_round_after_damage_leaves_the_whole_one(run: Path, tmp_path: Path) -> None:
    """Until two rounds are whole again, the earlier one is the only one."""
    flip(run / "checkpoint" / "round.zip")
    record = RunRecord(run, options=OPTIONS)
    with pytest.raises(CutShortError):
        Federation(tmp_path / "b").run(cut_short("train", 2), record=record, **ADAM)
    (run / "checkpoint" / "round.zip").unlink()
    assert last_of(run).round == ROUNDS - 2


def test_without_a_whole_round_nothing_is_trained_from(run: Path) -> None:
    """Both files are named."""
    flip(run / "checkpoint" / "round.zip")
    cut(run / "checkpoint" / "earlier.zip")
    with pytest.raises(ResumeError, match=r"round\.zip is damaged .*; earlier\.zip is damaged "):
        CheckpointFolder(run).load()


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_what_was_agreed_must_be_whole(damage: Callable[[Path], None], run: Path) -> None:
    """Nothing says what the model's numbers mean without it."""
    damage(run / "checkpoint" / "agreed.zip")
    with pytest.raises(ResumeError, match=r"agreed\.zip is damaged"):
        CheckpointFolder(run).load()


def test_files_of_two_runs_are_told_apart(run: Path, tmp_path: Path) -> None:
    """A model is of the preprocessing that it was trained with."""
    other = RunRecord(tmp_path / "other", options={**OPTIONS, "seed": 4})
    Federation(tmp_path / "b").run(record=other, **ADAM)
    shutil.copy(tmp_path / "other" / "checkpoint" / "agreed.zip", run / "checkpoint")
    with pytest.raises(ResumeError, match=r"agreed\.zip is of another run than round\.zip"):
        CheckpointFolder(run).load()


def test_no_changed_byte_is_trained_from(run: Path) -> None:
    """Wherever it is: what is read is what was written, or the earlier round, or an error of ours."""
    path = run / "checkpoint" / "round.zip"
    content = path.read_bytes()
    whole, earlier = last_of(run), _without(run, "round.zip")
    for at in range(0, len(content), 37):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
        found = last_of(run)
        expected = whole if found.round == whole.round else earlier
        assert exactly(found.arrays) == exactly(expected.arrays), at
        assert exactly(found.strategy) == exactly(expected.strategy), at


def _without(run: Path, name: str) -> Checkpoint:
    path = run / "checkpoint" / name
    moved = path.rename(path.with_suffix(".moved"))
    found = last_of(run)
    moved.rename(path)
    return found


def test_lost_models_do_not_begin_anew(run: Path) -> None:
    """Rounds that were finished are never trained again without a word."""
    for name in ("round.zip", "earlier.zip"):
        (run / "checkpoint" / name).unlink()
    rounds = (run / "rounds.jsonl").read_bytes()
    with pytest.raises(ResumeError, match=r"round\.zip and earlier\.zip are not there, although 3 rounds"):
        CheckpointFolder(run).load()
    assert (run / "rounds.jsonl").read_bytes() == rounds
    (run / "rounds.jsonl").unlink()
    with pytest.raises(ResumeError, match=r"although .*agreed\.zip is there"):
        CheckpointFolder(run).load()


def test_a_start_that_is_killed_while_it_begins_anew_can_be_resumed(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that finished no round is never taken for one that lost its rounds."""
    for name in ("round.zip", "earlier.zip"):
        (run / "checkpoint" / name).unlink()
    (run / "rounds.jsonl").write_bytes((run / "rounds.jsonl").read_bytes().splitlines(keepends=True)[0])
    unlink, removed = Path.unlink, list[Path]()

    def kill(path: Path, *, missing_ok: bool = False) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(path)
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", kill)
        with pytest.raises(KeyboardInterrupt):
            CheckpointFolder(run).load()
    assert not removed[0].exists()
    assert CheckpointFolder(run).load() is None


def _cut_lines(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))


def _damage_line(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace("roc_auc", "roc_anc")
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    ("damage", "lost"),
    [(Path.unlink, "rounds 0 to 2"), (_cut_lines, "round 2"), (_damage_line, "round 2")],
)
def test_lost_figures_do_not_lose_the_model(
    damage: Callable[[Path], None], lost: str, run: Path, tmp_path: Path
) -> None:
    """The training goes on to the same model; a note names the rounds whose figures are lost."""
    damage(run / "rounds.jsonl")
    resumed, whole = resume(run, tmp_path / "b"), Federation(tmp_path / "c").run(**ADAM)
    np.testing.assert_array_equal(resumed.model.coef, whole.model.coef)
    (note,) = [note for note in resumed.notes if "figures" in note and "lost" in note]
    assert f"the figures of {lost} are lost" in note
    assert "rounds.jsonl" in note
    assert [one.round for one in resumed.rounds][-2:] == [ROUNDS - 1, ROUNDS]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("strategy", "fedmedian", '--strategy was "fedadam" and is "fedmedian"'), ("seed", 4, "--seed was 3")],
)
def test_settings_that_were_edited_are_refused(name: str, value: object, words: str, run: Path) -> None:
    """The rounds so far were trained with others."""
    (run / "checkpoint" / "settings.json").write_text(json.dumps({**OPTIONS, name: value}))
    with pytest.raises(ResumeError, match=rf"settings\.json was changed since the run began: {words}"):
        recall(run, {}, OPTIONS)


@pytest.mark.parametrize(("name", "value"), [("port", 9), ("out", "elsewhere")])
def test_settings_that_say_how_to_run_may_differ(name: str, value: object, run: Path) -> None:
    """As on the command line; and a run folder may be moved before it is resumed, more than once."""
    (run / "checkpoint" / "settings.json").write_text(json.dumps({**OPTIONS, name: value}))
    assert recall(run, {}, OPTIONS)[name] == value
