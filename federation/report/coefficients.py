"""What each coefficient is for: one can read an odds ratio only with what it compares."""

from collections.abc import Mapping
from typing import NamedTuple

from client_code.protocol.features import Feature
from federation.model.linear import LinearModel

_LEAST, _MOST, _WHOLE = 1e-3, 1e7, 1e3  # what is easy to read in plain figures, and without decimals


class Comparison(NamedTuple):
    """Hold what is compared, ready to print, and whether one unit of the column says something besides."""

    what: str
    per_unit: bool = False


def comparisons(model: LinearModel) -> dict[str, Comparison]:
    """Return by feature what a coefficient of the standardised features is the log of the odds ratio for.

    One standard deviation of a number, in its own units, or of its logarithm; a level, or any other one,
    against the reference level of its column; a missing value against one that is there.
    """
    prep, references = model.preprocessing, model.references or {}
    return {
        feature.name: _comparison(feature, bool(log1p), float(scale), references)
        for feature, log1p, scale in zip(prep.encoding.features, prep.log1p, prep.scale, strict=True)
    }


def _comparison(feature: Feature, log1p: bool, scale: float, references: Mapping[str, str]) -> Comparison:  # noqa: FBT001  as it is stored
    if feature.kind == "missing":
        return Comparison("missing")
    if feature.kind != "number":
        reference = references.get(feature.column)
        return Comparison("the level" if reference is None else f"against {reference}")
    return Comparison("1 SD of log(1 + x)") if log1p else Comparison(f"1 SD ({_plain(scale)})", per_unit=True)


def _plain(value: float) -> str:
    """Return a positive number to three digits or, where it is large, to the whole."""
    if not _LEAST <= value < _MOST:
        return f"{value:.2e}"
    return f"{value:,.0f}" if value >= _WHOLE else f"{value:.3g}"
