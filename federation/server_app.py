"""The server's side of the learning: agree on preprocessing, run a strategy, keep every client's figures.

It needs nothing but Flower's ``Grid``, so it runs over ours and over stock Flower alike.
"""

import json
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from federation.checked_strategy import CheckedStrategy, listed
from federation.errors import RoundError, SettingError
from federation.fednewton import FedNewton
from federation.inference import infer
from federation.model import LinearModel, Preprocessing
from federation.pooling import kinds_of, pool
from federation.preprocessing import ClientStatistics, check_schemas, claimed_names, class_weight
from federation.rounds import Observer, Recorder, Round
from federation.strategies import create_strategy
from federation.tables import Table


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What the server decides about the training.

    Parameters
    ----------
    strategy : str
        A name of :data:`federation.strategies.STRATEGIES`.
    parameters : mapping of str to str
        The strategy's parameters that differ from their defaults.
    rounds : int
        At least 1.
    balanced : bool
        Weight the classes equally in every fit, by their pooled counts.
    quorum : int, optional
        Fewest valid updates a round may aggregate; None: one from every client asked.
    round_timeout : float
        Seconds until a client that has not answered counts as missing.
    seed : int
        Of the choice of clients, where a strategy takes a fraction of them.
    penalty : {"l2", "none"}
        For strategies that penalise on the server.
    """

    strategy: str = "fedavg"
    parameters: Mapping[str, str] = field(default_factory=dict)
    rounds: int = 3
    balanced: bool = False
    quorum: int | None = None
    round_timeout: float = 600.0
    seed: int = 0
    penalty: str = "l2"

    def __post_init__(self) -> None:
        """Refuse what no federation could run with."""
        if self.rounds < 1:
            raise SettingError(f"{self.rounds} rounds are not possible.", "Use at least 1.")
        if self.round_timeout <= 0:
            raise SettingError(f"a round cannot end within {self.round_timeout:g} s.", "Use more than 0.")
        create_strategy(self.strategy, self.parameters, clients=sys.maxsize)

    @property
    def plan(self) -> str:
        """Say in a few words what will be run."""
        most = "at most " if self.strategy == "fednewton" else ""
        return f"{self.strategy}, {most}{self.rounds} rounds"

    def strategy_for(self, clients: int) -> FedAvg:
        """Return the strategy for so many clients.

        Raises
        ------
        SettingError
            They are too few for the strategy or the quorum.
        """
        strategy = create_strategy(self.strategy, self.parameters, clients=clients, penalty=self.penalty)
        asked = max(int(clients * strategy.fraction_train), strategy.min_train_nodes)
        if self.quorum is not None and not 1 <= self.quorum <= asked:
            raise SettingError(
                f"a quorum of {self.quorum} does not fit {asked} clients a round.", f"Use 1 to {asked}."
            )
        return strategy


@dataclass(frozen=True, kw_only=True)
class Federated:
    """What a training leaves.

    Parameters
    ----------
    model : LinearModel
        The global model.
    rounds : list of Round
        From round 0 on.
    statistics : list of ClientStatistics
        Of every client.
    conclusion : str, optional
        How the strategy ended, where it can tell.
    """

    model: LinearModel
    rounds: list[Round]
    statistics: list[ClientStatistics]
    conclusion: str | None = None


def federate(
    grid: Grid,
    settings: TrainingSettings,
    test: Table,
    *,
    name_of: Callable[[int], str] | None,
    observer: Observer,
    provenance: Mapping[str, Any],
) -> Federated:
    """Train the global model with the clients of ``grid``.

    Parameters
    ----------
    grid : Grid
        Whose clients have all joined.
    settings : TrainingSettings
        Strategy, rounds, quorum.
    test : Table
        The server's held-back rows; their columns are the federation's schema.
    name_of : callable, optional
        The name of the client with a node id, which our grid knows; None: what each client says of itself.
    observer : Observer
        Told about every step.
    provenance : mapping
        Kept in the model.

    Raises
    ------
    SchemaMismatchError
        A client's columns differ from the server's.
    RoundError
        A round had too few valid updates; says which clients failed and why.
    """
    random.seed(settings.seed)  # Flower's strategies draw their sample from the global generator
    node_ids = list(grid.get_node_ids())
    strategy = settings.strategy_for(len(node_ids))
    replies = _ask_all(grid, node_ids, "query.statistics", RecordDict(), settings.round_timeout)
    name_of = name_of or claimed_names(replies).__getitem__
    statistics = [
        ClientStatistics.from_reply(reply, name_of(node_id)) for node_id, reply in sorted(replies.items())
    ]
    check_schemas(statistics, test.label, kinds_of(test))
    preprocessing = pool(statistics, test)
    observer.agreed(statistics)

    recorder = Recorder(test, preprocessing, observer, settings.rounds)
    checked = CheckedStrategy(strategy, _as_record(preprocessing), recorder, name_of, settings.quorum)
    dimension = len(preprocessing.features)
    result = checked.start(
        grid,
        ArrayRecord({"coef": Array(np.zeros((1, dimension))), "intercept": Array(np.zeros(1))}),
        num_rounds=settings.rounds,
        timeout=settings.round_timeout,
        train_config=ConfigRecord(
            {"class-weight": list(class_weight(statistics, balanced=settings.balanced))}
        ),
        evaluate_fn=recorder.evaluate,
    )
    model = LinearModel(
        label=test.label,
        preprocessing=preprocessing,
        coef=result.arrays["coef"].numpy()[0],
        intercept=float(result.arrays["intercept"].numpy()[0]),
        provenance=dict(provenance)
        | {"rounds": recorder.rounds[-1].round, "rows": sum(one.rows for one in statistics)},
    )
    conclusion = None
    if isinstance(strategy, FedNewton):
        model, conclusion = replace(model, inference=infer(strategy, model)), strategy.conclusion()
    _hand_over(grid, node_ids, result.arrays, preprocessing, name_of, settings)
    return Federated(model=model, rounds=recorder.rounds, statistics=statistics, conclusion=conclusion)


def _hand_over(
    grid: Grid,
    node_ids: list[int],
    arrays: ArrayRecord,
    preprocessing: Preprocessing,
    name_of: Callable[[int], str],
    settings: TrainingSettings,
) -> None:
    """Give every client the final model; fewer than the quorum must not miss it."""
    content = RecordDict({"arrays": arrays, "preprocessing": _as_record(preprocessing)})
    replies = _ask_all(grid, node_ids, "query.save_model", content, settings.round_timeout)
    failed = {name_of(i): str(reply.error.reason) for i, reply in replies.items() if reply.has_error()}
    if len(replies) - len(failed) < (len(replies) if settings.quorum is None else settings.quorum):
        raise RoundError(f"the final model did not reach every client: {listed(failed)}", "See their logs.")


def _ask_all(
    grid: Grid, node_ids: list[int], kind: str, content: RecordDict, timeout: float
) -> dict[int, Message]:
    messages = [Message(content, node_id, kind) for node_id in node_ids]
    replies = {
        reply.metadata.src_node_id: reply
        for reply in grid.send_and_receive(messages=messages, timeout=timeout)
    }
    if missing := set(node_ids) - set(replies):
        raise RoundError(f"no answer to {kind} from nodes {sorted(missing)}.", "See the clients' logs.")
    return replies


def _as_record(preprocessing: Preprocessing) -> ConfigRecord:
    """Return one text: it goes along with every message, and a client reads it once."""
    parts: dict[str, Any] = {
        "features": preprocessing.features,
        "log1p": preprocessing.log1p,
        "mean": preprocessing.mean.tolist(),
        "scale": preprocessing.scale.tolist(),
    }
    if not preprocessing.encoding.is_plain:
        parts["made_of"] = [feature.as_parts for feature in preprocessing.encoding.features]
    return ConfigRecord({"json": json.dumps(parts)})
