"""What a resumed run holds on to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client_code.protocol.preparation import Preparation
from federation.data.table import Table
from federation.errors import ResumeError
from federation.learning.agreement import agree, digest_of, refuse_change
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.rounds.figures import Round
from federation.learning.rounds.record import Checkpoint
from federation.model.quality.metrics import Metrics
from federation.runs.record.archive import read_archive, write_archive
from federation.runs.record.checkpoint import AGREED, FOLDER, ROUND, CheckpointFolder
from tests.unit.test_preprocessing import statistics

TEST = Table(
    features=("age", "color"),
    X=np.array([[1.0, 0.0], [2.0, 1.0]]),
    y=np.array([0, 1]),
    label="y",
    levels={"color": ("blue", "red")},
)


def test_other_held_back_rows_have_another_digest() -> None:
    """Names, numbers, labels and the words behind a level's number all count."""
    changed = [
        replace(TEST, label="z"),
        replace(TEST, features=("years", "color")),
        replace(TEST, X=TEST.X + np.array([1.0, 0.0])),
        replace(TEST, y=1 - TEST.y),
        replace(TEST, levels={"color": ("blue", "green")}),
    ]
    assert len({digest_of(table) for table in (TEST, *changed)}) == 6
    assert digest_of(replace(TEST, X=TEST.X.copy())) == digest_of(TEST)


# How rows were prepared -------------------------------------------------------------------------------------

NUMBERS = Table(
    features=("delta", "money"),
    X=np.array([[1.0, 0.0], [2.0, 1.0]]),
    y=np.array([0, 1]),
    label="y",
)


def clients(preparation: Preparation | None) -> list[ClientStatistics]:
    """Return the statistics of one client that tells this."""
    return [replace(statistics(), preparation=preparation)]


PREPARED = Preparation(resample="smote", rows=80, positives=3, synthetic=False)


@pytest.mark.parametrize("now", [None, replace(PREPARED, rows=81), replace(PREPARED, resample="balanced")])
def test_a_resumed_run_keeps_to_how_rows_were_prepared(now: Preparation | None) -> None:
    """The intercept is corrected by it."""
    agreed = agree(clients(PREPARED), NUMBERS)
    refuse_change(agreed, clients(PREPARED), NUMBERS)
    with pytest.raises(ResumeError, match='client "a": its data are not those'):
        refuse_change(agreed, clients(now), NUMBERS)


@pytest.mark.parametrize("told", [PREPARED, None])
def test_a_checkpoint_keeps_how_rows_were_prepared(told: Preparation | None, tmp_path: Path) -> None:
    """It comes back as it was told."""
    assert kept(told, tmp_path)[0].preparation == told


def test_a_checkpoint_of_an_earlier_version_knows_nothing_of_it(tmp_path: Path) -> None:
    """It can be gone on with by clients that tell nothing either, or something."""
    kept(PREPARED, tmp_path)
    state = read_archive(tmp_path / FOLDER / AGREED)
    for one in state["clients"]:
        del one["preparation"]
    write_archive(tmp_path / FOLDER / AGREED, state)
    last = read_archive(tmp_path / FOLDER / ROUND)
    del last["agreed"]
    write_archive(tmp_path / FOLDER / ROUND, last)
    checkpoint = CheckpointFolder(tmp_path).load()
    assert checkpoint is not None
    for now in (None, PREPARED):
        refuse_change(checkpoint.agreement, clients(now), NUMBERS)


def kept(told: Preparation | None, run: Path) -> list[ClientStatistics]:
    """Write a checkpoint, and return the statistics that it holds."""
    agreement = agree(clients(told), NUMBERS)
    folder = CheckpointFolder(run)
    untrained = Round(round=0, server=dict.fromkeys(Metrics.__required_keys__, 0.5))
    folder.save(Checkpoint(agreement=agreement, rounds=[untrained], arrays={}, strategy={}))
    checkpoint = folder.load()
    assert checkpoint is not None
    return checkpoint.agreement.statistics
