"""Keep each finished round on disk, so that a run that was cut short goes on where it stopped.

Archives hold it, each replaced as a whole or not at all: ``agreed.zip``, what was agreed before round 1,
``round.zip``, the last finished round, and ``earlier.zip``, the one before that, in case the last one is
damaged. The model of a round that is whole is used, even if lines of ``rounds.jsonl`` are lost; see
`federation.runs.record.archive`.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from client_code.protocol.features import Feature
from client_code.protocol.preparation import Preparation
from federation.errors import ResumeError, StorageError
from federation.files import replacing, sha256_of
from federation.learning.agreement import Agreement
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.rounds.figures import Round
from federation.learning.rounds.record import Checkpoint
from federation.model.linear import Preprocessing
from federation.model.quality.metrics import Metrics
from federation.runs.record.archive import DAMAGED, read_archive, write_archive
from federation.words import some

FORMAT = 2
_TUPLES = ("features", "kinds", "same_gaps")  # an earlier version kept no same_gaps
FOLDER, ROUNDS = "checkpoint", "rounds.jsonl"
AGREED, ROUND, EARLIER = "agreed.zip", "round.zip", "earlier.zip"
_LINE, _FIGURES = TypeAdapter(Round), TypeAdapter(dict[str, float | dict[str, Any] | None])


def read_round(line: str | bytes) -> Round:
    """Return the figures in a line of ``rounds.jsonl``.

    Raises
    ------
    ValueError
        It is no such line.
    """
    one = _LINE.validate_json(line)
    if not Metrics.__required_keys__ <= _FIGURES.validate_python(one.server).keys():
        raise ValueError("figures of the server are missing")
    if not all("train" in each and "roc_auc" in each.get("given", ()) for each in one.clients.values()):
        raise ValueError("figures of a client are missing")
    return one


class CheckpointFolder:
    """The checkpoint of one run.

    Parameters
    ----------
    run : Path
        The run folder; ``rounds.jsonl`` in it gets a line for each round, ``checkpoint/`` holds the rest.
    settings : mapping
        The options of the run, kept with what was agreed: see `federation.runs.record.settings.recall`.
    """

    def __init__(self, run: Path, settings: Mapping[str, Any] | None = None) -> None:
        self._run = run
        self._folder = run / FOLDER
        self._settings = settings or {}
        self._agreed_digest = ""
        self._last_is_damaged = False

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
        figures = checkpoint.rounds[-1].as_json()
        with _reported(self._run / ROUNDS):
            _append(self._run / ROUNDS, json.dumps(figures, allow_nan=False) + "\n")
        agreed, last = self._folder / AGREED, self._folder / ROUND
        with _reported(agreed):
            if not agreed.exists():
                write_archive(agreed, {**_of_agreement(checkpoint.agreement), "settings": self._settings})
            self._agreed_digest = self._agreed_digest or sha256_of(agreed)
        state = {
            "format": FORMAT,
            "round": checkpoint.round,
            "agreed": self._agreed_digest,
            "figures": figures,
            "model": dict(checkpoint.arrays),
            "strategy": dict(checkpoint.strategy),
        }
        with _reported(last):
            former = None if self._last_is_damaged else self._folder / EARLIER
            size = write_archive(last, state, former=former)
        self._last_is_damaged = False
        return size

    def load(self) -> Checkpoint | None:
        """Return the last finished round that is whole; None if there is none yet.

        Raises
        ------
        ResumeError
            No finished round is whole, or the files are not of one run.
        """
        if not any((self._folder / name).exists() for name in (ROUND, EARLIER)):
            self._begin_anew()
            return None
        number, last, notes = self._last_round()
        agreement = self._agreed(last)
        with _understood(self._folder / ROUND):
            figures = read_round(json.dumps(last["figures"])) if "figures" in last else None
            rounds = self._rounds(number, figures)
        if lost := sorted(set(range(number)) - {one.round for one in rounds}):
            notes.append(f"the figures of {_listed(lost)} are lost: {self._run / ROUNDS} was damaged")
        return Checkpoint(
            agreement=agreement, rounds=rounds, arrays=last["model"], strategy=last["strategy"], notes=notes
        )

    def settings(self) -> Mapping[str, Any]:
        """Return the options that the run began with; none before round 0, or of an earlier version.

        Raises
        ------
        ResumeError
            What was agreed is damaged.
        """
        if not (self._folder / AGREED).exists():
            return {}
        with _understood(self._folder / AGREED):
            return dict(_read(self._folder / AGREED).get("settings", {}))

    def _begin_anew(self) -> None:
        """Clear what a run left that finished no round; refuse one that lost what it finished.

        Raises
        ------
        ResumeError
            Rounds are recorded, but no model of one.
        """
        finished = max((one.round for one in self._lines()), default=0)
        if finished or ((self._folder / AGREED).exists() and not (self._run / ROUNDS).exists()):
            what = f"{finished} rounds are recorded" if finished else f"{self._folder / AGREED} is there"
            raise ResumeError(
                f"{self._folder / ROUND} and {EARLIER} are not there, although {what}.",
                "Put them back, or start a new run.",
            )
        # In this order: killed in between, the run still begins anew.
        for path in (self._folder / AGREED, self._run / ROUNDS):
            path.unlink(missing_ok=True)

    def _last_round(self) -> tuple[int, dict[str, Any], list[str]]:
        """Return the number and the content of the last round that is whole, and what to tell of it."""
        problems = dict[str, str]()
        for name in (ROUND, EARLIER):
            path = self._folder / name
            try:
                state = _checked_round(_read(path))
            except DAMAGED as error:
                problems[name] = "is not there" if not path.exists() else f"is damaged ({error})"
                continue
            number: int = state["round"]
            self._last_is_damaged = bool(problems)
            told = [
                f"{self._folder / bad} {how}: going on after round {number}, which {name} holds"
                for bad, how in problems.items()
            ]
            return number, state, told
        reasons = "; ".join(f"{name} {how}" for name, how in problems.items())
        raise ResumeError(
            f"the checkpoint in {self._folder} is damaged or of another version: {reasons}.",
            "Start a new run.",
        )

    def _agreed(self, last: Mapping[str, Any]) -> Agreement:
        """Return what was agreed before round 1, which the round must be of."""
        path = self._folder / AGREED
        with _understood(path):
            agreement = _agreement(_read(path))
            digest = sha256_of(path)
        if last.get("agreed", digest) != digest:
            raise ResumeError(f"{path} is of another run than {ROUND}.", "Put back the file of this run.")
        self._agreed_digest = digest
        return agreement

    def _lines(self) -> list[Round]:
        """Return the rounds whose figures are whole."""
        rounds, text = list[Round](), b""
        with suppress(OSError):
            text = (self._run / ROUNDS).read_bytes()
        for line in text.splitlines():
            with suppress(ValueError):
                rounds.append(read_round(line))
        return rounds

    def _rounds(self, number: int, figures: Round | None) -> list[Round]:
        """Return the finished rounds as far as their figures are known; keep no line of any other."""
        known = {one.round: one for one in self._lines() if 0 <= one.round <= number}
        if figures:
            known[number] = figures
        if number not in known:
            raise ValueError(f"{ROUNDS} lacks round {number}")
        rounds = [known[at] for at in sorted(known)]
        with _reported(self._run / ROUNDS), replacing(self._run / ROUNDS) as partial:
            lines = (json.dumps(one.as_json(), allow_nan=False) + "\n" for one in rounds)
            partial.write_text("".join(lines), encoding="utf-8")
        return rounds


def _listed(rounds: Sequence[int]) -> str:
    """Return numbers of rounds in words, those in a row as a range."""
    ranges = list[list[int]]()
    for number in rounds:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    texts = [f"{first}" if first == last else f"{first} to {last}" for first, last in ranges]
    return f"{'round' if len(rounds) == 1 else 'rounds'} {some(texts)}"


def _checked_round(state: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a round's archive; raise a TypeError if it is not what `save` wrote."""
    model, number = state["model"], state["round"]
    if type(number) is not int or not isinstance(state["strategy"], dict):
        raise TypeError("not a round")
    if not isinstance(model, dict) or not all(
        isinstance(array, np.ndarray) and array.dtype == np.float64 for array in model.values()
    ):
        raise TypeError("not a model")
    return state


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
    except DAMAGED as error:
        what = f"{path} is damaged or of another version ({error})."
        raise ResumeError(what, "Put it back, or start a new run.") from error
