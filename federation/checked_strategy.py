"""Guard any strategy of Flower: only valid updates reach it, and a failed round is never silent."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.exception import AggregationError, InconsistentMessageReplies
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from federation.early_end import EndsEarly
from federation.errors import RoundError
from federation.frames import FrameError
from federation.messages import floats
from federation.rounds import Recorder

MOST_ROWS = 10**9  # far beyond a table in one process's memory; such a weight would silence all others

_REMEDY = "Choose other parameters or another strategy."


@runtime_checkable
class OwnUpdates(Protocol):
    """A strategy whose updates are not models."""

    def update_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Return names and shapes of the arrays expected in this round."""

    def update_problem(self, values: Mapping[str, NDArray[np.float64]]) -> str:
        """Return what is wrong with finite arrays of these shapes, "" if nothing is."""


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
    quorum : int, optional
        Fewest valid updates a round may aggregate; None: one from every client asked.
    """

    def __init__(
        self,
        inner: Strategy,
        preprocessing: ConfigRecord,
        recorder: Recorder,
        name_of: Callable[[int], str],
        quorum: int | None,
    ) -> None:
        self._inner = inner
        self._preprocessing = preprocessing
        self._recorder = recorder
        self._name_of = name_of
        self._quorum = quorum
        self._asked = 0
        self._shapes: Mapping[str, tuple[int, ...]] = {}

    def summary(self) -> None:
        """Log the settings of the strategy."""
        self._inner.summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """Ask the clients that the strategy chooses to fit the global model."""
        messages = self._inner.configure_train(server_round, arrays, config, grid)
        self._recorder.begin(server_round)
        self._shapes = {name: array.numpy().shape for name, array in arrays.items()}
        return self._with_preprocessing(messages)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate the valid updates.

        Raises
        ------
        RoundError
            There are fewer than the quorum, or the strategy makes nothing of them.
        """
        accepted = self._accepted(server_round, replies, "train", self._update_problem)
        try:
            arrays, metrics = self._inner.aggregate_train(server_round, accepted)
        except (AggregationError, InconsistentMessageReplies) as error:
            raise RoundError(
                f"round {server_round}: the strategy could not aggregate: {error}", _REMEDY
            ) from error
        if arrays is None or (problem := _array_problem(arrays, self._shapes)):
            why = problem if arrays is not None else f"{len(accepted)} updates are too few for it"
            raise RoundError(f"round {server_round}: the strategy made no usable model: {why}.", _REMEDY)
        return arrays, metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """Ask the clients that the strategy chooses to score the global model."""
        return self._with_preprocessing(self._inner.configure_evaluate(server_round, arrays, config, grid))

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Keep the valid scores; each client's own is in the round's record.

        Raises
        ------
        RoundError
            There are fewer than the quorum.
        """
        self._accepted(server_round, replies, "evaluate", lambda _: "")
        return None

    def _with_preprocessing(self, messages: Iterable[Message]) -> list[Message]:
        configured = list(messages)
        for message in configured:
            message.content["preprocessing"] = self._preprocessing
        self._asked = len(configured)
        return configured

    def _accepted(
        self,
        server_round: int,
        replies: Iterable[Message],
        phase: str,
        problem_of: Callable[[RecordDict], str],
    ) -> list[Message]:
        accepted: list[Message] = []
        rejected: dict[str, str] = {}
        for reply in replies:
            name = self._name_of(reply.metadata.src_node_id)
            if problem := _error(reply) or _metric_problem(reply.content) or problem_of(reply.content):
                rejected[name] = problem
            else:
                metrics = reply.content.metric_records["metrics"]
                self._recorder.current.clients.setdefault(name, {})[phase] = dict(metrics)
                # One client with other metrics than the rest would fail Flower's run: it gets the weight.
                reply.content["metrics"] = MetricRecord({"num-examples": metrics["num-examples"]})
                accepted.append(reply)
        for name, problem in rejected.items():
            self._recorder.current.rejected.setdefault(
                name, problem
            )  # the first reason in a round tells most
        quorum = self._asked if self._quorum is None else self._quorum
        if len(accepted) < quorum:
            problem = f"round {server_round}, {phase}: {len(accepted)} valid replies of {quorum} needed."
            raise RoundError(f"{problem} {listed(rejected)}", "Look at the logs of the clients named.")
        return accepted

    def _update_problem(self, content: RecordDict) -> str:
        if list(content.array_records) != ["arrays"]:
            return "its update holds other records than the model's"
        update = content.array_records["arrays"]
        if not isinstance(self._inner, OwnUpdates):
            return _array_problem(update, self._shapes)
        return _array_problem(update, self._inner.update_shapes()) or self._inner.update_problem(
            {name: array.numpy() for name, array in update.items()}
        )


def _array_problem(arrays: ArrayRecord, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return what is wrong with an update, "" if nothing is."""
    if list(arrays) != list(shapes):
        return f"its update has the arrays {', '.join(arrays)} instead of {', '.join(shapes)}"
    for name, array in arrays.items():
        try:
            values = floats(array)
        except FrameError as error:
            return f"{name} is {error}"
        if values.shape != shapes[name]:
            return f"{name} has shape {values.shape} instead of {shapes[name]}"
        if not np.isfinite(values).all():
            return f"{name} is not finite"
    return ""


def _error(reply: Message) -> str:
    return (reply.error.reason or "it failed without a reason") if reply.has_error() else ""


def _metric_problem(content: RecordDict) -> str:
    if list(content.metric_records) != ["metrics"]:
        return "its reply holds no metrics"
    metrics = content.metric_records["metrics"]
    rows, seconds = metrics.get("num-examples"), metrics.get("seconds")
    if not isinstance(rows, int) or rows < 1:
        return "its number of examples is not positive"
    if rows > MOST_ROWS:
        return f"its number of examples is {rows}, which is not credible"
    if not isinstance(seconds, float) or not np.isfinite(seconds):
        return "its reply does not say how long it took"
    return ""


def listed(reasons: Mapping[str, str]) -> str:
    """Return one sentence per client and its reason."""
    return " ".join(f'Client "{name}": {reason.rstrip(".")}.' for name, reason in reasons.items())
