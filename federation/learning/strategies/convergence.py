"""Judge whether a run's model has stopped moving, from its last rounds alone.

It says nothing of whether the model is a good one: clients whose rows differ much may settle on a compromise
that is far from the model of the pooled rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from federation.learning.rounds.figures import Round

WINDOW = 2
"""Rounds that are looked at: one still round may be the turning point of a swing."""
STILL = 0.01
"""Relative change of the model in a round, at most, that counts as none: less than reports show."""
FLAT = 0.001
"""Relative change of the loss in a round, at most, that counts as none. A slow strategy may change the model
by less than a hundredth a round for a hundred rounds; the loss tells it from one that is done."""
DIVERGING = 0.05
"""Relative rise of the loss in a round from which more rounds of the same lead away. Less is usual on the way
to a model that fits the training rows better than these."""


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """How far the last rounds moved.

    Parameters
    ----------
    rounds : int
        How many there were.
    settled : bool
        Whether neither model nor loss moved in the last `WINDOW` rounds.
    distance : float
        Euclidean distance between the last two models, relative to the length of the last one.
    loss : float
        Relative change of the log loss on the server's rows in the last round, above 0 where it rose.
    """

    rounds: int
    settled: bool
    distance: float
    loss: float

    @property
    def rose(self) -> bool:
        """Whether the loss rose, so that more rounds of the same lead away."""
        return self.loss > DIVERGING

    def __str__(self) -> str:
        if self.settled:
            return (
                f"settled after {self.rounds} rounds (in the last one the model changed by "
                f"{percent(self.distance)} and the loss on the server's rows by {percent(abs(self.loss))})"
            )
        way = "rose" if self.loss > 0 else "fell"
        what = "choose other parameters or another strategy" if self.rose else "allow more with --rounds"
        return (
            f"still moving after {self.rounds} {'round' if self.rounds == 1 else 'rounds'} (in the last one "
            f"the model changed by {percent(self.distance)} and the loss on the server's rows {way} by "
            f"{percent(abs(self.loss))}): {what}"
        )


def judge(rounds: Sequence[Round]) -> Convergence | None:
    """Judge a run from its rounds; None if it has none but round 0, or the figures before the last are lost.

    Parameters
    ----------
    rounds : sequence of Round
        From round 0 on. A round that was kept by an older version knows no distance and counts as moving.
    """
    pairs = [(before, after) for before, after in pairwise(rounds) if after.round == before.round + 1]
    if not pairs or pairs[-1][1] is not rounds[-1]:
        return None
    moves = [_move(before, after) for before, after in pairs[-WINDOW:]]
    still = all(distance <= STILL and abs(loss) <= FLAT for distance, loss in moves)
    distance, loss = moves[-1]
    return Convergence(
        rounds=rounds[-1].round, settled=still and len(moves) == WINDOW, distance=distance, loss=loss
    )


def _move(before: Round, after: Round) -> tuple[float, float]:
    old, new = before.server["log_loss"], after.server["log_loss"]
    distance = 1.0 if after.distance is None else after.distance
    return distance, (new - old) / old if old else 0.0


def percent(share: float) -> str:
    """Return a share in per cent, to two digits where it has them."""
    value = 100.0 * share
    if value < 0.01:  # noqa: PLR2004 - less says no more
        return "under 0.01 %"
    return f"{value:.2g} %" if value < 10 else f"{value:.0f} %"  # noqa: PLR2004
