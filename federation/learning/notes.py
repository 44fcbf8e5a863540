"""What a user should know before round 1, as lines that terminal, report and record show alike."""

from federation.learning.agreement import Agreement
from federation.learning.preprocessing.heterogeneity import warnings_of
from federation.learning.settings import TrainingSettings
from federation.learning.strategies.advice import notes_of_strategy


def notes_of(settings: TrainingSettings, agreement: Agreement) -> list[str]:
    """Return one line for each fact that may surprise.

    Parameters
    ----------
    settings : TrainingSettings
        Strategy, as it is taken, rounds, quorum.
    agreement : Agreement
        What was agreed, from what every client says of its rows.
    """
    return [*notes_of_strategy(settings, agreement), *warnings_of(agreement.statistics)]
