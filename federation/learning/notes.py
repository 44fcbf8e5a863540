"""What a user should know before round 1, as lines that terminal, report and record show alike."""

from federation.learning.agreement import Agreement
from federation.learning.preprocessing.heterogeneity import warnings_of
from federation.learning.settings import TrainingSettings
from federation.learning.strategies.inference import reason_for_no_tests


def notes_of(settings: TrainingSettings, agreement: Agreement) -> list[str]:
    """Return one line for each fact that may surprise.

    Parameters
    ----------
    settings : TrainingSettings
        Strategy, rounds, quorum.
    agreement : Agreement
        What was agreed, from what every client says of its rows.
    """
    notes = warnings_of(agreement.statistics)
    reason = reason_for_no_tests(settings.penalty)
    if settings.strategy == "fednewton" and reason:
        notes.append(f"no p values and no intervals: {reason}.")
    if settings.site_intercepts:
        notes.append(
            "every client has an intercept of its own; rows of no client, the server's too, get their mean."
        )
    return notes
