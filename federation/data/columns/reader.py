"""Turn the cells of a column into numbers, or say which one its column cannot hold, and why.

What a cell is, is in `client_code.protocol.cells`, for every reader; numbers in other notations, and columns
of numbers and words, are those of a user's own table only: prepared files hold none.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.cells import TRUTHS, Profile, finite, is_missing, number, truth_of, what, word
from client_code.protocol.contract import Kind
from client_code.protocol.dates import Dates
from federation.data.columns.mixed import Refusal, of_ambiguous, of_notations, of_words
from federation.data.columns.notation import Notation, is_number, notations
from federation.errors import SettingError

_FEW_WORDS, _MANY_NUMBERS = 5, 20


class BadValueError(ValueError):
    """A value that its column cannot hold.

    Parameters
    ----------
    index : int
        Its position among the values given.
    problem, remedy : str
        Without the value.
    """

    def __init__(self, index: int, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.index, self.problem, self.remedy = index, problem, remedy


@dataclass
class Reader:
    """Turn the values of one column into numbers, part by part.

    Parameters
    ----------
    kind : {"numeric", "boolean", "categorical"}
        What the column holds.
    codes : dict of str to int
        The number of each level met so far; grows as a categorical column is read.
    notation : Notation, optional
        How its numbers are written, if not plainly.
    dates : Dates, optional
        How its dates become numbers.
    refusal : Refusal, optional
        What to say of its first value that is no number.
    """

    kind: Kind
    codes: dict[str, int] = field(default_factory=dict)
    notation: Notation | None = None
    dates: Dates | None = None
    refusal: Refusal | None = None

    def read(self, values: list[str]) -> NDArray[np.float64]:
        """Return a number for each value: itself, 1 or 0, or its level's number; NaN where it is missing.

        Raises
        ------
        BadValueError
            The first value that is of another kind.
        """
        plain = self.kind == "numeric" and self.notation is None and self.dates is None
        if plain and (numbers := finite(values)) is not None:
            return numbers
        known: dict[str, float] = {}
        for index, value in enumerate(values):
            if value not in known:
                known[value] = self._number(value, index)
        return np.array([known[value] for value in values], dtype=np.float64)

    def _number(self, value: str, index: int) -> float:
        text = value.strip()
        if is_missing(text):
            return math.nan
        if self.kind == "categorical":
            return self.codes.setdefault(text, len(self.codes))
        if self.kind == "boolean":
            if (truth := truth_of(text)) is None:
                raise BadValueError(index, "neither true nor false", "Correct it, or leave it empty.")
            return truth
        if word(text) in ("true", "false"):
            return TRUTHS[word(text)]
        if (found := self._of_text(text)) is None:
            raise BadValueError(index, *(self.refusal or _of_cell(text))[:2])
        if not math.isfinite(found):
            raise BadValueError(index, "infinity or too large", "Correct it, or leave it empty.")
        return found

    def _of_text(self, text: str) -> float | None:
        if self.notation:
            return self.notation.number(text)
        found = self.dates.days(text) if self.dates else None
        return number(text) if found is None else found


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a user tells of the cells of a table of their own.

    Parameters
    ----------
    missing : sequence of str
        Words that stand for a gap, see `client_code.protocol.cells.Words`.
    decimal : {".", ","}, optional
        What separates decimals where 1,234 leaves it open.
    dates : mapping of str to Dates
        How the dates of columns become numbers.

    Raises
    ------
    SettingError
        A word is empty.
    """

    missing: Sequence[str] = ()
    decimal: str | None = None
    dates: Mapping[str, Dates] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not all(one.strip() for one in self.missing):
            raise SettingError("--missing: an empty word.", "Leave it out: an empty cell is missing anyway.")


def reader_of(
    name: str, counts: Mapping[str, int], *, kind: Kind | None = None, decimal: str | None = None
) -> Reader:
    """Return how to read a column of a user's own table, as all its cells together show.

    Parameters
    ----------
    name : str
        The column.
    counts : mapping of str to int
        How many rows hold each of its different texts.
    kind : {"numeric", "boolean", "categorical"}, optional
        What it holds, if that is known.
    decimal : {".", ","}, optional
        As in `Told`.

    Notes
    -----
    Whole numbers of which at least one in a hundred begins with a 0 are codes, and so words. Numbers that
    are all written in one notation are numbers. A column is one of numbers if at least half of its cells are,
    or if its words are few (up to 5 different ones, beside more than 20 different numbers): words for a
    missing value may be the majority. The reader of such a column refuses the first word.
    """
    if kind in ("boolean", "categorical"):
        return Reader(kind)
    texts = Counter[str]()
    for cell, count in counts.items():
        if not is_missing(cell):
            texts[cell.strip()] += count
    profile = Profile()
    profile.add(texts)
    if kind is None and profile.codes:
        return Reader("categorical")
    pointed = decimal == "," and any("." in text for text in texts)
    if not profile.booleans and (profile.texts or pointed):
        found = notations(texts)
        if len(found) > 1 and decimal:
            found = [one for one in found if one.has_comma is (decimal == ",")]
        if len(found) == 1:
            return Reader("numeric", notation=found[0])
        if len(found) > 1 and profile.texts:
            odd = [text for text in texts if what(text) == "texts"]
            return Reader("numeric", refusal=of_ambiguous(odd, profile.texts, texts.total()))
    if not profile.texts:
        return Reader(kind or profile.kind)
    return _of_words(name, texts, profile, numeric=kind == "numeric")


def _of_words(name: str, texts: Counter[str], profile: Profile, *, numeric: bool) -> Reader:
    words = {one: count for one, count in texts.items() if what(one) == "texts" and not is_number(one)}
    mostly_numbers = 2 * (sum(words.values()) + profile.booleans) <= texts.total()
    few_words = len(words) <= _FEW_WORDS and len(texts) - len(words) > _MANY_NUMBERS
    if not (numeric or mostly_numbers or few_words):
        return Reader("categorical")
    if words:
        return Reader("numeric", refusal=of_words(name, words, texts.total()))
    return Reader("numeric", refusal=of_notations(name, profile.texts, texts.total()))


def _of_cell(text: str) -> tuple[str, str]:
    if found := notations([text]):
        problem = f"not a number, but written as {found[0].words}"
        return problem, "Write every number plainly (1234.5)."
    return "not a number", "Correct it, or leave it empty."


def levels_of(readers: Mapping[str, Reader]) -> dict[str, tuple[str, ...]]:
    """Return the levels of the categorical columns, in the order of their numbers."""
    return {name: tuple(reader.codes) for name, reader in readers.items() if reader.kind == "categorical"}
