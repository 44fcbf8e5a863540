"""The data contract: what every party's table must be. How a table is checked is in `contract_check`.

It travels as ``contract.json`` beside a party's files: the label, its positive value or null, and for each
column a type, a minimum and a maximum or null, the largest share of missing values, and, where the contract
sets it, whether the logarithm is taken, what stands for a missing value, and how dates become numbers; and
the words that stand for a missing value in every column, if there are any.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, Literal, Self, cast

from .dates import Dates

Kind = Literal["numeric", "boolean", "categorical"]
"""What a column of features holds."""

NAME = "contract.json"
"""What a contract is called beside the files of a party."""

_LATER = "log1p", "impute", "format", "reference"
_IMPUTED = "mean", "median"
_TYPES = NUMERIC, BOOLEAN, CATEGORICAL, DATE, IGNORED = "numeric", "boolean", "categorical", "date", "ignored"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a column must be.

    Parameters
    ----------
    type : {"numeric", "boolean", "categorical", "date", "ignored"}
        What it holds; an ignored column is not used, and need not be there. A date becomes a number, the days
        since ``reference``, and is a numeric column from then on.
    minimum, maximum : float, optional
        Of a numeric column, or of the days.
    missing : float
        Largest share of missing values, 0 to 1.
    log1p : bool, optional
        Whether a numeric column is replaced by log(1 + x); unless given, its skewness decides.
    impute : {"mean", "median"}, optional
        What stands for a missing number, of all clients' values; the mean unless given. A median needs
        minimum, maximum and a share of missing values.
    format, reference : str, optional
        Of dates: how they are written (ISO unless given), and the day that becomes 0, see `dates.Dates`.

    Raises
    ------
    ValueError
        The parts contradict each other, or are none.
    """

    type: Any
    minimum: float | None = None
    maximum: float | None = None
    missing: float = 0.0
    log1p: bool | None = None
    impute: Any = None
    format: Any = None
    reference: Any = None

    def __post_init__(self) -> None:
        """Refuse what cannot be, and make every number a float, for `Contract.digest` is of the text."""
        _need(self.type in _TYPES, f"type: {' or '.join(_TYPES)} is needed")
        for name in ("minimum", "maximum", "missing"):
            if (value := getattr(self, name)) is not None or name == "missing":
                object.__setattr__(self, name, _finite(name, value))
        low, high = self.minimum, self.maximum
        _need(0 <= self.missing <= 1, "missing: a share from 0 to 1 is needed")
        has_range = (low, high) != (None, None)
        numeric = self.type in (NUMERIC, DATE)
        _need(numeric or not has_range, f"a {self.type} column has no minimum or maximum")
        _need(low is None or high is None or low <= high, "the minimum is above the maximum")
        _need(isinstance(self.log1p, bool | None), "log1p: true or false is needed")
        _need(numeric or self.log1p is None, f"log1p: a {self.type} column has no logarithm")
        _need(not self.log1p or low is None or low >= 0, "log1p: the minimum is negative")
        _need(self.impute in (None, *_IMPUTED), f"impute: {' or '.join(_IMPUTED)} is needed")
        _need(numeric or self.impute is None, f"impute: a {self.type} column is not filled in")
        if self.impute == "median":
            _need(low is not None and high is not None and low < high, "impute: a median needs a range")
            _need(self.missing > 0, "impute: a median needs missing, a share above 0")
        if self.type == DATE:
            Dates.of(self.format, self.reference)
        for name in ("format", "reference"):
            _need(self.type == DATE or getattr(self, name) is None, f"{name}: a {self.type} column has none")

    @property
    def parts(self) -> dict[str, Any]:
        """What it says; what came to contracts later only where it is set, so that digests stay."""
        return {
            name: value for name, value in asdict(self).items() if value is not None or name not in _LATER
        }


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What every party's table must be.

    Parameters
    ----------
    label : str
        The label column.
    positive : str, optional
        The label's value that counts as 1, if its values do not say so themselves, as 0 and 1,
        true and false, or yes and no do; in prepared files they are 0 and 1.
    columns : mapping of str to Rule
        The other columns.
    missing_values : sequence of str
        Words that stand for a missing value, see `cells.Words`; prepared files hold none.
    inferred : bool
        Whether nobody wrote it: data preparation tells with it what the columns of its files hold.

    Raises
    ------
    ValueError
        The parts contradict each other, or are none.
    """

    label: str
    columns: Mapping[str, Rule]
    positive: str | None = None
    inferred: bool = False
    missing_values: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _need(isinstance(self.label, str) and self.label != "", "label: a name is needed")
        _need(isinstance(self.positive, str | None), "positive: a text is needed, in quotes")
        _need(isinstance(self.inferred, bool), "inferred: true or false is needed")
        words = self.missing_values
        _need(
            isinstance(words, Sequence)
            and not isinstance(words, str)
            and all(isinstance(one, str) and one.strip() for one in words),
            "missing_values: a list of texts in quotes is needed",
        )
        _need(len(self.columns) > 0, "columns: at least one is needed")
        _need(self.label not in self.columns, f'the label "{self.label}" is also a column')
        _need(len(self.kinds) > 0, "every column is ignored")

    @classmethod
    def of(cls, parts: object) -> Self:
        """Return the contract that a file's content says.

        Raises
        ------
        ValueError
            It says none; names the key.
        """
        known = _known("", parts, cls)
        columns = _table("columns", known["columns"])
        return cls(**known | {"columns": {name: _rule(name, rule) for name, rule in columns.items()}})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; ValueError if it is none."""
        try:
            return cls.of(json.loads(text))
        except RecursionError as error:
            raise ValueError("not a contract") from error

    def to_json(self) -> str:
        """Return the same text for the same contract: what travels, and what `digest` is of."""
        parts = vars(self) | {"columns": {name: rule.parts for name, rule in self.columns.items()}}
        if not self.missing_values:  # as in contracts of before there were any, so that their digests stay
            del parts["missing_values"]
        return json.dumps(parts, sort_keys=True)

    @property
    def digest(self) -> str:
        """The SHA-256 that a client joins with; "" if nobody wrote the contract."""
        return "" if self.inferred else hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each feature column holds."""
        return {
            name: "numeric" if rule.type == DATE else rule.type
            for name, rule in self.columns.items()
            if rule.type != IGNORED
        }

    @property
    def dates(self) -> dict[str, Dates]:
        """How the dates of each column of dates become numbers."""
        return {
            name: Dates.of(rule.format, rule.reference)
            for name, rule in self.columns.items()
            if rule.type == DATE
        }

    @property
    def ignored(self) -> tuple[str, ...]:
        """The columns that are not used."""
        return tuple(name for name, rule in self.columns.items() if rule.type == IGNORED)

    @property
    def medians(self) -> dict[str, Rule]:
        """The rules of the columns that are filled in with their median."""
        return {name: rule for name, rule in self.columns.items() if rule.impute == "median"}

    @property
    def plain(self) -> bool:
        """Whether all columns that are used hold numbers without gaps."""
        used = [rule for rule in self.columns.values() if rule.type != IGNORED]
        return all(rule.type != CATEGORICAL and not rule.missing for rule in used)


def _rule(name: str, parts: object) -> Rule:
    known = _known(f"columns.{name}.", parts, Rule)
    try:
        return Rule(**known)
    except ValueError as error:
        raise ValueError(f"columns.{name}.{error}") from None


def _known(place: str, parts: object, kind: type) -> dict[str, Any]:
    """Return the parts of a table whose keys are the fields of a class."""
    table = _table(place.rstrip(".") or "the contract", parts)
    names = {one.name: one.default for one in fields(kind)}
    for key in sorted(set(table) - set(names)):
        raise ValueError(f"{place}{key}: there is no such key. The keys are {', '.join(names)}")
    for name, default in names.items():
        _need(name in table or default is not MISSING, f"{place}{name}: this key is needed")
    return table


def _table(place: str, parts: object) -> dict[str, Any]:
    _need(isinstance(parts, dict), f"{place}: a table is needed")
    return cast("dict[str, Any]", parts)


def _finite(name: str, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    _need(is_number and math.isfinite(cast("float", value)), f"{name}: a finite number is needed")
    return float(cast("float", value))


def _need(holds: bool, problem: str) -> None:  # noqa: FBT001 - as an assertion
    if not holds:
        raise ValueError(problem)
