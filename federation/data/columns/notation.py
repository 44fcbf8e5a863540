"""Read numbers in the notations that people use, 1,234.50 or 12 %, where a whole column is written in one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Self

_ALIKE = 0.9

_DAY, _MONTH = r"(0?[1-9]|[12]\d|3[01])", r"(0?[1-9]|1[0-2])"
_TIME = r"([T ,]+\d{1,2}:\d{2}\S*( ?[AP]M)?)?"
_NAME = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATES = MappingProxyType(
    {
        "dates (year, month, day)": rf"\d{{4}}([-/.]){_MONTH}\1{_DAY}{_TIME}",
        "dates (month, day, year)": rf"{_MONTH}([/-]){_DAY}\2(\d{{4}}|\d{{2}}){_TIME}",
        "dates (day, month, year)": rf"{_DAY}([./-]){_MONTH}\2(\d{{4}}|\d{{2}}){_TIME}",
        "dates": rf"({_DAY}[ -]{_NAME}[ -](\d{{4}}|\d{{2}})|{_NAME} {_DAY},? \d{{4}}){_TIME}",
    }
)

_ALIASES = str.maketrans({"\u2212": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'"})
_MONEY = r"us\$|[$\u20ac\u00a3\u00a5\u20b9]|usd|eur|gbp|chf|jpy|inr|kr|z\u0142"
_AROUND = re.compile(
    rf"(\(?)([-+]?) ?({_MONEY})? ?([-+]?)"
    rf"([\d.,](?:[\d.,' ]*[\d.,])?) ?({_MONEY}|%)?(-?)(\)?)",
    flags=re.IGNORECASE,
)


class _Parts(NamedTuple):
    """A text taken apart: its digits with what separates them, and what is around."""

    digits: str
    negative: bool
    bracketed: bool
    behind: bool
    unit: str
    before: bool
    typographic: bool


@dataclass(frozen=True)
class _Separators:
    """What separates decimals, and groups of three digits."""

    decimal: str
    group: str

    def fits(self, digits: str) -> bool:
        """Return whether digits are written so; a number has no 0 in front, as a code has."""
        return self._pattern.fullmatch(digits) is not None

    def number(self, digits: str) -> float:
        """Return the number that digits are which are written so."""
        return float(digits.replace(self.group, "").replace(self.decimal, "."))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        point, group = re.escape(self.decimal), re.escape(self.group)
        return re.compile(rf"(0|[1-9]\d*|[1-9]\d{{0,2}}({group}\d{{3}})+)({point}\d*)?|{point}\d+")


_SEPARATORS = (
    *(_Separators(".", group) for group in ",' "),
    *(_Separators(",", group) for group in ".' "),
)


@dataclass(frozen=True)
class Notation:
    """How all numbers of a column are written.

    Parameters
    ----------
    separators : _Separators
        What separates their digits.
    words : str
        What to call them, with an example.
    unit : str
        The currency or "%" that all have; "" if none has one.
    brackets : bool
        Whether some are negative in brackets.
    """

    separators: _Separators
    words: str
    unit: str = ""
    brackets: bool = False

    @property
    def has_comma(self) -> bool:
        """Whether a comma separates decimals."""
        return self.separators.decimal == ","

    def number(self, text: str) -> float | None:
        """Return the number that a text is, or None if it is not written so. A percentage is as it reads."""
        parts = _parts(text)
        if parts is None or not self.separators.fits(parts.digits):
            return None
        found = self.separators.number(parts.digits)
        return -found if parts.negative else found

    def holds(self, text: str) -> bool:
        """Return whether a number is written so, unit included."""
        parts = _parts(text)
        return parts is not None and parts.unit == self.unit and self.separators.fits(parts.digits)

    @property
    def parts(self) -> dict[str, str | bool]:
        """What it says, for JSON; nothing of a cell is in it."""
        return {
            "decimal": self.separators.decimal,
            "group": self.separators.group,
            "unit": self.unit,
            "brackets": self.brackets,
            "words": self.words,
        }

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Self:
        """Read what `parts` says; ValueError, TypeError or KeyError if it is none."""
        given = dict(parts)
        separators = _Separators(given.pop("decimal"), given.pop("group"))
        found = cls(separators=separators, **given)
        unit = isinstance(found.unit, str) and re.fullmatch(f"({_MONEY}|%)?", found.unit, re.IGNORECASE)
        typed = isinstance(found.words, str) and isinstance(found.brackets, bool)
        if separators not in _SEPARATORS or not unit or not typed:
            raise ValueError("no such notation")
        return found


def readings(text: str, like: Notation | None = None) -> dict[str, float]:
    """Return the number that a text is where a point separates decimals, and where a comma does.

    Parameters
    ----------
    text : str
        A cell without blanks around it.
    like : Notation, optional
        How the numbers of its column were written in training: only then may it be in brackets, or have a
        unit, and only that one.

    Returns
    -------
    dict of str to float
        By decimal mark; without the marks that it cannot be written with.
    """
    parts = _parts(text)
    unit, brackets = (like.unit, like.brackets) if like else ("", False)
    if parts is None or parts.unit not in ("", unit) or (parts.bracketed and not brackets):
        return {}
    sign = -1 if parts.negative else 1
    return {one.decimal: sign * one.number(parts.digits) for one in _SEPARATORS if one.fits(parts.digits)}


def is_number(text: str) -> bool:
    """Return whether a text is a number in any of the notations, the plain one included."""
    parts = _parts(text)
    return parts is not None and any(one.fits(parts.digits) for one in _SEPARATORS)


def notations(texts: Iterable[str]) -> list[Notation]:
    """Return the notations that all texts are written in, one for each way to read other numbers of them.

    Parameters
    ----------
    texts : iterable of str
        The different texts of a column, without gaps.

    Returns
    -------
    list of Notation
        None, one, or two. A column of several currencies, or in which only some numbers have one or a "%",
        or all are in brackets or have a minus behind them, has none.
    """
    parts = list[_Parts]()
    for text in texts:
        if (one := _parts(text)) is None or (parts and one.unit != parts[0].unit):
            return []
        parts.append(one)
    if all(one.bracketed or one.behind for one in parts):
        return []
    fitting = [one for one in _SEPARATORS if all(one.fits(part.digits) for part in parts)]
    if len(fitting) > 1:  # the first of those that read the same numbers
        read = {tuple(one.number(part.digits) for part in parts): one for one in reversed(fitting)}
        fitting = [one for one in fitting if one in read.values()]
    brackets = any(one.bracketed for one in parts)
    return [Notation(one, _words(parts, one), unit=parts[0].unit, brackets=brackets) for one in fitting]


def _parts(text: str) -> _Parts | None:
    found = _AROUND.fullmatch(text.strip().translate(_ALIASES))
    if not found:
        return None
    opened, sign, before, inner, digits, after, behind, closed = found.groups("")
    if bool(opened) != bool(closed) or (before and after) or len(opened + sign + inner + behind) > 1:
        return None
    negative = bool(opened) or sign + inner + behind == "-"
    unit = (before or after).upper()
    return _Parts(digits, negative, bool(opened), bool(behind), unit, bool(before), "\u2212" in text)


def _words(parts: list[_Parts], separators: _Separators) -> str:
    """Return what to call a column's numbers, with an example that is none of them."""
    group, sign, unit = separators.group, separators.decimal, parts[0].unit
    grouped, fractions = (any(one in part.digits for part in parts) for one in (group, sign))
    marks = {
        "a currency": unit not in ("", "%"),
        "thousands separators": grouped,
        "a decimal comma": fractions and sign == ",",
        "brackets for a minus": any(one.bracketed for one in parts),
        "a minus behind": any(one.behind for one in parts),
    }
    how = [mark for mark, there in marks.items() if there]
    example = f"1{group if grouped else ''}234{f'{sign}5' if fractions else ''}"
    if unit == "%":
        example = f"12{f'{sign}5' if fractions else ''} % is 12{'.5' if fractions else ''}"
    elif unit:
        example = f"{unit}{example}" if parts[0].before else f"{example} {unit}"
    elif not (grouped or fractions):
        example = "" if how else "\u22125"
    minus = {"brackets for a minus": "(12) is -12", "a minus behind": "12- is -12"}
    shown = [*([example] if example else []), *(said for mark, said in minus.items() if marks[mark])]
    noun = "percentages" if unit == "%" else "amounts" if unit else "numbers"
    plain = "a typographic minus" if any(one.typographic for one in parts) else "a decimal point"
    how = how or ([] if unit else [plain])
    listed = f" with {', '.join(how[:-1])}{' and ' if how[1:] else ''}{how[-1]}" if how else ""
    return f"{noun}{listed} ({'; '.join(shown)})"


def of_dates(counts: Mapping[str, int]) -> str | None:
    """Return which dates the texts of a column look like, and what to do about it.

    Parameters
    ----------
    counts : mapping of str to int
        How many rows hold each text.

    Returns
    -------
    str or None
        None unless at least 90 % are dates.
    """
    total = sum(counts.values())
    looks = {what: sum(n for text, n in counts.items() if _is(p, text)) for what, p in _DATES.items()}
    what = max(looks, key=lambda one: looks[one])
    alike = sum(n for text, n in counts.items() if any(_is(p, text) for p in _DATES.values()))
    if not alike or alike < _ALIKE * total:
        return None
    return (
        f"{100 * looks[what] // total} % of its values look like {what}: a contract makes them numbers, the "
        'days since a reference day (type = "date")'
    )


def _is(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, flags=re.IGNORECASE) is not None
