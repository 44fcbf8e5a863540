"""What a user should know before round 1, as lines that terminal, report and record show alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from client_code.protocol.contract import Contract
from client_code.protocol.preparation import Preparation
from federation.data.preparation.beside import preparations
from federation.data.preparation.manifest import Manifest
from federation.data.unused import lines
from federation.learning.agreement import Agreement
from federation.learning.preprocessing.heterogeneity import warnings_of
from federation.learning.preprocessing.pooling import same_gaps
from federation.learning.preprocessing.prevalence import resample_of, sampling_notes
from federation.learning.preprocessing.statistics import ClientStatistics, class_weight
from federation.learning.settings import TrainingSettings
from federation.learning.strategies.advice import notes_of_strategy
from federation.learning.strategies.newton.inference import reason_for_no_tests

_COLUMNS_NAMED = 5
_FILLED = 0.05
"""Share of a column's training values that may be filled in without a word."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the server knows of how the rows were prepared.

    Parameters
    ----------
    notes : sequence of str
        What did not go the usual way.
    left_out : mapping of str to str
        Columns that the prepared files do not have, and why.
    contract : Contract, optional
        The data contract: which columns are logged, and how gaps are filled.
    clients : mapping of str to Preparation
        How the training rows of clients were prepared, for those that do not know it themselves.
    """

    notes: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    contract: Contract | None = None
    clients: Mapping[str, Preparation] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest, contract: Contract | None) -> Self:
        """Return what data preparation on this machine wrote down."""
        return cls(
            notes=manifest.notes,
            left_out=manifest.left_out,
            contract=contract,
            clients=preparations(manifest),
        )

    def completed(self, statistics: Sequence[ClientStatistics]) -> list[ClientStatistics]:
        """Return statistics with how rows were prepared, where a client does not know and the counts fit."""
        return [
            replace(one, preparation=known)
            if one.preparation is None
            and (known := self.clients.get(one.client))
            and not known.problem(one.rows, one.positives)
            else one
            for one in statistics
        ]


def notes_of(settings: TrainingSettings, agreement: Agreement, prepared: Prepared | None = None) -> list[str]:
    """Return one line for each fact that may surprise.

    Parameters
    ----------
    settings : TrainingSettings
        Strategy, as it is taken, rounds, quorum.
    agreement : Agreement
        What was agreed, from what every client says of its rows.
    prepared : Prepared, optional
        What data preparation tells of them.
    """
    prepared = prepared or Prepared()
    weights = class_weight(agreement.statistics, balanced=settings.balanced)
    notes = [
        *notes_of_strategy(settings, agreement),
        *prepared.notes,
        *lines(prepared.left_out, hint=True),
        *lines(agreement.left_out),
        *warnings_of(agreement.statistics),
        *_merged_marks(agreement),
        *sampling_notes(agreement.statistics, weights),
    ]
    reason = reason_for_no_tests(settings.penalty, resample_of(agreement.statistics, weights))
    if settings.strategy == "fednewton":
        notes += [f"no p values and no intervals: {reason}."] if reason else _filled(agreement)
    if settings.site_intercepts:
        notes.append(
            "every client has an intercept of its own; rows of no client, the server's too, get their mean."
        )
    return notes


def _filled(agreement: Agreement) -> list[str]:
    """Return one line on the numeric columns that standard errors know more of than was observed."""
    columns = [it.column for it in agreement.preprocessing.encoding.features if it.fill is not None]
    rows = sum(one.rows for one in agreement.statistics)
    shares = {}
    for name in columns:
        observed = sum(float(one.observed[one.features.index(name)]) for one in agreement.statistics)
        if (missing := (rows - observed) / rows) > _FILLED:
            shares[name] = missing
    if not shares:
        return []
    named = [f'"{name}" ({100 * share:.0f} %)' for name, share in shares.items()]
    more = f" and {len(named) - _COLUMNS_NAMED} more" if len(named) > _COLUMNS_NAMED else ""
    what = "values are missing and filled in, which standard errors take for observed"
    return [f"{what}: {', '.join(named[:_COLUMNS_NAMED])}{more}."]


def _merged_marks(agreement: Agreement) -> list[str]:
    """Return one line for each feature that marks the gaps of several columns."""
    by_mark: dict[str, list[str]] = {}
    for column, marking in same_gaps(agreement.statistics, agreement.statistics[0].features).items():
        by_mark.setdefault(marking, []).append(column)
    return [
        f'"{others[0]}" is missing in the same rows as "{marking}": one feature marks both.'
        if len(others) == 1
        else f'{_some(others)} are missing in the same rows as "{marking}": one feature marks all of them.'
        for marking, others in by_mark.items()
    ]


def _some(columns: list[str]) -> str:
    named = [f'"{name}"' for name in columns[:_COLUMNS_NAMED]]
    if more := len(columns) - len(named):
        return f"{', '.join(named)} and {more} more"
    return f"{', '.join(named[:-1])} and {named[-1]}"
