"""A finished run in a notebook: its figures as frames, its model, its report."""

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import pandas as pd
from pydantic import TypeAdapter

from federation.api.model import MODEL, Model
from federation.errors import DataError, MissingFileError
from federation.events import NAME as EVENTS
from federation.runs.record.checkpoint import ROUNDS, read_round
from federation.runs.record.ledgers import read_lines

_FIGURES = "metrics.json"
_LEDGER = "ledger.jsonl"
_ARRIVALS = ("join", "received")
T = TypeVar("T")


@dataclass
class _Figures:
    """What is read of ``metrics.json``."""

    federated: dict[str, Any]
    pooled: dict[str, Any] | None
    local: dict[str, dict[str, Any]]


_METRICS, _SETTINGS = TypeAdapter(_Figures), TypeAdapter(dict[str, Any])


class Run:
    """What a run left in its folder.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of a run that has ended, on this machine or on AWS.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Open the folder of a finished run.

        Raises
        ------
        MissingFileError
            No run has ended in it.
        """
        folder = Path(folder)
        if not (folder / _FIGURES).exists():
            raise MissingFileError(
                f"{folder}: no run has ended in this folder.",
                "Give the folder that a run printed; one that was cut short goes on with --resume.",
            )
        return cls(folder)

    @property
    def model(self) -> Model:
        """The global model."""
        return Model.load(self.folder / MODEL)

    @property
    def metrics(self) -> pd.DataFrame:
        """Figures on the server's held-back rows, a column a model: federated, pooled, each client alone.

        On AWS, where no one place has the rows, the federated model's only.
        """
        figures = _read(self.folder / _FIGURES, _METRICS)
        models = {"federated": figures.federated, "pooled": figures.pooled, **figures.local}
        columns = {name: _numbers(values) for name, values in models.items() if values is not None}
        return pd.DataFrame(columns).rename_axis("metric")

    @property
    def rounds(self) -> pd.DataFrame:
        """Figures of the global model after each round, from round 0 (before training) on."""
        path = self.folder / ROUNDS
        try:
            lines = [read_round(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        except ValueError as error:
            raise _damaged(path) from error
        rows = [{"seconds": one.seconds, **_numbers(one.server)} for one in lines]
        return pd.DataFrame(rows, index=pd.Index([one.round for one in lines], name="round"))

    @property
    def egress(self) -> pd.DataFrame:
        """One row for each message that left a client: its round, kind, bytes, sha256, and the arrays in it.

        From the clients' own ledgers where the run's folder has them; of a run on AWS, whose ledgers are in
        the clients' buckets, from the server's record of what arrived. ``federation audit`` compares the two.
        """
        rows = list(self._ledgers()) or list(self._arrivals())
        return pd.DataFrame(rows, columns=["client", "round", "kind", "bytes", "sha256", "arrays"]).astype(
            {"round": "Int64"}
        )

    @property
    def settings(self) -> dict[str, Any]:
        """What was run: strategy, parameters, clients, seed, versions."""
        return _read(self.folder / "run.json", _SETTINGS)

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.folder / "report.html"

    def _ledgers(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self.folder.glob(f"clients/*/{_LEDGER}")):
            for line in read_lines(path):
                arrays = ", ".join(array["name"] for array in line.get("arrays", ()))
                yield {"client": path.parent.name, **line, "arrays": arrays}

    def _arrivals(self) -> Iterator[dict[str, Any]]:
        record = self.folder / EVENTS
        for line in read_lines(record) if record.exists() else ():
            if line.get("event") in _ARRIVALS:
                yield {"round": None, "kind": line["event"], "arrays": None, **line}

    def _repr_html_(self) -> str:
        """Show the report; the frame keeps its styles from the notebook's."""
        page = html.escape(self.report.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 40em; border: 0"></iframe>'

    def __repr__(self) -> str:
        return f"<federation.Run in {self.folder}>"


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if not isinstance(value, dict)}


def _read(path: Path, shape: TypeAdapter[T]) -> T:
    try:
        return shape.validate_json(path.read_bytes())
    except ValueError as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> DataError:
    return DataError(f"{path} is damaged.", "Put back the file that the run wrote.")
