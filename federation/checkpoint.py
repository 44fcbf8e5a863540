"""Keep each finished round on disk, so that a run that was cut short goes on where it stopped.

Two archives hold it, each replaced as a whole or not at all: ``agreed.zip``, what was agreed before round 1,
and ``round.zip``, the last finished round. An archive is a zip file of ``state.json`` and NumPy's ``.npy``
files: nothing in it is unpickled.
"""

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.agreement import Agreement
from federation.errors import ResumeError, StorageError
from federation.files import replacing
from federation.model import Preprocessing
from federation.preprocessing import ClientStatistics
from federation.rounds import Round

FORMAT = 1
FOLDER, AGREED, ROUND, ROUNDS = "checkpoint", "agreed.zip", "round.zip", "rounds.jsonl"

Arrays = Mapping[str, NDArray[Any]]

_MOMENTS = ("non_negative", "mean", "m2", "log1p_mean", "log1p_m2")


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A finished round, and all that the next one needs.

    Parameters
    ----------
    agreement : Agreement
        What was agreed before round 1.
    rounds : list of Round
        From round 0 to the finished one.
    arrays : mapping of str to ndarray
        The global model's, in its order.
    strategy : mapping of str to ndarray
        What the strategy carries, see `federation.strategy_state`.
    """

    agreement: Agreement
    rounds: list[Round]
    arrays: Arrays
    strategy: Arrays

    @property
    def round(self) -> int:
        """The number of the finished round."""
        return self.rounds[-1].round


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
        agreed, last = self._folder / AGREED, self._folder / ROUND
        with _reported(self._run / ROUNDS):
            self._run.mkdir(parents=True, exist_ok=True)
            _append(self._run / ROUNDS, json.dumps(checkpoint.rounds[-1].as_json(), allow_nan=False) + "\n")
        if not agreed.exists():
            _write(agreed, *_of_agreement(checkpoint.agreement))
        state = {"format": FORMAT, "round": checkpoint.round}
        arrays = {
            f"{part}/{name}": array
            for part, arrays in (("model", checkpoint.arrays), ("strategy", checkpoint.strategy))
            for name, array in arrays.items()
        }
        return _write(last, state, arrays)

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
        state, arrays = _read(self._folder / ROUND)
        agreed, agreed_arrays = _read(self._folder / AGREED)
        with _understood(self._folder):
            return Checkpoint(
                agreement=_agreement(agreed, agreed_arrays),
                rounds=self._rounds(state["round"] + 1),
                arrays=_below("model/", arrays),
                strategy=_below("strategy/", arrays),
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


def _of_agreement(agreement: Agreement) -> tuple[dict[str, Any], Arrays]:
    """Return an agreement as plain values and arrays."""
    preprocessing = agreement.preprocessing
    state = {
        "format": FORMAT,
        "test": agreement.test,
        "features": preprocessing.features,
        "log1p": preprocessing.log1p,
        "clients": [
            {key: value for key, value in vars(one).items() if key not in _MOMENTS}
            for one in agreement.statistics
        ],
    }
    arrays = {"mean": preprocessing.mean, "scale": preprocessing.scale}
    for index, one in enumerate(agreement.statistics):
        arrays |= {f"{index}/{name}": getattr(one, name) for name in _MOMENTS}
    return state, arrays


def _agreement(state: Mapping[str, Any], arrays: Arrays) -> Agreement:
    """Return the agreement that `_of_agreement` took apart."""
    return Agreement(
        preprocessing=Preprocessing(
            features=tuple(state["features"]),
            log1p=tuple(state["log1p"]),
            mean=arrays["mean"],
            scale=arrays["scale"],
        ),
        statistics=[_statistics(one, _below(f"{i}/", arrays)) for i, one in enumerate(state["clients"])],
        test=state["test"],
    )


def _statistics(told: Mapping[str, Any], moments: Arrays) -> ClientStatistics:
    fields: dict[str, Any] = {**told, **moments, "features": tuple(told["features"])}
    return ClientStatistics(**fields)


def _below(prefix: str, arrays: Arrays) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _write(path: Path, state: Mapping[str, Any], arrays: Arrays) -> int:
    """Replace an archive; after this returns it survives a loss of power too."""
    with _reported(path), replacing(path) as partial:
        with zipfile.ZipFile(partial, "w") as archive:
            archive.writestr("state.json", json.dumps(state))
            for name, array in arrays.items():
                content = io.BytesIO()
                np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
                archive.writestr(f"{name}.npy", content.getvalue())
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        return partial.stat().st_size


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Read an archive, whose checksums the zip format verifies."""
    with _understood(path), zipfile.ZipFile(path) as archive:
        state: dict[str, Any] = json.loads(archive.read("state.json"))
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']}, expected {FORMAT}")
        arrays = {}
        for name in archive.namelist():
            if name.endswith(".npy"):
                content = io.BytesIO(archive.read(name))
                arrays[name.removesuffix(".npy")] = np.lib.format.read_array(content, allow_pickle=False)
        return state, arrays


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
            f"the checkpoint {path} is damaged or of another version ({error}).", "Start a new run."
        ) from error
