"""Correct the intercept of a model of resampled or weighted rows, and tell what was done to them.

Resampling and class weights change the odds of the classes, and with them the intercept. The prior correction
of King and Zeng 2001, "Logistic Regression in Rare Events Data" (Political Analysis 9, 137-163, equation 7),
subtracts the logarithm of the odds as fitted over the odds of the original rows, both of all clients. It is
exact for class weights, and for rows drawn by class where every client drew the same shares of both classes;
where shares differ, and with rows made up by SMOTE, it is an approximation. An intercept that is a client's
own is corrected by that client's rows alone, so shares may differ there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any, Self, TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

from client_code.protocol.preparation import BALANCED, NONE, SMOTE
from federation.data.preparation.manifest import Count
from federation.errors import RoundError
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.model.linear import Scalar
from federation.model.sampling import UNKNOWN
from federation.words import some

Weights = tuple[float, float]
"""Of a negative and of a positive row."""
Intercept = TypeVar("Intercept", float, NDArray[np.float64])

EVEN: Weights = (1.0, 1.0)


def corrected(intercept: Intercept, shift: float) -> Intercept:
    """Return an intercept, or several, at the true prevalence; see `shift_of`."""
    return intercept - shift


def at_true_prevalence(model: ArrayRecord, shift: float) -> ArrayRecord:
    """Return a trained model with its intercept corrected, see `shift_of`."""
    intercept = Array(corrected(model["intercept"].numpy(), shift))
    return ArrayRecord(dict(model) | {"intercept": intercept})


def shift_of(statistics: Sequence[ClientStatistics], weights: Weights) -> float:
    """Return how far the trained intercept is above that of the true prevalence, in log-odds.

    Parameters
    ----------
    statistics : sequence of ClientStatistics
        Of every client.
    weights : tuple of float
        Of a negative and of a positive row in the fits.

    Returns
    -------
    float
        0.0 where rows are as they were, or all of one class. If a client does not know how its rows were
        prepared, the part of the weights only.
    """
    trained = _trained(statistics)
    return prior_shift(trained, _original(statistics) or trained, weights)


@dataclass(frozen=True)
class Shifts:
    """How far trained intercepts are above those of the true prevalence, in log-odds.

    Parameters
    ----------
    common : float
        Of the one intercept, or of the mean of the clients' own.
    sites : mapping of str to float
        Of each client's own intercept, by its own rows; empty where there is one for all.
    """

    common: float = 0.0
    sites: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, statistics: Sequence[ClientStatistics], weights: Weights, *, by_site: bool) -> Self:
        """Return those of what clients say of their rows, see `shift_of`."""
        if not by_site:
            return cls(shift_of(statistics, weights))
        sites = {one.client: shift_of([one], weights) for one in statistics}
        return cls(fmean(sites.values()), sites)

    def at(self, client: str) -> float:
        """Return that of the intercept which a client is given; one that came later has the mean."""
        return self.sites.get(client, self.common)


def original_weights(one: ClientStatistics, of: Sequence[ClientStatistics]) -> Weights:
    """Return the weights with which a client's training rows count as they did before they were resampled.

    Parameters
    ----------
    one : ClientStatistics
        Of the client.
    of : sequence of ClientStatistics
        What the model's intercept is corrected by, see `shift_of`: if a client there does not know how its
        rows were prepared, nobody's rows are weighted.

    Raises
    ------
    RoundError
        The client came later, and does not know how its rows were prepared where the others do.
    """
    if _original(of) is None:
        return EVEN
    before = one.preparation
    if before is None:
        raise RoundError(
            f'client "{one.client}" does not know how its rows were prepared.',
            "Prepare the data there with federation.data_prep and publish them again.",
        )
    negatives = _ratio(before.rows - before.positives, one.rows - one.positives)
    return negatives, _ratio(before.positives, one.positives)


def prior_shift(trained: Count, original: Count, weights: Weights) -> float:
    """Return the logarithm of the odds as fitted over the odds before resampling.

    Parameters
    ----------
    trained, original : Count
        Rows of the fit, and rows before they were resampled, which have the same classes.
    weights : tuple of float
        Of a negative and of a positive row in the fit; only their ratio counts.
    """
    of_weights = math.log(weights[1] / weights[0])
    return of_weights if trained == original else of_weights + _log_odds(trained) - _log_odds(original)


def resample_of(statistics: Sequence[ClientStatistics], weights: Weights) -> str:
    """Say in one word what evened out the classes of the rows that a model was trained on.

    Returns
    -------
    {"none", "smote", "balanced", "unknown"}
        "unknown" if it is for one client; "smote" if rows of one client were resampled.
    """
    told = set(resampling_told(statistics).values())
    if UNKNOWN in told or SMOTE in told:
        return UNKNOWN if UNKNOWN in told else SMOTE
    return NONE if weights == EVEN else BALANCED


def sampling_of(
    statistics: Sequence[ClientStatistics], weights: Weights, trained_intercept: float
) -> dict[str, Any] | None:
    """Return what ``model.json`` tells of resampling, None where rows are as they were.

    Parameters
    ----------
    statistics, weights
        As for `shift_of`.
    trained_intercept : float
        Before it was corrected.
    """
    resample, original = resample_of(statistics, weights), _original(statistics)
    if resample == NONE:
        return None
    return {
        "resample": resample,
        "trained_intercept": trained_intercept,
        "class_weight": list(weights),
        "original": original and asdict(original),
        "trained": asdict(_trained(statistics)),
        "clients": resampling_told(statistics),
    }


def provenance_told(statistics: Sequence[ClientStatistics], weights: Weights) -> dict[str, Scalar]:
    """Return what a model's provenance says of the rows; whether they are synthetic only if a client told."""
    told = [one.preparation.synthetic for one in statistics if one.preparation]
    return {"resample": resample_of(statistics, weights)} | ({"synthetic": any(told)} if told else {})


def resampling_told(statistics: Sequence[ClientStatistics]) -> dict[str, str]:
    """Return what each client told of how its rows were resampled, "unknown" where it does not know."""
    return {one.client: one.preparation.resample if one.preparation else UNKNOWN for one in statistics}


def sampling_notes(statistics: Sequence[ClientStatistics], weights: Weights) -> list[str]:
    """Return a line for each thing that was done to the classes' balance, or that is not known of it."""
    told, original, trained = resampling_told(statistics), _original(statistics), _trained(statistics)
    at = {word: [name for name, one in told.items() if one == word] for word in set(told.values())}
    lines = []
    if SMOTE in at and original:
        approximately = ", approximately: the other clients' rows are as they were" if len(at) > 1 else ""
        lines.append(
            f"rows were resampled (smote) at {some(at[SMOTE])}: clients train on {trained.rows:,} rows "
            f"({trained.positives:,} positive) instead of {original.rows:,} ({original.positives:,}); the "
            f"intercept is corrected to the true prevalence {_prevalence(original)}{approximately}."
        )
    if weights != EVEN:
        lines.append(
            "both classes have the same weight (balanced): the intercept is corrected to the prevalence "
            f"{_prevalence(original or trained)}."
        )
    elif BALANCED in at:
        lines.append(
            f"rows were prepared for class weights (balanced) at {some(at[BALANCED])}, and this run gives "
            "none: --balanced does."
        )
    if UNKNOWN in at:
        resampled = f", and were resampled (smote) at {some(at[SMOTE])}" if SMOTE in at else ""
        lines.append(
            f"how the rows were prepared is unknown at {some(at[UNKNOWN])}{resampled}: if rows were "
            "resampled, scores are not probabilities at the true prevalence, and p values and intervals are "
            "not valid. Prepare the data there with federation.data_prep and publish them again."
        )
    return lines


def _ratio(before: int, now: int) -> float:
    return before / now if now else 1.0


def _log_odds(count: Count) -> float:
    return math.log(count.positives / (count.rows - count.positives))


def _trained(statistics: Sequence[ClientStatistics]) -> Count:
    return Count(rows=sum(one.rows for one in statistics), positives=sum(one.positives for one in statistics))


def _original(statistics: Sequence[ClientStatistics]) -> Count | None:
    """Return the counts before resampling, None if one client does not know its own."""
    told = [one.preparation for one in statistics if one.preparation]
    if len(told) < len(statistics):
        return None
    return Count(rows=sum(one.rows for one in told), positives=sum(one.positives for one in told))


def _prevalence(count: Count) -> str:
    return f"{count.positives / count.rows:.3g}"
