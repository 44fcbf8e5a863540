"""What a user should know before round 1, as lines that terminal, report and record show alike."""

from federation.data.unused import lines
from federation.learning.agreement import Agreement
from federation.learning.preprocessing.heterogeneity import warnings_of
from federation.learning.preprocessing.pooling import same_gaps
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.preprocessing.prevalence import resample_of, sampling_notes
from federation.learning.preprocessing.statistics import class_weight
from federation.learning.settings import TrainingSettings
from federation.learning.strategies.advice import notes_of_strategy
from federation.learning.strategies.newton.inference import reason_for_no_tests
from federation.words import some

_FILLED = 0.05
"""Share of a column's training values that may be filled in without a word."""


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
    told = agreement.counted
    weights = class_weight(told, balanced=settings.balanced)
    notes = [
        *notes_of_strategy(settings, agreement),
        *prepared.notes,
        *lines(prepared.left_out, hint=True),
        *lines(agreement.left_out),
        *warnings_of(agreement.statistics),
        *(f'client "{name}": {found}.' for name, found in agreement.outliers.items()),
        *_merged_marks(agreement),
        *sampling_notes(told, weights),
    ]
    reason = reason_for_no_tests(settings.penalty, resample_of(told, weights))
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
    named = some([f'"{name}" ({100 * share:.0f} %)' for name, share in shares.items()])
    return [f"values are missing and filled in, which standard errors take for observed: {named}."]


def _merged_marks(agreement: Agreement) -> list[str]:
    """Return one line for each feature that marks the gaps of several columns."""
    by_mark: dict[str, list[str]] = {}
    for column, marking in same_gaps(agreement.statistics, agreement.statistics[0].features).items():
        by_mark.setdefault(marking, []).append(column)
    lines = []
    for marking, others in by_mark.items():
        which = some([f'"{name}"' for name in others])
        verb, all_of_them = ("is", "both") if len(others) == 1 else ("are", "all of them")
        lines.append(
            f'{which} {verb} missing in the same rows as "{marking}": one feature marks {all_of_them}.'
        )
    return lines
