"""What a model tells of how its training rows were resampled, and what that means for its scores."""

import math
from collections.abc import Mapping
from typing import Any

from client_code.protocol.preparation import BALANCED, NONE, RESAMPLINGS, SMOTE
from federation.errors import DataError

UNKNOWN = "unknown"
"""What is told of rows whose client does not know how they were prepared."""

_REMEDY = "Use the model.json of a run as it was written."
_KEYS = {"resample", "trained_intercept", "class_weight", "original", "trained", "clients"}
_COUNTS = {"rows", "positives"}
_ROWS = {SMOTE: "resampled rows (smote)", BALANCED: "rows weighted by class (balanced)"}


def check_sampling(parts: Mapping[str, Any]) -> None:
    """Refuse what no run wrote.

    Raises
    ------
    DataError
        A part is missing, unknown, or of another type.
    """
    words = (*RESAMPLINGS, UNKNOWN)
    fine = (
        parts.keys() == _KEYS
        and parts["resample"] in words
        and _is_finite(parts["trained_intercept"])
        and isinstance(parts["class_weight"], list)
        and len(parts["class_weight"]) == len(("negative", "positive"))
        and all(_is_finite(weight) and weight > 0 for weight in parts["class_weight"])
        and (parts["original"] is None if parts["resample"] == UNKNOWN else _is_count(parts["original"]))
        and _is_count(parts["trained"])
        and isinstance(parts["clients"], dict)
        and all(word in words for word in parts["clients"].values())
    )
    if not fine:
        raise DataError('The "sampling" of the model is not what a run writes.', _REMEDY)


def remark_on(sampling: Mapping[str, Any] | None, provenance: Mapping[str, Any]) -> str:
    """Say what resampling means for a model's scores, "" where rows were as they are.

    Parameters
    ----------
    sampling : mapping, optional
        Of the model.
    provenance : mapping
        Of the model; models of versions that corrected nothing tell there what was done, if they tell.
    """
    resample = sampling["resample"] if sampling else provenance.get("resample", UNKNOWN)
    if resample == NONE:
        return ""
    if resample not in _ROWS:
        return (
            "the model does not know whether its training rows were resampled: if so, scores are not "
            "probabilities at the true prevalence"
        )
    if sampling is None:
        return (
            f"the model was trained on {_ROWS[resample]} and not corrected for it: scores rank rows, "
            "and are no probabilities"
        )
    count = sampling["original"]
    return (
        f"the model was trained on {_ROWS[resample]}; its intercept is corrected to the true "
        f"prevalence {count['positives'] / count['rows']:.3g}"
    )


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == _COUNTS
        and all(type(part) is int for part in value.values())
        and 0 <= value["positives"] <= value["rows"]
        and value["rows"] > 0
    )
