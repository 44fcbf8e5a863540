"""What a user should know before round 1, as lines that terminal, report and record show alike."""

from federation.learning.agreement import Agreement
from federation.learning.preprocessing.heterogeneity import warnings_of
from federation.learning.preprocessing.prevalence import sampling_notes
from federation.learning.preprocessing.statistics import class_weight
from federation.learning.settings import TrainingSettings


def notes_of(settings: TrainingSettings, agreement: Agreement) -> list[str]:
    """Return one line for each fact that may surprise.

    Parameters
    ----------
    settings : TrainingSettings
        Strategy, rounds, quorum.
    agreement : Agreement
        What was agreed, from what every client says of its rows.
    """
    weights = class_weight(agreement.statistics, balanced=settings.balanced)
    return [*warnings_of(agreement.statistics), *sampling_notes(agreement.statistics, weights)]
