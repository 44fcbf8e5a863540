"""What a training writes down after each round, and where: the record as the training sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from federation.learning.agreement import Agreement
from federation.learning.rounds.figures import Round
from federation.learning.strategies.state import State


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
    strategy : mapping
        What the strategy carries, see `federation.learning.strategies.state`.
    notes : sequence of str
        What was lost of the record; figures of rounds in between may be.
    """

    agreement: Agreement
    rounds: list[Round]
    arrays: Mapping[str, NDArray[np.float64]]
    strategy: State
    notes: Sequence[str] = ()

    @property
    def round(self) -> int:
        """The number of the finished round."""
        return self.rounds[-1].round


class Record(Protocol):
    """Where a training writes down what happens, and finds what happened before it was cut short."""

    def event(self, event: str, **facts: object) -> None:
        """Take note of an event."""

    def load(self) -> Checkpoint | None:
        """Return the last finished round of a run that is resumed."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a finished round."""


class Unrecorded:
    """Write nothing down."""

    def event(self, event: str, **facts: object) -> None:
        """Take no note."""

    def load(self) -> None:
        """Return None: nothing was kept."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep nothing."""
