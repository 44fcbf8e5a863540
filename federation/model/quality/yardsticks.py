"""What federated learning is compared with: the pooled model, and each client training alone."""

import math
import warnings
from collections.abc import Mapping
from typing import Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from sklearn import __version__ as sklearn_version
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from federation.data.table import Table
from federation.errors import EmptyClientError, SchemaMismatchError
from federation.model.linear import LinearModel, Preprocessing
from federation.model.quality.firth import fit_firth


class Settings(TypedDict, total=False):
    """Settle how a yardstick is fitted.

    Attributes
    ----------
    C : float
        Inverse strength of the l2 penalty, > 0; 1.0 unless given.
    penalty : {"l2", "none", "firth"}
        "l2" unless given; "firth" takes no class weights.
    class_weight : {"balanced"} or None
        None unless given.
    log1p : tuple of bool
        Which columns to take the logarithm of. Unless given: those nowhere negative in the training rows.
        Give it when rows to score may be negative where the training rows are not.
    plain : tuple of bool
        Which columns are left as they are, neither centred nor scaled. None unless given.
    preprocessing : Preprocessing
        What is done to the columns; unless given, it is fitted to the training rows. An agreed one knows
        which values were missing before they were filled in, which decides the scale.
    """

    C: float
    penalty: Literal["l2", "none", "firth"]
    class_weight: Literal["balanced"] | None
    log1p: tuple[bool, ...] | None
    plain: tuple[bool, ...]
    preprocessing: Preprocessing


def fit_pooled(tables: Mapping[str, Table], **settings: Unpack[Settings]) -> LinearModel:
    """Fit the model one would get if all rows were in one place.

    Parameters
    ----------
    tables : mapping of str to Table
        Training rows of each client, by its name; all with the same columns.
    **settings : Settings
        How to fit.

    Returns
    -------
    LinearModel
        Its provenance tells the rows, whether the fit converged, and, as ``single_class``, whether there was
        only one class to learn from; then every score is the smoothed prevalence, but with Firth's penalty.

    Raises
    ------
    SchemaMismatchError
        When a client's columns differ from the first one's.
    EmptyClientError
        When there are no rows at all.
    """
    name, first = next(iter(tables.items()))
    for other, table in tables.items():
        if (table.features, table.label) != (first.features, first.label):
            raise SchemaMismatchError(
                f'Clients "{name}" and "{other}" have different columns.',
                "Give every client the same columns.",
            )
    X = np.concatenate([table.X for table in tables.values()])
    y = np.concatenate([table.y for table in tables.values()])
    return _fit("pooled", first, X, y, settings)


def fit_local(tables: Mapping[str, Table], **settings: Unpack[Settings]) -> dict[str, LinearModel]:
    """Fit one model per client on its own rows alone; otherwise as `fit_pooled`."""
    return {
        name: _fit(f'client "{name}"', table, table.X, table.y, settings) for name, table in tables.items()
    }


def _fit(
    who: str, table: Table, X: NDArray[np.float64], y: NDArray[np.int64], settings: Settings
) -> LinearModel:
    if not len(y):
        raise EmptyClientError(
            f"Nothing to fit for {who}: there are no rows.", "Use fewer clients or more rows."
        )
    preprocessing = settings.get("preprocessing") or _preprocessing(
        table.features, X, settings.get("log1p"), settings.get("plain")
    )
    single_class = len(np.unique(y)) == 1
    if settings.get("penalty") == "firth":
        coef, intercept, converged = fit_firth(preprocessing.apply(X), y)
    elif single_class:
        coef, intercept, converged = np.zeros(X.shape[1]), _smoothed_log_odds(y), True
    else:
        coef, intercept, converged = _logistic_regression(preprocessing.apply(X), y, settings)
    return LinearModel(
        label=table.label,
        preprocessing=preprocessing,
        coef=coef,
        intercept=intercept,
        provenance={
            "fit": who,
            "rows": len(y),
            "converged": converged,
            "single_class": single_class,
            "scikit-learn": sklearn_version,
        },
    )


def _preprocessing(
    features: tuple[str, ...],
    X: NDArray[np.float64],
    log1p: tuple[bool, ...] | None,
    plain: tuple[bool, ...] | None,
) -> Preprocessing:
    """Fit log1p and standardisation on these rows; a column without spread keeps scale 1."""
    d = len(features)
    log1p = tuple(bool(lowest >= 0) for lowest in X.min(axis=0)) if log1p is None else log1p
    raw = Preprocessing(features=features, log1p=log1p, mean=np.zeros(d), scale=np.ones(d))
    raw.check(X)
    Z = raw.apply(X)
    mean, scale = Z.mean(axis=0), Z.std(axis=0)
    constant = np.ptp(Z, axis=0) == 0  # a rounding error is no spread
    as_it_is = np.array(plain or (False,) * d)
    return Preprocessing(
        features=features,
        log1p=log1p,
        mean=np.where(as_it_is, 0.0, mean),
        scale=np.where(constant | as_it_is, 1.0, scale),
    )


def _logistic_regression(
    Z: NDArray[np.float64], y: NDArray[np.int64], settings: Settings
) -> tuple[NDArray[np.float64], float, bool]:
    unpenalised = settings.get("penalty", "l2") == "none"
    classifier = LogisticRegression(
        C=math.inf if unpenalised else settings.get("C", 1.0),
        class_weight=settings.get("class_weight"),
        tol=1e-8,
        max_iter=10_000,
    )
    # Separable rows without a penalty have no optimum: the provenance tells. One thread, as these are small
    # products and threads that wait for a busy core make them ten times slower.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(Z, y)
    converged = bool(classifier.n_iter_[0] < classifier.max_iter)
    return classifier.coef_[0], float(classifier.intercept_[0]), converged


def _smoothed_log_odds(y: NDArray[np.int64]) -> float:
    """Return the log-odds of the prevalence after Laplace's rule: one more row of each class."""
    positives = int(y.sum())
    return math.log((positives + 1) / (len(y) - positives + 1))
