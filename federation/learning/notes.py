"""What a user should know before round 1, as lines that terminal, report and record show alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from federation.data.unused import lines
from federation.learning.agreement import Agreement
from federation.learning.preprocessing.heterogeneity import warnings_of
from federation.learning.settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What data preparation tells of the rows, where the server knows it.

    Parameters
    ----------
    notes : sequence of str
        What did not go the usual way.
    left_out : mapping of str to str
        Columns that the prepared files do not have, and why.
    """

    notes: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def notes_of(settings: TrainingSettings, agreement: Agreement, prepared: Prepared | None = None) -> list[str]:
    """Return one line for each fact that may surprise.

    Parameters
    ----------
    settings : TrainingSettings
        Strategy, rounds, quorum.
    agreement : Agreement
        What was agreed, from what every client says of its rows.
    prepared : Prepared, optional
        What data preparation tells of them.
    """
    prepared = prepared or Prepared()
    del settings  # no line depends on them yet
    left_out = [*lines(prepared.left_out, hint=True), *lines(agreement.left_out)]
    return [*prepared.notes, *left_out, *warnings_of(agreement.statistics)]
