"""What happened in each round: the figures of the server and of every client, and who was rejected."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from federation.data.table import Table
from federation.learning.preprocessing.prevalence import corrected
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.model.linear import Preprocessing
from federation.model.quality.metrics import evaluate

Json: TypeAlias = Any
"""Any JSON value."""


@dataclass(kw_only=True)
class Round:
    """What happened in one round; round 0 is the untrained model.

    Parameters
    ----------
    round : int
        Its number.
    seconds : float
        From the first message to the server's own evaluation, included.
    overhead : float
        ``seconds`` less the slowest client's own computing and the server's evaluation.
    server : dict
        Figures on the server's test data, see :func:`federation.model.quality.metrics.evaluate`; of the last
        round in the end those of the final model, its intercept calibrated.
    clients : dict
        Per client what it reported: ``train`` figures of its fit, and ``given`` figures, on its validation
        rows, of the model that it was given to fit, which is that of the round before; their intercepts are
        as they were trained, not corrected as the server's is.
    rejected : dict
        Per client, why its update did not count.
    set_aside : dict
        Per client that is not asked from the next round on, why.
    distance : float, optional
        Euclidean distance of the model from that of the round before, relative to its own length; None for
        round 0.
    """

    round: int
    seconds: float = 0.0
    overhead: float = 0.0
    server: Mapping[str, Any] = field(default_factory=dict)
    clients: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    set_aside: dict[str, str] = field(default_factory=dict)
    distance: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values; a figure that is undefined is None."""
        return without_nan(asdict(self))  # type: ignore[no-any-return]


class Observer(Protocol):
    """Who is told how the training goes."""

    def agreed(self, statistics: list[ClientStatistics], notes: Sequence[str]) -> None:
        """Take note of what the clients said of their data, and of what may surprise, see `notes`."""

    def round_ended(self, record: Round, of: int) -> None:
        """Take note of a round's figures; ``of`` is the number of rounds."""

    def scored(self, at_clients: Mapping[str, Mapping[str, Any]]) -> None:
        """Take note of the final model's figures at each client."""


class Recorder:
    """Evaluate the global model on the server's test data and gather each round's figures.

    Parameters
    ----------
    test : Table
        The server's held-back rows.
    preprocessing : Preprocessing
        Applied to them once.
    observer : Observer
        Told when a round has ended.
    total : int
        Number of rounds.
    shift : float
        What the intercept is corrected by, see `federation.learning.preprocessing.prevalence`.
    """

    def __init__(
        self, test: Table, preprocessing: Preprocessing, observer: Observer, total: int, shift: float = 0.0
    ) -> None:
        self._Z, self._y = preprocessing.prepare(test), test.y
        self._observer = observer
        self._total = total
        self._shift = shift
        self._started = time.perf_counter()
        self.rounds: list[Round] = []
        self.current = Round(round=0)
        self._last: NDArray[np.float64] | None = None

    def resume(self, rounds: Sequence[Round], arrays: Mapping[str, NDArray[np.float64]]) -> None:
        """Go on after rounds that were finished before, the last of which made the model ``arrays``."""
        self.rounds, self._last = list(rounds), _flat(arrays)

    def begin(self, server_round: int) -> None:
        """Open the record of a round."""
        self._started = time.perf_counter()
        self.current = Round(round=server_round)

    def evaluate(self, arrays: Mapping[str, NDArray[np.float64]]) -> None:
        """Score the model, ``coef`` (1, d) and ``intercept`` (1,) as trained, and close the round."""
        scoring = time.perf_counter()
        self.current.server = evaluate(self._y, _sigmoid(self._Z, arrays, self._shift))
        model = _flat(arrays)
        if self._last is not None:
            self.current.distance = _relative(model - self._last, model)
        self._last = model
        ended = time.perf_counter()
        computing = (figures["train"]["seconds"] for figures in self.current.clients.values())
        self.current.seconds = ended - self._started
        self.current.overhead = max(scoring - self._started - max(computing, default=0.0), 0.0)
        self.rounds.append(self.current)

    def score_again(self, arrays: Mapping[str, NDArray[np.float64]], shift: float) -> None:
        """Score the last round's model with its intercept corrected by ``shift`` in place of what it was."""
        server = evaluate(self._y, _sigmoid(self._Z, arrays, shift))
        self.rounds[-1] = replace(self.rounds[-1], server=server)

    def announce(self) -> None:
        """Tell the observer of the closed round."""
        self._observer.round_ended(self.current, self._total)


def _flat(arrays: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate([values.ravel() for values in arrays.values()])


def _relative(change: NDArray[np.float64], model: NDArray[np.float64]) -> float:
    """Return how long a change is, as a share of the model's length; 1 at most where the model is 0."""
    moved, length = float(np.linalg.norm(change)), float(np.linalg.norm(model))
    return moved / length if length else float(moved > 0)


def _sigmoid(
    Z: NDArray[np.float64], arrays: Mapping[str, NDArray[np.float64]], shift: float
) -> NDArray[np.float64]:
    logits = Z @ arrays["coef"][0] + corrected(arrays["intercept"], shift)[0]
    result: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return result


def without_nan(value: Json) -> Json:
    """Return the value with None for every number that JSON does not know."""
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
