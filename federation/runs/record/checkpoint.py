"""Keep each finished round on disk, so that a run that was cut short goes on where it stopped.

Two archives hold it, each replaced as a whole or not at all: ``agreed.zip``, what was agreed before round 1,
and ``round.zip``, the last finished round; see `federation.runs.record.archive`.
"""

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client_code.protocol.features import Feature
from client_code.protocol.preparation import Preparation
from federation.errors import ResumeError, StorageError
from federation.files import replacing
from federation.learning.agreement import Agreement
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.rounds.figures import Round
from federation.learning.rounds.record import Checkpoint
from federation.model.linear import Preprocessing
from federation.runs.record.archive import read_archive, write_archive

FORMAT = 2
_TUPLES = ("features", "kinds", "same_gaps")  # an earlier version kept no same_gaps
FOLDER, AGREED, ROUND, ROUNDS = "checkpoint", "agreed.zip", "round.zip", "rounds.jsonl"


class CheckpointFolder:
    """The checkpoint of one run.

    Parameters
    ----------
    run : Path
        The run folder; ``rounds.jsonl`` in it gets a line for each round, ``checkpoint/`` holds the rest.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._folder = run / FOLDER

    @property
    def files(self) -> list[Path]:
        """The files to copy for safety, in an order in which each prefix of the list is usable."""
        return [self._run / ROUNDS, self._folder / AGREED, self._folder / ROUND]

    def save(self, checkpoint: Checkpoint) -> int:
        """Keep a finished round; return its size in bytes.

        The line of ``rounds.jsonl`` goes first: one too many is cut off by `load`.

        Raises
        ------
        StorageError
            The disk is full, or fails; the round before is untouched.
        """
        with _reported(self._run / ROUNDS):
            self._run.mkdir(parents=True, exist_ok=True)
            _append(self._run / ROUNDS, json.dumps(checkpoint.rounds[-1].as_json(), allow_nan=False) + "\n")
        agreed, last = self._folder / AGREED, self._folder / ROUND
        with _reported(agreed):
            if not agreed.exists():
                write_archive(agreed, _of_agreement(checkpoint.agreement))
        state = {"model": dict(checkpoint.arrays), "strategy": dict(checkpoint.strategy)}
        with _reported(last):
            return write_archive(last, {"format": FORMAT, "round": checkpoint.round, **state})

    def load(self) -> Checkpoint | None:
        """Return the last finished round; None if there is none yet.

        Raises
        ------
        ResumeError
            A file is damaged.
        """
        if not (self._folder / ROUND).exists():
            (self._run / ROUNDS).unlink(missing_ok=True)
            return None
        with _understood(self._folder):
            last, agreed = _read(self._folder / ROUND), _read(self._folder / AGREED)
            return Checkpoint(
                agreement=_agreement(agreed),
                rounds=self._rounds(last["round"] + 1),
                arrays=last["model"],
                strategy=last["strategy"],
            )

    def _rounds(self, count: int) -> list[Round]:
        """Return the finished rounds, and cut off what was written of the next one."""
        path = self._run / ROUNDS
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[:count]
        rounds = [Round(**json.loads(line)) for line in lines]
        if [one.round for one in rounds] != list(range(count)):
            raise ValueError(f"{ROUNDS} lacks rounds")
        with replacing(path) as partial:
            partial.write_text("".join(lines), encoding="utf-8")
        return rounds


def _of_agreement(agreement: Agreement) -> dict[str, Any]:
    preprocessing = agreement.preprocessing
    return {
        "format": FORMAT,
        "test": agreement.test,
        "preprocessing": vars(preprocessing) | {"made_of": [vars(part) for part in preprocessing.made_of]},
        "clients": [
            vars(one) | {"preparation": one.preparation and vars(one.preparation)}
            for one in agreement.statistics
        ],
    }


def _agreement(state: Mapping[str, Any]) -> Agreement:
    preprocessing = state["preprocessing"]
    of_columns = {name: tuple(preprocessing[name]) for name in ("features", "log1p")}
    of_columns["made_of"] = tuple(Feature(**part) for part in preprocessing["made_of"])
    return Agreement(
        preprocessing=Preprocessing(**(preprocessing | of_columns)),
        statistics=[_statistics(one) for one in state["clients"]],
        test=state["test"],
    )


def _statistics(state: Mapping[str, Any]) -> ClientStatistics:
    told = state.get("preparation")  # of which earlier versions knew nothing
    parts: dict[str, Any] = {name: tuple(state.get(name, ())) for name in _TUPLES}
    parts["preparation"] = Preparation(**told) if told else None
    return ClientStatistics(**(dict(state) | parts))


def _read(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = read_archive(path)
    if state["format"] != FORMAT:
        raise ValueError(f"format {state['format']}, expected {FORMAT}")
    return state


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError.of(path, error) from error


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ResumeError(
            f"the checkpoint in {path} is damaged or of another version ({error}).", "Start a new run."
        ) from error
