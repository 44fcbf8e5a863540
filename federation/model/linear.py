"""The global model: shared preprocessing and a logistic regression, as numbers anybody can read.

It exists in two forms that score alike: ``model.json``, plain text, and ``model.joblib``, a scikit-learn
Pipeline that takes the raw columns and needs none of our code to load.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from client_code.protocol.features import Feature
from federation.data.columns.written import Written
from federation.data.table import Table
from federation.errors import DataError, FeatureError
from federation.model.features import Encoding
from federation.model.sampling import check_sampling

T = TypeVar("T")
Scalar: TypeAlias = str | int | float | bool | None
FORMAT_VERSION = 3  # 1 has none of the optional parts, 2 inference only
_REMEDY = "Use the model.json of a run as it was written."
_MODEL_KEYS = ("format_version", "label", "features", "intercept", "provenance")
_OPTIONAL = ("inference", "references", "left_out", "site_intercepts", "sampling", "outliers", "written")
_FEATURE_KEYS = ("name", "transform", "mean", "scale", "coefficient")
_MADE_OF = "made_of"  # only of features that are more than a column as it is
_TRANSFORMS = {"log1p": True, "identity": False}


@dataclass(frozen=True, kw_only=True, eq=False)
class Preprocessing:
    """Hold the transform that all parties share: log1p where it applies, then standardisation.

    Parameters
    ----------
    features : tuple of str
        Column names, in the order of every array below; d of them, all different.
    log1p : tuple of bool
        Whether a column is replaced by log(1 + x); only for columns that are never negative.
    mean, scale : array of shape (d,)
        Of the transformed columns. `scale` is positive, and 1.0 where a column is constant.
    made_of : tuple of Feature
        What each feature is made of; unless given, each is a column of numbers as it is.

    Raises
    ------
    DataError
        When lengths disagree, a name repeats, or a number cannot be used.
    """

    features: tuple[str, ...]
    log1p: tuple[bool, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    made_of: tuple[Feature, ...] = ()

    def __post_init__(self) -> None:
        d = len(self.features)
        if self.encoding.names != self.features:
            raise DataError("The model's features are not those that it says they are made of.", _REMEDY)
        if d == 0 or len(set(self.features)) != d:
            raise DataError("The model's features are empty or repeat a name.", _REMEDY)
        if len(self.log1p) != d:
            raise DataError(f"The model has {d} features but {len(self.log1p)} transforms.", _REMEDY)
        _require_finite("mean", self.mean, (d,))
        _require_finite("scale", self.scale, (d,))
        if not (self.scale > 0).all():
            raise DataError(
                f'The scale of "{self.features[int(np.argmin(self.scale))]}" is not positive.', _REMEDY
            )

    @property
    def encoding(self) -> Encoding:
        """How columns become features."""
        return Encoding(features=self.made_of) if self.made_of else Encoding.plain(self.features)

    def check(self, X: NDArray[np.float64], first_row: int = 1) -> None:
        """Refuse rows the transform is not defined for.

        Parameters
        ----------
        X : array of shape (n, d)
            Raw columns, in the order of `features`.
        first_row : int
            The number that messages give to the first row.

        Raises
        ------
        FeatureError
            Naming the first column and row that is not a finite number, or is negative where log1p applies.
        """
        bad = ~np.isfinite(X)
        bad |= (X < 0) & np.array(self.log1p)
        if not bad.any():
            return
        row, column = (int(i) for i in np.argwhere(bad)[0])
        where = f'column "{self.features[column]}", data row {first_row + row}'
        if math.isfinite(X[row, column]):
            raise FeatureError(
                f"{where}: negative, but the model takes the logarithm of this column.",
                "No client had a negative value there: correct or remove the row.",
            )
        raise FeatureError(f"{where}: not a finite number.", "Correct or remove the row.")

    def prepare(self, table: Table, first_row: int = 1) -> NDArray[np.float64]:
        """Return raw rows as the model sees them; refuse those that cannot be, as `check`."""
        X = self.encoding.of_table(table, first_row)
        self.check(X, first_row)
        return self.apply(X)

    def apply(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the transformed and standardised columns, shape (n, d), of raw columns that pass `check`."""
        Z = np.array(X, dtype=np.float64)
        logged = np.flatnonzero(self.log1p)
        Z[:, logged] = np.log1p(Z[:, logged])
        Z -= self.mean
        Z /= self.scale
        return Z


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel:
    """Hold a logistic regression on preprocessed columns.

    Parameters
    ----------
    label : str
        Name of the column it predicts.
    preprocessing : Preprocessing
        Of the features, which the coefficients belong to.
    coef : array of shape (d,)
        One coefficient per feature, in the order of ``preprocessing.features``.
    intercept : float
        On the scale of log-odds.
    provenance : mapping of str to a JSON scalar
        Where the model comes from: versions, strategy, rounds, seed, whether the data are synthetic.
        ``rows``, when present, becomes the scaler's ``n_samples_seen_``.
    inference : mapping of str to JSON values, optional
        Standard errors, tests and intervals, see `federation.learning.strategies.newton.inference`.
    references : mapping of str to str, optional
        The reference level of each categorical column: the level that has no coefficient, for the others'
        are in comparison with it.
    left_out : mapping of str to str, optional
        The columns that the model does not use, and why.
    site_intercepts : mapping of str to float, optional
        The intercept of each client; `intercept` is then their mean, for rows of no client.
    sampling : mapping of str to JSON values, optional
        How the training rows were resampled, and the intercept before it was corrected for that, see
        :func:`federation.learning.preprocessing.prevalence.sampling_of`.
    outliers : mapping of str to str, optional
        The clients that told of rows unlike all others', and what of it did not count.
    written : mapping of str to JSON values, optional
        How cells were written in training where not plainly, see `federation.data.columns.written.Written`.

    Raises
    ------
    DataError
        When lengths disagree or a number is not finite.
    """

    label: str
    preprocessing: Preprocessing
    coef: NDArray[np.float64]
    intercept: float
    provenance: Mapping[str, Scalar]
    inference: Mapping[str, Any] | None = None
    references: Mapping[str, str] | None = None
    left_out: Mapping[str, str] | None = None
    site_intercepts: Mapping[str, float] | None = None
    sampling: Mapping[str, Any] | None = None
    outliers: Mapping[str, str] | None = None
    written: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _require_finite("coef", self.coef, (len(self.preprocessing.features),))
        _require_finite("intercept", self.intercept, ())
        for site in self.site_intercepts or {}:
            _require_finite(f"intercept of {site}", _number(self.site_intercepts or {}, site), ())
        self._check_references()
        if self.sampling is not None:
            check_sampling(self.sampling)
        _ = self.cells
        for key, value in self.provenance.items():
            plain = math.isfinite(value) if isinstance(value, float) else isinstance(value, Scalar)
            if not plain:
                raise DataError(f'The provenance "{key}" of the model is not a plain value.', _REMEDY)
        for client, found in (self.outliers or {}).items():
            if not isinstance(found, str):
                raise DataError(f'The model does not say what is unlike of "{client}".', _REMEDY)
        for column, reason in (self.left_out or {}).items():
            if not isinstance(reason, str):
                raise DataError(f'The model does not say why it leaves out "{column}".', _REMEDY)
            if column in self.preprocessing.encoding.columns:
                raise DataError(f'The model uses "{column}", which it says it leaves out.', _REMEDY)

    @property
    def cells(self) -> Written:
        """How cells were written in training, as far as it is known."""
        try:
            return Written.of(self.written or {})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError('The "written" of the model is not what a run writes.', _REMEDY) from error

    def _check_references(self) -> None:
        features = self.preprocessing.encoding.features
        for column, level in (self.references or {}).items():
            with_levels = [it for it in features if it.column == column and it.kind in ("level", "other")]
            if not isinstance(level, str) or not with_levels or level in [it.level for it in with_levels]:
                raise DataError(f'The model has no reference level of "{column}" such as it says.', _REMEDY)

    def score(self, table: Table, first_row: int = 1) -> NDArray[np.float64]:
        """Score the raw rows of a table that has all of the model's columns; otherwise as `predict_proba`."""
        return self.predict_proba(self.preprocessing.encoding.of_table(table, first_row), first_row)

    def predict_proba(self, X: NDArray[np.float64], first_row: int = 1) -> NDArray[np.float64]:
        """Score rows with NumPy alone.

        Parameters
        ----------
        X : array of shape (n, d)
            Features, in the order of ``preprocessing.features``: raw columns where the encoding is plain.
        first_row : int
            The number that messages give to the first row.

        Returns
        -------
        array of shape (n,)
            The probability of the positive class, in [0, 1].

        Raises
        ------
        FeatureError
            As `Preprocessing.check`.
        """
        self.preprocessing.check(X, first_row)
        logit = self.preprocessing.apply(X) @ self.coef + self.intercept
        small = np.exp(-np.abs(logit))  # never overflows
        return np.where(logit >= 0, 1.0, small) / (1.0 + small)

    def to_json(self) -> str:
        """Return the text of ``model.json``; `from_json` gives back every number to the last bit."""
        prep = self.preprocessing
        names = {flag: name for name, flag in _TRANSFORMS.items()}
        numbers = zip(
            prep.features,
            (names[bool(flag)] for flag in prep.log1p),
            *(values.tolist() for values in (prep.mean, prep.scale, self.coef)),
            strict=True,
        )
        features = [dict(zip(_FEATURE_KEYS, parts, strict=True)) for parts in numbers]
        for entry, feature in zip(features, prep.encoding.features, strict=True):
            if not feature.is_plain:
                entry[_MADE_OF] = feature.as_parts
        optional = {key: dict(part) for key in _OPTIONAL if (part := getattr(self, key)) is not None}
        values = (
            FORMAT_VERSION if set(optional) - {"inference"} else 1 + len(optional),
            self.label,
            features,
            float(self.intercept),
            dict(self.provenance),
        )
        parts: dict[str, Any] = dict(zip(_MODEL_KEYS, values, strict=True))
        return json.dumps(parts | optional, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        DataError
            When the text is not JSON, has another format version, or has wrong, missing or unknown parts.
        """
        try:
            parts = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError("The model is not JSON.", _REMEDY) from error
        version = parts.get("format_version", 1) if isinstance(parts, dict) else 1
        if version not in range(1, FORMAT_VERSION + 1):
            raise DataError(
                f"The model has format {version!r}; this program reads up to {FORMAT_VERSION}.",
                "Use the version of this program that wrote it.",
            )
        optional = _OPTIONAL if version == FORMAT_VERSION else ("inference",) * (version - 1)
        given = tuple(key for key in optional if isinstance(parts, dict) and key in parts)
        parts = _with_keys("The model", parts, (*_MODEL_KEYS, *given))
        features = [_read_feature(feature) for feature in _typed(parts, "features", list)]
        names, log1p, mean, scale, coef, made_of = (
            zip(*features, strict=True) if features else ((),) * (len(_FEATURE_KEYS) + 1)
        )
        return cls(
            label=_typed(parts, "label", str),
            preprocessing=Preprocessing(
                features=names,
                log1p=log1p,
                mean=np.array(mean),
                scale=np.array(scale),
                made_of=made_of,
            ),
            coef=np.array(coef),
            intercept=_number(parts, "intercept"),
            provenance=_typed(parts, "provenance", dict),
            **{key: _typed(parts, key, dict) for key in given},
        )


def _read_feature(feature: object) -> tuple[str, bool, float, float, float, Feature]:
    parts = dict(feature) if isinstance(feature, dict) else feature
    made_of = parts.pop(_MADE_OF, None) if isinstance(parts, dict) else None
    parts = _with_keys("A feature of the model", parts, _FEATURE_KEYS)
    name, transform = _typed(parts, "name", str), _typed(parts, "transform", str)
    if transform not in _TRANSFORMS:
        raise DataError(f'The model transforms "{name}" by "{transform}", which is unknown.', _REMEDY)
    mean, scale, coef = (_number(parts, key) for key in _FEATURE_KEYS[2:])
    return name, _TRANSFORMS[transform], mean, scale, coef, _read_made_of(name, made_of)


def _read_made_of(name: str, parts: object) -> Feature:
    if parts is None:
        return Feature(column=name)
    try:
        feature = Feature(**parts)  # type: ignore[arg-type]
        feature.check()
    except TypeError as error:
        raise DataError(f'The model does not say what its feature "{name}" is made of.', _REMEDY) from error
    return feature


def _with_keys(what: str, parts: object, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(parts, dict):
        raise DataError(f"{what} is not a JSON object.", _REMEDY)
    missing, unknown = sorted(set(keys) - set(parts)), sorted(set(parts) - set(keys))
    if missing or unknown:
        found = [
            f"{kind} {', '.join(names)}"
            for kind, names in (("lacks", missing), ("has unknown", unknown))
            if names
        ]
        raise DataError(f"{what} {' and '.join(found)}.", _REMEDY)
    return parts


def _typed(parts: Mapping[str, Any], key: str, kind: type[T]) -> T:
    if not isinstance(parts[key], kind):
        raise DataError(f'The "{key}" of the model is not of type {kind.__name__}.', _REMEDY)
    value: T = parts[key]
    return value


def _number(parts: Mapping[str, Any], key: str) -> float:
    value = parts[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f'A "{key}" of the model is not a number.', _REMEDY)
    try:
        return float(value)
    except OverflowError:
        return math.inf  # refused with the others that are not finite


def _require_finite(what: str, values: ArrayLike, shape: tuple[int, ...]) -> None:
    if np.shape(values) != shape:
        raise DataError(f'The "{what}" of the model has shape {np.shape(values)}, not {shape}.', _REMEDY)
    if not np.isfinite(values).all():
        raise DataError(f'The "{what}" of the model is not finite.', _REMEDY)
