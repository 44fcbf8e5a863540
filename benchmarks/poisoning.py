"""What one poisoning client does to the model under each strategy.

python -m benchmarks.poisoning

Seven clients with synthetic rows, one of which attacks. Its updates are finite, of the right shape, on the
right number of rows and within the limit of the norm, so no check rejects them: what stops them, or does not,
is the strategy. Then it lies before round 1 instead, in the statistics that the preprocessing is made of, and
trains as the others do.
"""

import logging
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from flwr.app import Array, Context, Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from benchmarks.machine import describe
from benchmarks.results import write_section
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.data.table import read_table
from federation.errors import RoundError
from federation.learning.federate import federate
from federation.learning.rounds.figures import Round
from federation.learning.settings import TrainingSettings

CLIENTS, ROUNDS, SEEDS = 7, 5, range(3)
ATTACKER = "client-4"
STRATEGIES: Mapping[str, Mapping[str, str]] = {
    "fedavg": {},
    "fedmedian": {},
    "fedtrimmedavg": {"beta": "0.2"},
    "krum": {"num_malicious_nodes": "1"},
    "multikrum": {"num_malicious_nodes": "1", "num_nodes_to_select": "5"},
    "bulyan": {"num_malicious_nodes": "1"},
}
Floats = NDArray[np.float64]
Attack = Callable[[Floats, Floats], Floats]
"""Makes the attacker's coefficients of the global ones and of its honest ones."""


def reverse(model: Floats, honest: Floats) -> Floats:
    """Go ten times as far in the opposite direction."""
    return model - 10.0 * (honest - model)


def noise(model: Floats, honest: Floats) -> Floats:
    """Send coefficients of the right size at random."""
    size = max(float(np.abs(honest).max()), 1.0)
    return np.random.default_rng(int(np.abs(model).sum() * 1e6)).normal(0.0, size, honest.shape)


def opposite(_model: Floats, honest: Floats) -> Floats:
    """Send what was learnt with the opposite sign: as far away as the honest ones, and so the quietest."""
    return -honest


ATTACKS: Mapping[str, Attack | None] = {
    "no attack": None,
    "10× the other way": reverse,
    "random": noise,
    "opposite sign": opposite,
}


def spread(reply: Message) -> None:
    """Tell that every column spreads over all that there is."""
    _tell(reply, {"m2": 1e30, "log1p-m2": 1e30})


def far(reply: Message) -> None:
    """Tell that every column's values lie around a billion."""
    _tell(reply, {"mean": 1e9, "log1p-mean": 20.0})


def many(reply: Message) -> None:
    """Tell of a million times the rows, in every figure and message, without a contradiction."""
    content, times = reply.content, 10**6
    if "counts" in content.metric_records:
        counts, moments = content.metric_records["counts"], content.array_records["moments"]
        for key in ("num-examples", "positives"):
            counts[key] = cast("int", counts[key]) * times
        for key in moments:
            moments[key] = Array(moments[key].numpy() * (1 if key.endswith("mean") else times))
    elif reply.metadata.message_type != "evaluate" and "metrics" in content.metric_records:
        metrics = content.metric_records["metrics"]
        for key in {"num-examples", "expected", "variance"} & set(metrics):
            metrics[key] = cast("int", metrics[key]) * times


def _tell(reply: Message, values: Mapping[str, float]) -> None:
    if "moments" in reply.content.array_records:
        moments = reply.content.array_records["moments"]
        for key, value in values.items():
            moments[key] = Array(np.full_like(moments[key].numpy(), value))


Lie = Callable[[Message], None]
"""Changes what the attacker answers to any question."""
LIES: Mapping[str, Lie | None] = {
    "no lie": None,
    "m2 = 1e30": spread,
    "mean = 1e9": far,
    "rows × 10⁶": many,
}


class Peers(Grid):
    """The clients' own code in this process, with one of them attacking.

    Parameters
    ----------
    apps : mapping of str to callable
        The Flower app of each client.
    attack : callable, optional
        What the attacker makes of its updates.
    lie : callable, optional
        What it makes of its answers.
    """

    def __init__(
        self, apps: Mapping[str, Callable[..., Message]], attack: Attack | None, lie: Lie | None = None
    ) -> None:
        self._apps = dict(enumerate(apps.values(), 2))
        self.names = dict(enumerate(apps, 2))
        self._attack, self._lie = attack, lie
        self._context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})

    def set_run(self, run: Run) -> None:
        """Not needed."""

    @property
    def run(self) -> Run:
        """Not needed."""
        return Run.create_empty(1)

    def create_message(self, *_: object, **__: object) -> Message:
        """Not needed."""
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Not needed."""
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Not needed."""
        raise NotImplementedError

    def get_node_ids(self) -> list[int]:
        """Return the ids of all clients."""
        return list(self._apps)

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Ask the clients one after another."""
        assert timeout is None or timeout > 0
        by_client = sorted(messages, key=lambda message: message.metadata.dst_node_id)
        return [self._ask(message) for message in by_client]

    def _ask(self, message: Message) -> Message:
        node_id = message.metadata.dst_node_id
        reply = self._apps[node_id](message, self._context)
        if self._lie and self.names[node_id] == ATTACKER:
            self._lie(reply)
        if self._attack and self.names[node_id] == ATTACKER and message.metadata.message_type == "train":
            update = reply.content.array_records["arrays"]
            for name, array in message.content.array_records["arrays"].items():
                update[name] = Array(self._attack(array.numpy(), update[name].numpy()))
        return reply


class Silent:
    """An observer that takes no note."""

    def agreed(self, statistics: list[Any], notes: Sequence[str]) -> None:
        """Take no note."""

    def round_ended(self, record: Round, of: int) -> None:
        """Take no note."""

    def scored(self, at_clients: Mapping[str, Mapping[str, Any]]) -> None:
        """Take no note."""


def apps_of(data: Path, folder: Path, label: str = LABEL) -> dict[str, Callable[..., Message]]:
    """Return the app of every client in a folder of prepared data."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "client_code"))
    import client  # noqa: PLC0415 - the clients' code, which nothing of the server imports
    import utils  # noqa: PLC0415

    apps = {}
    for part in sorted(path.parent for path in data.glob("*/train.csv")):
        train, validation = (utils.load_table(part / name, label) for name in ("train.csv", "validation.csv"))
        task = utils.Task(
            name=part.name,
            label=label,
            train=train,
            validation=validation,
            max_iter=10,
            model_dir=folder / part.name,
        )
        apps[part.name] = cast("Callable[..., Message]", client.create_app(task))
    return apps


Scores = dict[tuple[str, str], str | float]


def measure(folder: Path, seed: int) -> Scores:
    """Return the model's ROC-AUC on the server's rows, by strategy and attack; "refused" if there is none."""
    data = folder / f"data-{seed}"
    prepare(None, data, PreparationSettings(label=LABEL, clients=CLIENTS, partition="iid", seed=seed))
    apps, test = apps_of(data, folder), read_table(data / "server" / "test.csv", label=LABEL)
    found: Scores = {}
    plans = [(name, Peers(apps, attack)) for name, attack in ATTACKS.items()]
    plans += [(name, Peers(apps, None, lie)) for name, lie in LIES.items()]
    for strategy, parameters in STRATEGIES.items():
        for name, peers in plans:
            try:
                result = federate(
                    peers,
                    TrainingSettings(strategy=strategy, parameters=parameters, rounds=ROUNDS),
                    test,
                    name_of=peers.names.__getitem__,
                    observer=Silent(),
                    provenance={},
                )
            except RoundError:
                found[strategy, name] = "refused"
                continue
            assert not any(one.rejected for one in result.rounds), "a check stopped it, not the strategy"
            found[strategy, name] = result.rounds[-1].server["roc_auc"]
    return found


def main() -> None:
    """Measure, and write the table."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    with tempfile.TemporaryDirectory() as folder:
        runs = [measure(Path(folder), seed) for seed in SEEDS]
    shape = f"{CLIENTS} clients with rows of the same kind, one of which"
    lines = [
        f"{shape} attacks in all {ROUNDS} rounds; ROC-AUC on the",
        f"server's rows, mean over {len(SEEDS)} seeds (least). 0.5 is guessing. Robust strategies are told",
        "of one attacker, which is the truth here.",
        "",
    ]
    write_section("One poisoning client", describe(), [*lines, *_table(runs, list(ATTACKS))])
    lines = [
        f"{shape} lies before round 1 and then trains as the",
        f"others do; ROC-AUC on the server's rows, mean over {len(SEEDS)} seeds (least). *refused*: the run",
        "ends before round 1 with the client's name. Where it does not, the run names the client, too.",
        "",
    ]
    write_section("One client that lies in its statistics", describe(), [*lines, *_table(runs, list(LIES))])


def _table(runs: Sequence[Scores], columns: Sequence[str]) -> list[str]:
    """Return the rows of a table of means over the runs."""
    lines = ["| strategy | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for strategy in STRATEGIES:
        cells = []
        for column in columns:
            values = [value for run in runs if isinstance(value := run[strategy, column], float)]
            cells.append(f"{np.mean(values):.3f} ({min(values):.3f})" if values else "refused")
        lines.append(f"| `{strategy}` | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
