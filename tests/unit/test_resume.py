"""A training that was cut short goes on as if nothing had happened, and never with other data."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from federation.errors import ResumeError, StorageError
from federation.learning.federate import Federated
from federation.learning.rounds.record import Checkpoint
from federation.learning.strategies.catalogue import STRATEGIES, create_strategy
from federation.learning.strategies.state import get_state, set_state
from federation.runs.record.checkpoint import CheckpointFolder
from federation.runs.record.record import RunRecord
from federation.runs.record.settings import recall, remember
from tests.unit.test_checked_strategy import Federation, Spoil, in_training

ROUNDS = 4
MOMENTUM = {"fedavgm": {"server_momentum": "0.9"}}
PARAMETERS = MOMENTUM | {"fedavg": {"fraction_train": "0.7"}}


class CutShortError(Exception):
    """Stands for whatever ends a process."""


def cut_short(message_type: str, at: int) -> Spoil:
    """Return what ends the run at the client's n-th reply of a kind, in the middle of a round."""
    seen = iter(range(1, 1000))

    def spoil(reply: Message) -> Message:
        if reply.metadata.message_type.startswith(message_type) and next(seen) == at:
            raise CutShortError
        return reply

    return spoil


def last_of(run: Path) -> Checkpoint:
    """Return the checkpoint in a run folder."""
    checkpoint = CheckpointFolder(run).load()
    assert checkpoint is not None
    return checkpoint


def exactly(value: Any) -> Any:
    """Return a value whose equality is that of every bit."""
    if isinstance(value, np.ndarray):
        return (value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, dict):
        return {key: exactly(part) for key, part in value.items()}
    return [exactly(part) for part in value] if isinstance(value, list) else repr(value)


def comparable(rounds: list[Any]) -> list[dict[str, Any]]:
    """Return rounds as JSON without what the clock says."""

    def without_seconds(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: without_seconds(v) for k, v in value.items() if k not in ("seconds", "overhead")}
        return value

    return [without_seconds(one.as_json()) for one in rounds]


def settings_of(name: str) -> dict[str, Any]:
    """Return the settings of a run with a strategy."""
    parameters = PARAMETERS.get(name, {})
    return {"strategy": name, "rounds": ROUNDS, "parameters": parameters, "seed": 7}


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], tuple[Federated, Checkpoint]]:
    """Return what runs a strategy to the end, once, and its last checkpoint."""

    @cache
    def run(name: str) -> tuple[Federated, Checkpoint]:
        folder = tmp_path_factory.mktemp(name)
        result = Federation(folder / "clients").run(record=RunRecord(folder / "run"), **settings_of(name))
        return result, last_of(folder / "run")

    return run


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        *((name, "train") for name in [*STRATEGIES, "auto"]),
        ("fedadam", "evaluate.calibration"),
        ("fedadam", "evaluate"),
        ("fedadam", "query.save_model"),
    ],
)
def test_the_resumed_run_equals_the_uninterrupted_one(
    name: str, phase: str, tmp_path: Path, uninterrupted: Callable[[str], tuple[Federated, Checkpoint]]
) -> None:
    """Weights, what the strategy carries, and every figure: to the last bit, wherever it was cut."""
    settings = settings_of(name)
    whole, kept = uninterrupted(name)
    at = 2 if phase == "train" else 1
    with pytest.raises(CutShortError):
        Federation(tmp_path / "b").run(cut_short(phase, at), record=RunRecord(tmp_path / "cut"), **settings)
    again = Federation(tmp_path / "c")
    resumed = again.run(record=RunRecord(tmp_path / "cut"), **settings)

    np.testing.assert_array_equal(resumed.model.coef, whole.model.coef)
    assert resumed.model.intercept == whole.model.intercept
    assert resumed.conclusion == whole.conclusion
    assert resumed.taken == whole.taken
    assert comparable(resumed.rounds) == comparable(whole.rounds)
    assert exactly(last_of(tmp_path / "cut").strategy) == exactly(kept.strategy)
    assert len(again.notes.rounds) < ROUNDS, "rounds were done again"


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "fednewton"])
def test_a_flower_strategys_state_is_all_that_it_carries(name: str) -> None:
    """Two rounds change no attribute of a strategy but those that are kept, and its copy of the model.

    A version of Flower whose strategies carry something else fails here.
    """
    used, fresh = (create_strategy(name, MOMENTUM.get(name, {}), clients=3) for _ in range(2))
    grid: Any = SimpleNamespace(get_node_ids=lambda: [2, 3, 4])
    model = ArrayRecord({"coef": Array(np.zeros((1, 4)))})
    for number in (1, 2):
        messages = used.configure_train(number, model, ConfigRecord(), grid)
        replies = [
            Message(
                RecordDict(
                    {
                        "arrays": ArrayRecord({"coef": Array(np.full((1, 4), number + 0.1 * at))}),
                        "metrics": MetricRecord({"num-examples": 10, "train_loss": 0.1}),
                    }
                ),
                reply_to=message,
            )
            for at, message in enumerate(messages)
        ]
        aggregated, _ = used.aggregate_train(number, replies)
        assert aggregated is not None
        model = aggregated
    changed = {key for key, value in vars(used).items() if repr(value) != repr(vars(fresh)[key])}
    assert changed - {"current_arrays"} == set(get_state(used))
    set_state(fresh, get_state(used))
    assert exactly(get_state(fresh)) == exactly(get_state(used))


@pytest.mark.parametrize("lacking", ["sites", "intercepts"])
def test_a_state_that_an_earlier_version_kept_is_refused(lacking: str) -> None:
    """Newton's knew no site intercepts: the error says to begin anew."""
    strategy = create_strategy("fednewton", {}, clients=3)
    kept = {key: value for key, value in get_state(strategy).items() if key != lacking}
    with pytest.raises(ResumeError, match=rf"an earlier version kept the strategy's state .*{lacking}"):
        set_state(strategy, kept)


def test_a_run_that_ended_before_round_1_begins_anew(tmp_path: Path) -> None:
    """Nothing was finished, so nothing is taken over."""
    with pytest.raises(CutShortError):
        Federation(tmp_path / "a").run(cut_short("query.statistics", 1), record=RunRecord(tmp_path / "cut"))
    federation = Federation(tmp_path / "b")
    result = federation.run(record=RunRecord(tmp_path / "cut"))
    assert [one.round for one in federation.notes.rounds] == [0, 1, 2]
    np.testing.assert_array_equal(result.model.coef, Federation(tmp_path / "c").run().model.coef)


def test_a_line_of_an_unfinished_round_is_dropped(tmp_path: Path) -> None:
    """A process killed between the two writes of a round leaves a line too many."""
    Federation(tmp_path / "a").run(record=RunRecord(tmp_path / "run"))
    rounds = tmp_path / "run" / "rounds.jsonl"
    lines = rounds.read_text()
    rounds.write_text(lines + '{"round": 3, "torn')
    assert last_of(tmp_path / "run").round == 2
    assert rounds.read_text() == lines


def _other_rows(federation: Federation) -> None:
    federation.tasks[1].train.X[0, 0] += 1.0


def _other_test(federation: Federation) -> None:
    federation.test.X[0, 0] += 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [(_other_rows, 'client "bert": its data are not those'), (_other_test, "the server's held-back rows")],
)
def test_other_data_are_refused(change: Callable[[Federation], None], words: str, tmp_path: Path) -> None:
    """One changed value at one party: the run says whose, and trains nothing."""
    with pytest.raises(CutShortError):
        Federation(tmp_path / "a").run(cut_short("train", 2), record=RunRecord(tmp_path / "cut"))
    federation = Federation(tmp_path / "b")
    change(federation)
    with pytest.raises(ResumeError, match=words):
        federation.run(record=RunRecord(tmp_path / "cut"))
    assert federation.notes.rounds == []


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    """A full disk ends the run with its own error; the round before can be resumed from."""
    folder = tmp_path / "run" / "checkpoint"

    def fill_disk(_content: object) -> None:
        if (folder / "round.zip").exists():
            (tmp_path / "run" / "rounds.jsonl").unlink()
            (tmp_path / "run" / "rounds.jsonl").symlink_to("/dev/full")

    with pytest.raises(StorageError, match=r"rounds\.jsonl: No space left"):
        Federation(tmp_path / "a").run(in_training(fill_disk), record=RunRecord(tmp_path / "run"))
    assert (folder / "round.zip").exists()


@pytest.mark.parametrize(
    "kept", ["[]", '{"out": "x"}', '{"started": "yesterday"}', """{"started": "2026-11-28", "seed": "x"}"""]
)
def test_settings_that_are_none_of_ours_are_refused(kept: str, tmp_path: Path) -> None:
    """JSON of another shape is as damaged as text that is no JSON."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "settings.json").write_text(kept)
    with pytest.raises(ResumeError, match=r"settings\.json is damaged"):
        recall(tmp_path, {}, {"seed": 0, "out": None})


def test_options_that_a_run_did_not_keep_have_their_defaults(tmp_path: Path) -> None:
    """Those it kept are its own, whatever the defaults are now."""
    remember(tmp_path, {"started": "2026-11-28T05:00:00+00:00", "seed": 3})
    assert recall(tmp_path, {}, {"seed": 0, "keep": []}) == {
        "started": "2026-11-28T05:00:00+00:00",
        "seed": 3,
        "keep": [],
    }
