"""A finished run in a notebook: its figures as frames, its model, its report."""

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pandas as pd

from federation.api.model import MODEL, Model
from federation.errors import MissingFileError
from federation.events import NAME as EVENTS

_FIGURES = "metrics.json"
_LEDGER = "ledger.jsonl"
_ARRIVALS = ("join", "received")


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
        figures = json.loads((self.folder / _FIGURES).read_text(encoding="utf-8"))
        models = {"federated": figures["federated"], "pooled": figures["pooled"], **figures["local"]}
        columns = {name: _numbers(values) for name, values in models.items() if values is not None}
        return pd.DataFrame(columns).rename_axis("metric")

    @property
    def rounds(self) -> pd.DataFrame:
        """Figures of the global model after each round, from round 0 (before training) on."""
        lines = _lines(self.folder / "rounds.jsonl")
        rows = [{"seconds": line["seconds"], **_numbers(line["server"])} for line in lines]
        return pd.DataFrame(rows, index=pd.Index([line["round"] for line in lines], name="round"))

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
        return dict(json.loads((self.folder / "run.json").read_text(encoding="utf-8")))

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.folder / "report.html"

    def _ledgers(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self.folder.glob(f"clients/*/{_LEDGER}")):
            for line in _lines(path):
                arrays = ", ".join(array["name"] for array in line["arrays"])
                yield {"client": path.parent.name, **line, "arrays": arrays}

    def _arrivals(self) -> Iterator[dict[str, Any]]:
        for line in _lines(self.folder / EVENTS):
            if line["event"] in _ARRIVALS:
                yield {"round": None, "kind": line["event"], "arrays": None, **line}

    def _repr_html_(self) -> str:
        """Show the report; the frame keeps its styles from the notebook's."""
        page = html.escape(self.report.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 40em; border: 0"></iframe>'

    def __repr__(self) -> str:
        return f"<federation.Run in {self.folder}>"


def _numbers(figures: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if not isinstance(value, dict)}


def _lines(path: Path) -> list[dict[str, Any]]:
    return (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    )
