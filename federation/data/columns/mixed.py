"""Say of a column of numbers and words how many rows hold words, which ones, and which options decide.

A word is shown if many rows hold it, or if everybody writes it for a gap: then it tells of no single row.
"""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from federation.data.columns.notation import Notation
from federation.words import some

LEAST_ROWS = 10
"""Fewest rows that must hold a word for it to be shown."""

_NO_LEVELS = frozenset({"?", ".", "*", "--", "#n/a", "<na>", "\\n", "#value!", "#ref!", "#div/0!"})
GAPS = _NO_LEVELS | {"-", "none", "nil", "missing", "unknown"}
"""Words that are no gaps unless declared, and tell of nobody: shown however few rows hold them."""

_LONGEST = 60
_SHOWN = 5


class Refusal(NamedTuple):
    """Why a column of numbers cannot be read, without a single row's value; and what the user can do.

    ``by_contract`` is the remedy where a contract decides what the column holds.
    """

    problem: str
    remedy: str
    by_contract: str


def of_words(name: str, words: Mapping[str, int], rows: int) -> Refusal:
    """Return why a column is refused in which some rows hold words.

    Parameters
    ----------
    name : str
        The column.
    words : mapping of str to int
        How many rows hold each.
    rows : int
        How many rows hold anything.
    """
    often = [one for one in sorted(words, key=lambda one: -words[one]) if _may_be_shown(one, words[one])]
    shown = often[:_SHOWN]
    others = sum(count for one, count in words.items() if one not in shown)
    told = [f'"{one}" in {words[one]:,}' for one in shown]
    if shown and others:
        told.append(f"other words in {others:,}")
    problem = f"not a number{_as_in(sum(words.values()), rows)}{': ' if told else ''}{', '.join(told)}"
    as_words = f"{option('--categorical', name)} if the column holds words (a contract can say so too)"
    if not shown:
        return Refusal(
            problem, f"Correct it, leave it empty, or add {as_words}.", "Correct it, or leave it empty."
        )
    declared = " ".join(option("--missing", one) for one in shown)
    rest = "" if not others else " and correct the others"
    what = "it means a missing value" if len(shown) == 1 else "they mean a missing value"
    add = f"Add {declared} if {what}{rest}"
    return Refusal(
        problem, f"{add}, or {as_words}.", f"{add}; missing_values in the contract does it for all."
    )


def of_labels(counts: Mapping[str, int]) -> str:
    """Return which values a label has that has too many of them, and in how many rows each."""
    often = [one for one in sorted(counts, key=lambda one: -counts[one]) if _may_be_shown(one, counts[one])]
    shown = often if len(counts) <= _SHOWN else []
    told = [f'"{one}" in {counts[one]:,}' for one in shown]
    if others := sum(count for one, count in counts.items() if one not in shown):
        told.append(f"{'others ' if shown else ''}in {others:,}")
    return f"{', '.join(told)} rows"


def of_levels(name: str, counts: Mapping[str, int]) -> list[str]:
    """Return what to tell of the levels of a column: what looks like a gap, or like rows in an open quote."""
    notes = []
    gaps = Counter[str]()
    for one, count in counts.items():
        if one.strip().lower() in _NO_LEVELS:
            gaps[one.strip()] += count
    if gaps:
        told = some([f'"{one}" in {count:,}' for one, count in gaps.items()])
        declared = " ".join(option("--missing", one) for one in gaps)
        notes.append(f'"{name}": {told} rows, used as levels. Add {declared} if they mean a missing value.')
    if broken := sum(count for one, count in counts.items() if "\n" in one.strip()):
        notes.append(
            f'"{name}": {broken:,} values hold line breaks. If a quote before them should not be there, rows '
            f"are lost in them: correct it, or leave the column out: {option('--ignore', name)}."
        )
    return notes


def of_ambiguous(texts: Sequence[str], rows: int, total: int) -> Refusal:
    """Return why a column is refused whose numbers, in ``rows`` of ``total``, can be read in two ways."""
    sign = "," if any("," in text for text in texts) else "."
    reads = ("1234", "1.234") if sign == "," else ("1.234", "1234")
    remedy = f"Add --decimal . to read 1{sign}234 as {reads[0]}, or --decimal , to read it as {reads[1]}."
    return Refusal(f'"{sign}" may separate thousands or decimals{_as_in(rows, total)}', remedy, remedy)


def of_notations(name: str, rows: int, total: int) -> Refusal:
    """Return why a column is refused whose numbers are in several notations; ``rows`` are not plain."""
    return Refusal(
        f"not a plain number, and not all others are written as this one{_as_in(rows, total)}",
        f"Write all of them alike, or leave the column out: {option('--ignore', name)}.",
        "Write all of them alike.",
    )


def read_as(name: str, notation: Notation) -> str:
    """Return the line that tells how a column was read."""
    return f'"{name}": read as {notation.words}.'


def option(name: str, value: str) -> str:
    """Return an option as it is typed on a command line."""
    return shlex.join([f"{name}={value}"] if value.startswith("-") else [name, value])


def _may_be_shown(word: str, rows: int) -> bool:
    return (rows >= LEAST_ROWS or word.lower() in GAPS) and len(word) <= _LONGEST and word.isprintable()


def _as_in(rows: int, total: int) -> str:
    return f", as in {rows:,} of {total:,} rows" if rows > 1 else ""
