"""Federations in this process, one client of which lies: in its statistics, its updates or its sums."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from numpy.typing import NDArray

import client
import link
import utils
from federation.data.synthetic import LABEL, SITE, generate
from federation.data.table import Table
from federation.learning.federate import Federated, federate
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.rounds.record import Record
from federation.learning.settings import TrainingSettings
from ledger import Ledger
from protocol.columns import MOST_LEVELS
from protocol.preparation import Preparation
from tests.unit.test_checked_strategy import FakeGrid, Spoil

ROWS, TEST_ROWS = 960, 2000
"""Of each client, of which a sixth are its validation rows; and of the server."""
LIAR = 3
"""The client that lies, counted from 0."""
Floats = NDArray[np.float64]
Change = Callable[[RecordDict], None]


@cache
def _frame(rows: int) -> pd.DataFrame:
    return generate(rows).drop(columns=SITE)


@dataclass(eq=False)
class Watcher:
    """An observer that keeps the notes."""

    notes: list[str] = field(default_factory=list)

    def agreed(self, statistics: list[ClientStatistics], notes: Sequence[str]) -> None:
        """Keep them."""
        assert statistics
        self.notes = list(notes)

    def round_ended(self, record: object, of: int) -> None:
        """Take no note."""

    def scored(self, at_clients: Mapping[str, Mapping[str, Any]]) -> None:
        """Take no note."""


class Federation:
    """Clients with alike rows, one of which may lie, and the server's test rows.

    Parameters
    ----------
    folder : Path
        Where each client keeps its model.
    clients : int
        How many.
    words : bool
        Whether the first column holds words instead of numbers.
    """

    def __init__(self, folder: Path, clients: int, *, words: bool = False) -> None:
        sizes = [ROWS] * clients
        frame = _frame(sum(sizes) + TEST_ROWS)
        X, y = frame.drop(columns=LABEL).to_numpy(dtype=np.float64), frame[LABEL].to_numpy()
        features = tuple(frame.columns.drop(LABEL))
        known = {}
        if words:
            X[:, 0] = np.digitize(X[:, 1], np.quantile(X[:, 1], np.arange(0.1, 1.0, 0.1)))
            known = {features[0]: tuple(f"level {i}" for i in range(10))}
        order = np.random.default_rng(0).permutation(len(y))
        *parts, test = np.split(order, np.cumsum(sizes))
        self.names = [f"c{i}" for i in range(clients)]
        self.watcher = Watcher()
        self.test = Table(features=features, X=X[test], y=y[test], label=LABEL, levels=known)
        self._answers = []
        for name, part in zip(self.names, parts, strict=True):
            cut = len(part) // 6
            train, validation = (
                utils.Table(features=features, X=X[rows], y=y[rows], levels=known)
                for rows in (part[cut:], part[:cut])
            )
            task = utils.Task(
                name=name,
                label=LABEL,
                train=train,
                validation=validation,
                max_iter=10,
                model_dir=folder / name,
            )
            told = Preparation(
                resample="none", rows=len(train.y), positives=int(train.y.sum()), synthetic=False
            )
            context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
            self._answers.append(link.Answer(client.create_app(task, told), context, Ledger(io.StringIO())))

    def run(
        self,
        lie: Spoil | None = None,
        prepared: Prepared | None = None,
        record: Record | None = None,
        **settings: Any,
    ) -> Federated:
        """Train, one client telling the lie."""
        return federate(
            FakeGrid(self._answers, {LIAR + 2: lie} if lie else {}),
            TrainingSettings(**settings),
            self.test,
            name_of=lambda node_id: self.names[node_id - 2],
            observer=self.watcher,
            provenance={},
            prepared=prepared,
            record=record,
        )


def auc(result: Federated) -> float:
    """Return the ROC-AUC of the final model on the server's rows."""
    return cast("float", result.rounds[-1].server["roc_auc"])


# Lies in statistics -----------------------------------------------------------------------------------------


def telling(change: Change) -> Spoil:
    """Return what changes the statistics that a client tells, and nothing else."""

    def spoil(reply: Message) -> Message:
        if reply.metadata.message_type == "query.statistics":
            change(reply.content)
        return reply

    return spoil


def moments(**values: float) -> Spoil:
    """Tell of every column the same moments, whatever its rows hold."""

    def change(content: RecordDict) -> None:
        told = content.array_records["moments"]
        for name, value in values.items():
            key = name.replace("_", "-")
            told[key] = Array(np.full_like(told[key].numpy(), value))

    return telling(change)


def scaled(**factors: float) -> Spoil:
    """Tell of every column a multiple of the moments that its rows have."""

    def change(content: RecordDict) -> None:
        told = content.array_records["moments"]
        for name, factor in factors.items():
            key = name.replace("_", "-")
            told[key] = Array(told[key].numpy() * factor)

    return telling(change)


def more_rows(times: int) -> Spoil:
    """Tell of so many times the rows, in every figure and in every message, without a contradiction."""

    def spoil(reply: Message) -> Message:
        content = reply.content
        if reply.metadata.message_type == "query.statistics":
            told, counts = content.array_records["moments"], content.metric_records["counts"]
            for key in told:
                told[key] = Array(told[key].numpy() * (1 if key.endswith("mean") else times))
            for key in ("num-examples", "positives"):
                counts[key] = cast("int", counts[key]) * times
            schema = content.config_records["schema"]
            prepared = json.loads(str(schema["preparation"]))
            prepared |= {key: prepared[key] * times for key in ("rows", "positives")}
            schema["preparation"] = json.dumps(prepared)
        elif reply.metadata.message_type.startswith(("train", "evaluate.calibration")):
            metrics = content.metric_records["metrics"]
            metrics["num-examples"] = cast("int", metrics["num-examples"]) * times
            for key in ("expected", "variance"):
                if key in metrics:
                    metrics[key] = cast("float", metrics[key]) * times
        return reply

    return spoil


def positives(share: float) -> Spoil:
    """Tell that so large a share of the rows is positive."""

    def change(content: RecordDict) -> None:
        counts = content.metric_records["counts"]
        rows = cast("int", counts["num-examples"])
        counts["positives"] = round(share * rows)
        told = {"resample": "none", "rows": rows, "positives": counts["positives"], "synthetic": False}
        content.config_records["schema"]["preparation"] = json.dumps(told)

    return telling(change)


def levels(times: int) -> Spoil:
    """Tell of as many levels as may become features, all made up, with so many times the rows."""
    many = more_rows(times)

    def change(content: RecordDict) -> None:
        schema, counts = content.config_records["schema"], content.metric_records["counts"]
        each = cast("int", counts["num-examples"]) // MOST_LEVELS
        told = json.loads(str(schema["levels"]))
        made_up = {f"made up {i}": each for i in range(MOST_LEVELS)}
        schema["levels"] = json.dumps(dict.fromkeys(told, made_up))

    return lambda reply: telling(change)(many(reply))


def signs(*, non_negative: bool) -> Spoil:
    """Tell of every column whether a value of it is negative."""

    def change(content: RecordDict) -> None:
        schema = content.config_records["schema"]
        schema["non-negative"] = [non_negative] * len(cast("list[bool]", schema["non-negative"]))

    return telling(change)


def observed(share: float) -> Spoil:
    """Tell that so large a share of the values is there."""

    def change(content: RecordDict) -> None:
        told = content.array_records["moments"]
        told["observed"] = Array(np.round(told["observed"].numpy() * share))

    return telling(change)


# Lies in training -------------------------------------------------------------------------------------------


def sending(change: Callable[[dict[str, Floats]], Mapping[str, Floats]]) -> Spoil:
    """Return what changes the arrays of an update, and nothing else."""

    def spoil(reply: Message) -> Message:
        if reply.metadata.message_type.startswith("train") and reply.has_content():
            update = reply.content.array_records["arrays"]
            values = {name: array.numpy().copy() for name, array in update.items()}
            changed = values | dict(change(values))
            reply.content["arrays"] = ArrayRecord({name: Array(part) for name, part in changed.items()})
        return reply

    return spoil
