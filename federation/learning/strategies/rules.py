"""What every round of a run keeps to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from federation.events import Events, unrecorded
from federation.learning.preprocessing.screening import counted_rows

MAX_UPDATE_NORM = 1e6
"""Farthest an update may be from the global model; coefficients of standardised columns stay far below."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What every round of a run keeps to.

    Parameters
    ----------
    quorum : int, optional
        Fewest valid updates a round may aggregate; None: one from every client asked.
    max_update_norm : float
        Farthest an update may be from the global model (Euclidean norm over all arrays).
    rows : mapping of str to (int, int)
        Training and validation rows that each client told of; newcomers are added. Of the penalty each
        client's fit takes its training rows' share.
    seed : int
        Of the choice of clients; with the number of the round it alone decides, so that a resumed run chooses
        as the uninterrupted one.
    finished : int
        Rounds that were finished before this process began.
    robust : bool
        Whether no client counts for many more rows than others do, whatever it told.
    event : callable
        Told the decision on each update.
    """

    quorum: int | None = None
    max_update_norm: float = MAX_UPDATE_NORM
    rows: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    seed: int = 0
    finished: int = 0
    robust: bool = False
    event: Events = unrecorded

    def counted(self) -> dict[str, int]:
        """Return for how many training rows each client counts."""
        told = {name: rows for name, (rows, _) in self.rows.items()}
        return counted_rows(told) if self.robust else told
