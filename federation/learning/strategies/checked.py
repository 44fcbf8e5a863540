"""Guard any strategy of Flower: only valid updates reach it, and a failed round is never silent."""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.exception import AggregationError, InconsistentMessageReplies
from flwr.serverapp.strategy import QFedAvg, Result, Strategy
from numpy.typing import NDArray

from client_code.protocol.training import CALIBRATION, TRAIN_LOSS
from federation.errors import RoundError
from federation.learning.agreement import ask_all
from federation.learning.preprocessing.prevalence import Shifts, at_true_prevalence
from federation.learning.preprocessing.statistics import MOST_ROWS
from federation.learning.rounds.figures import Recorder
from federation.learning.strategies.rules import Rules
from federation.model.arrays import ArrayError, ArrayView, floats

MOST_LOSS = 1e6  # a row's mean; far beyond any of standardised columns

TRAIN, VALIDATION = 0, 1
METRICS: Mapping[str, Mapping[str, int]] = {
    "train": {"metrics": TRAIN, "given": VALIDATION},
    "evaluate": {"metrics": VALIDATION},
    CALIBRATION: {"metrics": TRAIN},
}
"""The records of figures in a reply of each phase, and the rows that each is of."""

Problem = Callable[[str, RecordDict], str]
"""Says what is wrong with the content of a client's reply, "" if nothing is."""

_REMEDY = "Choose other parameters or another strategy."


class Finished(Exception):  # noqa: N818 - not an error
    """The strategy needs no further round.

    Parameters
    ----------
    arrays : ArrayRecord
        The final model.
    """

    def __init__(self, arrays: ArrayRecord) -> None:
        super().__init__("the strategy needs no further round")
        self.arrays = arrays


class EndsEarly(Strategy):
    """A strategy whose ``configure_train`` may raise :class:`Finished`.

    Flower's loop runs every round it was asked for. A strategy that is done raises where the next round would
    begin, when the last one has been evaluated and recorded, and ``start`` returns what it has.
    """

    def start(self, *arguments: Any, **options: Any) -> Result:
        """Run Flower's loop until its last round, or until the strategy is done."""
        try:
            return super().start(*arguments, **options)
        except Finished as finished:
            return Result(arrays=finished.arrays)


@runtime_checkable
class OwnUpdates(Protocol):
    """A strategy whose updates are not models."""

    def update_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Return names and shapes of the arrays expected in this round."""

    def update_problem(self, client: str, values: Mapping[str, NDArray[np.float64]]) -> str:
        """Return what is wrong with a client's finite arrays of these shapes, "" if nothing is."""


@runtime_checkable
class OwnModels(Protocol):
    """A strategy whose model is not the same for every client."""

    def model_for(self, client: str, arrays: ArrayRecord) -> ArrayRecord:
        """Return the model, of which ``arrays`` is everybody's, as it is for a client."""


class CheckedStrategy(EndsEarly):
    """Any strategy of Flower, fed only with valid updates, and never silent about a round that failed.

    Parameters
    ----------
    inner : Strategy
        What aggregates.
    preprocessing : ConfigRecord
        Sent along with the model, so that a client needs no memory between rounds.
    recorder : Recorder
        Where the figures go.
    name_of : callable
        The name of the client with a node id.
    rules : Rules
        What every round keeps to.

    Attributes
    ----------
    asked : set of int
        The node ids of the clients asked in this round.
    """

    def __init__(
        self,
        inner: Strategy,
        preprocessing: ConfigRecord,
        recorder: Recorder,
        name_of: Callable[[int], str],
        rules: Rules,
    ) -> None:
        self._inner = inner
        self._own_updates = inner if isinstance(inner, OwnUpdates) else None
        self._needs_loss = isinstance(inner, QFedAvg)
        self._preprocessing = preprocessing
        self._recorder = recorder
        self._name_of = name_of
        self._rules = rules
        self._global: Mapping[str, NDArray[np.float64]] = {}
        self.asked: set[int] = set()

    def summary(self) -> None:
        """Log the settings of the strategy."""
        self._inner.summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """Ask the clients that the strategy chooses to fit the global model."""
        server_round += self._rules.finished
        random.seed(f"{self._rules.seed}/{server_round}/train")  # what Flower's strategies draw from
        config["rows"] = sum(self._rules.counted().values())
        if self._needs_loss:
            config[TRAIN_LOSS] = True
        messages = list(self._inner.configure_train(server_round, arrays, config, grid))
        self._recorder.begin(server_round)
        self._global = {name: array.numpy() for name, array in arrays.items()}
        for message in messages:
            message.content["preprocessing"] = self._preprocessing
        self.asked = {message.metadata.dst_node_id for message in messages}
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate the valid updates; each client's own figures go into the round's record.

        Raises
        ------
        RoundError
            There are fewer than the quorum, or the strategy makes nothing of them.
        """
        server_round += self._rules.finished
        accepted, rejected = self._checked(server_round, replies, "train", self._update_problem)
        self._recorder.current.rejected.update(rejected)
        counts = self._rules.counted()
        for name, reply in accepted.items():
            metrics, given = cast("MetricRecord", reply.content["metrics"]), reply.content["given"]
            self._recorder.current.clients[name] = {"train": dict(metrics), "given": dict(given)}
            # One client with other metrics than the rest would fail Flower's run: it gets what it weighs by.
            kept = ("num-examples", TRAIN_LOSS) if self._needs_loss else ("num-examples",)
            weighing = {key: metrics[key] for key in kept}
            if name in counts:
                weighing["num-examples"] = counts[name]
            reply.content["metrics"] = MetricRecord(weighing)
            if self._needs_loss:  # Flower's QFedAvg computes in the update's own memory; ours is read-only
                update = reply.content.array_records["arrays"]
                reply.content["arrays"] = ArrayRecord({k: Array(v.numpy()) for k, v in update.items()})
            del reply.content["given"]
        try:
            arrays, aggregated = self._inner.aggregate_train(server_round, list(accepted.values()))
        except (AggregationError, InconsistentMessageReplies) as error:
            raise RoundError(
                f"round {server_round}: the strategy could not aggregate: {error}", _REMEDY
            ) from error
        if arrays is None:
            problem = f"{len(accepted)} updates are too few for it"
        else:
            arrays = ArrayRecord({name: ArrayView.of(array) for name, array in arrays.items()})
            problem = _array_problem(arrays, self._shapes)
        if problem:
            raise RoundError(f"round {server_round}: the strategy made no usable model: {problem}.", _REMEDY)
        return arrays, aggregated

    def configure_evaluate(self, *_: Any, **_by_name: Any) -> list[Message]:
        """Ask nobody: clients score a round's model when they get it, in the next round or in `score`."""
        return []

    def aggregate_evaluate(self, *_: Any, **_by_name: Any) -> None:
        """Return None: nobody was asked."""

    def figures(
        self,
        phase: str,
        content: Callable[[int], RecordDict],
        grid: Grid,
        timeout: float,
        problem_of: Problem = lambda _name, _content: "",
    ) -> dict[str, Mapping[str, Any]]:
        """Return what each client tells of the last round's model, by client.

        Parameters
        ----------
        phase : {"evaluate", "evaluate.calibration"}
            What is asked.
        content : callable
            Makes the question for the client with a node id.
        grid : Grid
            Whose clients are asked.
        timeout : float
            Seconds that they may take.
        problem_of : callable
            Checks an answer further.

        Raises
        ------
        RoundError
            There are fewer than the quorum.
        """
        self.asked = set(grid.get_node_ids())
        replies = ask_all(grid, sorted(self.asked), phase, content, timeout)
        last = self._recorder.rounds[-1].round
        accepted, _ = self._checked(last, replies.values(), phase, problem_of)
        return {name: dict(reply.content.metric_records["metrics"]) for name, reply in accepted.items()}

    def contents(self, arrays: ArrayRecord, shifts: Shifts) -> Callable[[int], RecordDict]:
        """Return what makes the content for the client with a node id: its model, at the true prevalence."""
        inner = self._inner

        def content(model: ArrayRecord, shift: float) -> RecordDict:
            return RecordDict(
                {"arrays": at_true_prevalence(model, shift), "preprocessing": self._preprocessing}
            )

        if not isinstance(inner, OwnModels):
            shared = content(arrays, shifts.common)
            return lambda _: shared

        def content_for(node_id: int) -> RecordDict:
            name = self._name_of(node_id)
            return content(inner.model_for(name, arrays), shifts.at(name))

        return content_for

    def _checked(
        self,
        server_round: int,
        replies: Iterable[Message],
        phase: str,
        problem_of: Problem,
    ) -> tuple[dict[str, Message], dict[str, str]]:
        """Return the valid replies, and why the others are not, both by client.

        Raises
        ------
        RoundError
            The valid ones are fewer than the quorum.
        """
        accepted: dict[str, Message] = {}
        rejected: dict[str, str] = {}
        for reply in replies:
            name = self._name_of(reply.metadata.src_node_id)
            problem = (
                _error(reply)
                or _metric_problem(reply.content, METRICS[phase], self._rules.rows.get(name))
                or problem_of(name, reply.content)
            )
            decision = {"client": name, "round": server_round, "phase": phase, "accepted": not problem}
            self._rules.event("decision", **decision, reason=problem)
            if problem:
                rejected[name] = problem
            else:
                accepted[name] = reply
        quorum = len(self.asked) if self._rules.quorum is None else self._rules.quorum
        if len(accepted) < quorum:
            problem = f"round {server_round}, {phase}: {len(accepted)} valid replies of {quorum} needed."
            raise RoundError(f"{problem} {listed(rejected)}", "Look at the logs of the clients named.")
        return accepted, rejected

    def _update_problem(self, name: str, content: RecordDict) -> str:
        records = content.array_records  # gathered anew at each access
        if list(records) != ["arrays"]:
            return "its update holds other records than the model's"
        if self._needs_loss and (problem := _loss_problem(content.metric_records["metrics"].get(TRAIN_LOSS))):
            return problem
        update = records["arrays"]
        if self._own_updates:
            shapes = self._own_updates.update_shapes()
            return _array_problem(update, shapes) or self._own_updates.update_problem(
                name, {key: array.numpy() for key, array in update.items()}
            )
        return _array_problem(update, self._shapes) or self._norm_problem(update)

    @property
    def _shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: values.shape for name, values in self._global.items()}

    def _norm_problem(self, update: ArrayRecord) -> str:
        with np.errstate(over="ignore"):  # an infinite norm is too large like any other
            norm = float(np.sqrt(sum(np.sum((update[k].numpy() - v) ** 2) for k, v in self._global.items())))
        limit = self._rules.max_update_norm
        return "" if norm <= limit else f"its update is {norm:.3g} away from the model (maximum {limit:g})"


def _array_problem(arrays: ArrayRecord, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return what is wrong with an update, "" if nothing is."""
    if list(arrays) != list(shapes):
        return f"its update has the arrays {', '.join(arrays)} instead of {', '.join(shapes)}"
    for name, array in arrays.items():
        try:
            values = floats(array)
        except ArrayError as error:
            return f"{name} is {error}"
        if values.shape != shapes[name]:
            return f"{name} has shape {values.shape} instead of {shapes[name]}"
        if not np.isfinite(values).all():
            return f"{name} is not finite"
    return ""


def _error(reply: Message) -> str:
    return (reply.error.reason or "it failed without a reason") if reply.has_error() else ""


def _metric_problem(
    content: RecordDict, expected: Mapping[str, int], rows_told: tuple[int, int] | None
) -> str:
    """Return what is wrong with the figures of a reply, "" if nothing is."""
    records = content.metric_records  # gathered anew at each access
    if records.keys() != expected.keys():
        return f"its reply has the metrics {', '.join(records) or 'none'} instead of {', '.join(expected)}"
    for record, which in expected.items():
        if problem := _row_problem(records[record].get("num-examples"), rows_told and rows_told[which]):
            return problem
        if which == VALIDATION and not isinstance(records[record].get("roc_auc"), float):
            return "its reply does not say its ROC-AUC"
    seconds = records["metrics"].get("seconds")
    if not isinstance(seconds, float) or not np.isfinite(seconds):
        return "its reply does not say how long it took"
    return ""


def _loss_problem(loss: object) -> str:
    if not isinstance(loss, float) or not np.isfinite(loss):
        return "its reply does not say the loss of the model on its training rows"
    if loss < 0:
        return "the loss on its training rows is negative"
    return "" if loss <= MOST_LOSS else f"the loss on its training rows is {loss:.3g}, which is not credible"


def _row_problem(rows: object, told: int | None) -> str:
    if not isinstance(rows, int) or rows < 1:
        return "its number of examples is not positive"
    if rows > MOST_ROWS:
        return f"its number of examples is {rows}, which is not credible"
    if told and rows != told:
        return f"its number of examples is {rows}, and it had told of {told}"
    return ""


def listed(reasons: Mapping[str, str]) -> str:
    """Return one sentence per client and its reason."""
    return " ".join(f'Client "{name}": {reason.rstrip(".")}.' for name, reason in reasons.items())
