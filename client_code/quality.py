"""How good log-odds are for the classes of some rows: the figures that a client reports."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def log_loss(y: NDArray[np.int64], z: Floats) -> float:
    """Return the mean log loss of log-odds ``z`` for the classes ``y``, both of shape (n,)."""
    return float(np.mean(np.logaddexp(0.0, np.where(y == 1, -z, z))))


def figures(y: NDArray[np.int64], z: Floats) -> dict[str, float]:
    """Return loss and quality of log-odds ``z`` for the classes ``y``, both of shape (n,)."""
    p = expit(z)
    return {
        "loss": log_loss(y, z),
        "brier": float(np.mean((p - y) ** 2)),
        "accuracy": float(np.mean((p >= 0.5) == y)),  # noqa: PLR2004 - the usual threshold
        "roc_auc": roc_auc(y, p),
    }


def expectation(z: Floats, weights: Floats) -> tuple[float, float]:
    """Return how many positive rows log-odds ``z`` expect, and the variance of that number.

    Both weighted, ``weights`` of shape (n,): Σ v p and Σ v p (1 - p).
    """
    p = expit(z)
    return float(weights @ p), float(weights @ (p * expit(-z)))


def roc_auc(y: NDArray[np.int64], p: Floats) -> float:
    """Return the share of (positive, negative) pairs that ``p`` ranks right, ties counting half.

    The Mann-Whitney statistic; equal to scikit-learn's ``roc_auc_score``, most of whose time goes into
    checking its input, in every round.
    """
    positives, negatives = int(y.sum()), int((1 - y).sum())
    if not positives * negatives:
        return float("nan")
    rank_sum = float(rankdata(p)[y == 1].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
