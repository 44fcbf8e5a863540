"""Dates as numbers: the days since a reference day, as a contract says of a column."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Self

ISO = "%Y-%m-%d"
_PARTS, _MONTHS = frozenset({"%Y", "%d"}), frozenset({"%m", "%b", "%B"})
_TIME = r"[T ]+\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AP]M)?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?$"
_DIGITS = 8  # of a date without separators; no number of days has as many


@dataclass(frozen=True, kw_only=True)
class Dates:
    """How the dates of a column become numbers.

    Parameters
    ----------
    written : str
        How they are written, as `datetime.strptime` has it. A time of day behind a date does not count.
    reference : datetime.date
        The day that becomes 0.
    """

    written: str
    reference: dt.date

    @classmethod
    def of(cls, written: object, reference: object) -> Self:
        """Return what a contract's keys ``format`` (None: ISO) and ``reference`` say.

        Raises
        ------
        ValueError
            They say nothing that can be; begins with the key.
        """
        if not isinstance(reference, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", reference):
            raise ValueError("reference: a day is needed, in quotes, as year-month-day")
        try:
            day = dt.date.fromisoformat(reference)
        except ValueError:
            raise ValueError(f"reference: there is no day {reference}") from None
        text = ISO if written is None else written
        parts = re.findall("%.", text) if isinstance(text, str) else []
        if len(parts) != 3 or not _PARTS < {*parts} <= _PARTS | _MONTHS:  # noqa: PLR2004 - year, month, day
            raise ValueError("format: %Y, %d, and %m, %b or %B are needed, and no other part")
        return cls(written=str(text), reference=day)

    def days(self, cell: str) -> float | None:
        """Return the days from the reference day to a date, or None if the cell is no date so written."""
        text = cell.strip().removesuffix(".0")  # of whole numbers in a column with gaps
        if text.isdigit() and len(text) != _DIGITS:  # else 202011 would be read as a date without separators
            return None
        try:
            found = dt.datetime.strptime(re.sub(_TIME, "", text, flags=re.IGNORECASE), self.written)  # noqa: DTZ007 - a day alone
        except ValueError:
            return None
        return float((found.date() - self.reference).days)
