"""How the cells of a table are written, as far as a model needs it to read others: nothing of any cell.

Words for missing values and dates are what options and contract declare; notations are what columns show.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from client_code.protocol.dates import Dates
from federation.data.columns.notation import Notation

_KEYS = {"missing", "decimal", "positive", "numbers", "dates"}


@dataclass(frozen=True, kw_only=True)
class Written:
    """How cells are written.

    Parameters
    ----------
    missing : sequence of str
        Words that stand for a missing value, see `client_code.protocol.cells.Words`.
    decimal : {".", ","}, optional
        What separates decimals where a cell leaves it open, as far as it was told.
    positive : str, optional
        The label's value that counts as 1, if it had to be said.
    numbers : mapping of str to Notation
        The notations of columns of numbers that are not plain.
    dates : mapping of str to Dates
        How the dates of columns become numbers.
    """

    missing: Sequence[str] = ()
    decimal: str | None = None
    positive: str | None = None
    numbers: Mapping[str, Notation] = field(default_factory=dict)
    dates: Mapping[str, Dates] = field(default_factory=dict)

    def only(self, columns: Collection[str]) -> Self:
        """Return the same without what it says of other columns."""
        return replace(
            self,
            numbers={name: one for name, one in self.numbers.items() if name in columns},
            dates={name: one for name, one in self.dates.items() if name in columns},
        )

    @property
    def has_commas(self) -> bool:
        """Whether a comma separates decimals in any column, as far as that is known."""
        return self.decimal == "," or any(one.has_comma for one in self.numbers.values())

    def mark_of(self, column: str) -> str | None:
        """Return what separates decimals in a column where a cell leaves it open, if it is known."""
        notation = self.numbers.get(column)
        return notation.separators.decimal if notation else self.decimal

    @property
    def parts(self) -> dict[str, Any]:
        """What it says, for JSON; empty if all is plain."""
        dates = {
            name: {"format": one.written, "reference": one.reference.isoformat()}
            for name, one in self.dates.items()
        }
        numbers = {name: one.parts for name, one in self.numbers.items()}
        words = {"missing": list(self.missing), "decimal": self.decimal, "positive": self.positive}
        said = {**words, "numbers": numbers, "dates": dates}
        return {key: part for key, part in said.items() if part}

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Self:
        """Read what `parts` says.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            It says something else.
        """
        missing = parts.get("missing", [])
        words = isinstance(missing, list) and all(isinstance(one, str) and one.strip() for one in missing)
        decimal, positive = parts.get("decimal"), parts.get("positive")
        words = words and isinstance(positive, str | None)
        if parts.keys() - _KEYS or not words or decimal not in (None, ".", ","):
            raise ValueError("not how cells are written")
        return cls(
            missing=tuple(missing),
            decimal=decimal,
            positive=positive,
            numbers={name: Notation.of(one) for name, one in parts.get("numbers", {}).items()},
            dates={
                name: Dates.of(one["format"], one["reference"])
                for name, one in parts.get("dates", {}).items()
            },
        )
