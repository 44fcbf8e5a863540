"""Recognise numbers and dates in notations that no reader takes for numbers: thousands separators, "%"."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from client_code.protocol.cells import number

_ALIKE = 0.9

_DAY, _MONTH = r"(0?[1-9]|[12]\d|3[01])", r"(0?[1-9]|1[0-2])"
_TIME = r"([T ,]+\d{1,2}:\d{2}\S*( ?[AP]M)?)?"
_NAME = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_SPACES = r"' \u00a0\u202f\u2019"  # what stands between groups of three digits, besides comma and point
_DIGITS = rf"\d[\d.,{_SPACES}]*"
_SIGN = r"[-+\u2212]?"
_MONEY = r"(us\$|[$\u20ac\u00a3\u00a5\u20b9]|usd|eur|gbp|chf|jpy|inr|kr|z\u0142)"

_NUMBERS = MappingProxyType(
    {
        "percentages": rf"{_SIGN}{_DIGITS}%",
        "amounts with a currency": rf"\(?{_SIGN}({_MONEY} ?{_SIGN}{_DIGITS}|{_DIGITS} ?{_MONEY})\)?",
        "numbers with thousands separators": rf"{_SIGN}[1-9]\d{{0,2}}([,{_SPACES}]\d{{3}})+(\.\d+)?",
        "numbers with a decimal comma": rf"{_SIGN}\d{{1,3}}([.{_SPACES}]?\d{{3}})*,\d+",
    }
)
_DATES = MappingProxyType(
    {
        "dates (year, month, day)": rf"\d{{4}}([-/.]){_MONTH}\1{_DAY}{_TIME}",
        "dates (month, day, year)": rf"{_MONTH}([/-]){_DAY}\2(\d{{4}}|\d{{2}}){_TIME}",
        "dates (day, month, year)": rf"{_DAY}([./-]){_MONTH}\2(\d{{4}}|\d{{2}}){_TIME}",
        "dates": rf"({_DAY}[ -]{_NAME}[ -](\d{{4}}|\d{{2}})|{_NAME} {_DAY},? \d{{4}}){_TIME}",
    }
)
_REMEDIES = (
    (_NUMBERS, "write them as plain numbers (1234.5)"),
    (_DATES, "make them numbers, such as days since a reference day"),
)


def of_cell(text: str) -> str | None:
    """Return what a text looks like if it is a number in another notation: in words, in the plural."""
    return next((what for what, pattern in _NUMBERS.items() if _is(pattern, text)), None)


def of_column(counts: Mapping[str, int]) -> str | None:
    """Return what the texts of a column look like, and what to do about it.

    Parameters
    ----------
    counts : mapping of str to int
        How many rows hold each text.

    Returns
    -------
    str or None
        None unless at least 90 % are dates, or numbers in another notation or in the plain one.
    """
    total = sum(counts.values())
    for patterns, remedy in _REMEDIES:
        looks = {what: sum(n for text, n in counts.items() if _is(p, text)) for what, p in patterns.items()}
        what = max(looks, key=lambda one: looks[one])
        alike = sum(n for text, n in counts.items() if any(_is(p, text) for p in patterns.values()))
        plain = sum(n for text, n in counts.items() if number(text) is not None)
        if alike and alike + plain * (patterns is _NUMBERS) >= _ALIKE * total:
            return f"{100 * looks[what] // total} % of its values look like {what}: {remedy}"
    return None


def _is(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, flags=re.IGNORECASE) is not None
