"""Which strategy suits these clients, and what to say before round 1 and at the end where one does not.

All follows from the settings and from what the clients said before round 1, so a resumed run says the same.
"""

from collections.abc import Sequence
from dataclasses import replace

from federation.learning.agreement import Agreement
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.rounds.figures import Round
from federation.learning.settings import AUTO, TrainingSettings
from federation.learning.strategies.catalogue import FLOWERS, ROBUST, default_rounds, parameters_of
from federation.learning.strategies.convergence import judge

MOST_FEATURES = 1_000
"""Of a model that federated Newton is advised for: each client sends 4 MB a round there, and it grows with
their square."""
FEWEST_ROWS = 5
"""Rows a feature that a client has at least, where federated Newton is advised: a Hessian of fewer tells much
of single rows, see ADR 30."""
UNLIKE, UNLIKE_EACH = 0.45, 0.25
"""Index of dissimilarity from which a strategy that combines the clients' own fits is called unsuitable: one
that weighs them by rows, and one that takes each for as good as another. By benchmarks/RESULTS.md fedavg's
loss is 7 % above the pooled model's at 0.44 and 25 % at 0.48; those of fedmedian, krum and bulyan are 18 to
97 % above it at 0.3."""

_OF_STEPS = frozenset({"server_momentum", "server_learning_rate", "eta"})
"""Parameters that make a strategy's steps smaller."""


def resolve(settings: TrainingSettings, agreement: Agreement) -> tuple[TrainingSettings, list[str]]:
    """Return the settings with the strategy that is taken, and what to say of it where it was left open."""
    if settings.strategy != AUTO:
        return settings, []
    if settings.may_take == ("fednewton",):
        needed = "--penalty firth" if settings.penalty == "firth" else "--site-intercepts"
        return replace(settings, strategy="fednewton"), [f"auto: fednewton is taken: {needed} needs it."]
    reason = against_newton(agreement)
    taken = replace(settings, strategy="fedavg" if reason else "fednewton")
    why = reason or f"{_size(agreement)}, so its model is that of the pooled rows"
    return taken, [f"auto: {taken.strategy} is taken: {why}."]


def against_newton(agreement: Agreement) -> str:
    """Return why federated Newton is not advised, "" where it is."""
    features = len(agreement.preprocessing.features)
    if features > MOST_FEATURES:
        return f"fednewton is for {MOST_FEATURES:,} features or fewer, and there are {features:,}"
    for one in agreement.statistics:
        if one.rows < FEWEST_ROWS * features:
            return (
                f"fednewton is for {FEWEST_ROWS} training rows a feature or more at every client, and client "
                f'"{one.client}" has {one.rows:,} rows for {features:,} features'
            )
    return ""


def notes_of_strategy(settings: TrainingSettings, agreement: Agreement) -> list[str]:
    """Return one line for each way in which the strategy may not be what these clients need.

    Parameters
    ----------
    settings : TrainingSettings
        With the strategy that is taken.
    agreement : Agreement
        What was agreed before round 1.
    """
    if settings.strategy == "fednewton":
        return _on_intercepts(settings, agreement)
    if settings.strategy not in FLOWERS:
        return []  # of others' strategies nothing is known
    lines = []
    if not against_newton(agreement):
        liars = ", but withstand no lying client" if settings.strategy in ROBUST else ""
        lines.append(
            f"--strategy fednewton would give the model of the pooled rows{liars} ({_size(agreement)})."
        )
    if settings.rounds < (needed := default_rounds(settings.strategy, settings.penalty)):
        lines.append(
            f"{settings.strategy} needs {needed} rounds or so, and has {settings.rounds}: allow more with "
            f"--rounds {needed}."
        )
    if unlike := _too_unlike(settings.strategy, agreement):
        lines.append(
            f"the clients' shares of positive rows differ much (index of dissimilarity {unlike:.2f}): "
            f"{settings.strategy} combines fits that pull apart, and is likely to end far from the model of "
            "the pooled rows, whatever the rounds, where fednewton would not."
        )
    return lines


def conclude(settings: TrainingSettings, agreement: Agreement, rounds: Sequence[Round]) -> str | None:
    """Say in one line whether the model has stopped moving, and what that is worth; None without a round.

    Parameters
    ----------
    settings : TrainingSettings
        With the strategy that was taken.
    agreement : Agreement
        What was agreed before round 1.
    rounds : sequence of Round
        From round 0 on.
    """
    judged = judge(rounds)
    if judged is None:
        return None
    needed, text = default_rounds(settings.strategy), str(judged)
    if settings.strategy in FLOWERS:
        if judged.rose and not judged.settled:
            steps = [name for name in parameters_of(settings.strategy) if name in _OF_STEPS]
            text += f" (such as a smaller {' or '.join(steps)})" if steps else ""
        elif not judged.settled and judged.rounds < needed:
            text += f" ({settings.strategy} needs {needed} or so)"
        if unlike := _too_unlike(settings.strategy, agreement):
            text += (
                "; the clients' shares of positive rows differ much (index of dissimilarity "
                f"{unlike:.2f}), so this is likely to be far from the model of the pooled rows"
            )
    return text


def dissimilarity(statistics: Sequence[ClientStatistics]) -> float:
    """Return how unlike the clients' shares of positive training rows are: 0 alike, 1 each of one class.

    Half the sum over clients of the difference between their share of all positive rows and their share of
    all negative ones: Duncan and Duncan 1955, "A Methodological Analysis of Segregation Indexes". 0 where all
    rows are of one class.
    """
    positives = sum(one.positives for one in statistics)
    negatives = sum(one.rows for one in statistics) - positives
    if not positives or not negatives:
        return 0.0
    return 0.5 * sum(
        abs(one.positives / positives - (one.rows - one.positives) / negatives) for one in statistics
    )


def _on_intercepts(settings: TrainingSettings, agreement: Agreement) -> list[str]:
    """Return one line where base rates differ so much that each client may need its own intercept.

    Not where a client has rows of one class: its own would grow for ever.
    """
    unlike = dissimilarity(agreement.statistics)
    one_class = any(one.positives in (0, one.rows) for one in agreement.statistics)
    if settings.site_intercepts or one_class or unlike < UNLIKE_EACH:
        return []
    line = (
        f"the clients' shares of positive rows differ much (index of dissimilarity {unlike:.2f}): "
        "--site-intercepts gives each client an intercept of its own, so that coefficients do not take up "
        "what differs between clients."
    )
    return [line]


def _too_unlike(strategy: str, agreement: Agreement) -> float:
    """Return how unlike the clients' labels are where that is too much for a strategy, else 0."""
    unlike = dissimilarity(agreement.statistics)
    each = strategy in ROBUST or strategy == "qfedavg"
    return unlike if unlike >= (UNLIKE_EACH if each else UNLIKE) else 0.0


def _size(agreement: Agreement) -> str:
    least = min(one.rows for one in agreement.statistics)
    return (
        f"{len(agreement.preprocessing.features):,} features, {least:,} training rows or more at every client"
    )
