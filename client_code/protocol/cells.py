"""What a cell of a table is: a number, true or false, a text, or a gap.

Every reader of a table decides it here: data preparation, the contract check, and the clients' readers.
Blanks around a value do not count, nor does the case of the words for a gap and for true and false.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .contract import Kind
from .dates import Dates

What = Literal["numbers", "booleans", "texts", "missing"]

MISSING = frozenset({"", "na", "n/a", "nan", "null"})
TRUTHS = MappingProxyType({"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1})
CLEAR_LABELS = MappingProxyType({**TRUTHS, "no": 0, "yes": 1, "n": 0, "y": 1, "negative": 0, "positive": 1})
"""Values of a label that say themselves which class they are, in any case."""
_CODES = 0.01
_ZERO_IN_FRONT = r"0\d"


def word(cell: str) -> str:
    """Return a cell as it is compared with words."""
    return cell.strip().lower()


def is_missing(cell: str) -> bool:
    """Return whether a cell is a gap."""
    return word(cell) in MISSING


def spellings() -> list[str]:
    """Return every way to write a gap without blanks, for readers that compare letter by letter."""
    cases = (itertools.product(*({letter, letter.upper()} for letter in it)) for it in MISSING)
    return sorted("".join(letters) for of_word in cases for letters in of_word)


class Words:
    """Words for a gap that one table declares, besides those that stand for one in every table.

    A cell is such a word if it is the same text without the blanks around it, in the same case. A word that
    is a number (999) is meant however a number is written (999.0), but no code with a 0 in front is (0999).

    Parameters
    ----------
    declared : iterable of str
        The words.
    """

    def __init__(self, declared: Iterable[str] = ()) -> None:
        self.texts = frozenset(one.strip() for one in declared)
        self._numbers = frozenset(found for one in self.texts if (found := number(one)) is not None)

    def __contains__(self, cell: str) -> bool:
        """Return whether a cell is one of the words."""
        text = cell.strip()
        if text in self.texts:
            return True
        return bool(self._numbers) and not re.match(_ZERO_IN_FRONT, text) and number(text) in self._numbers

    def emptied(self, cells: Sequence[str]) -> Sequence[str]:
        """Return the cells with nothing in the place of each word."""
        found = {cell for cell in set(cells) if cell in self} if self.texts else set()
        return ["" if cell in found else cell for cell in cells] if found else cells

    def without(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return numbers with NaN in the place of each word."""
        return np.where(np.isin(values, sorted(self._numbers)), np.nan, values) if self._numbers else values


def text_of(value: object) -> str:
    """Return a value of a typed table as the cell that a CSV file has for it."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    return repr(float(value)) if isinstance(value, float) else str(value)


def number(cell: str) -> float | None:
    """Return the number that a cell holds, which may be infinite, or None if it holds something else."""
    if "_" in cell or not cell.isascii():  # Python alone reads 1_000 and other scripts' digits as numbers
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def truth_of(cell: str) -> int | None:
    """Return 1 or 0 for a cell that is true or false, as a word or as a number in any form (1, 1.00)."""
    if (found := TRUTHS.get(word(cell))) is not None:
        return found
    value = number(cell.strip())
    return int(value) if value in (0, 1) else None


def label_of(cell: str) -> int | None:
    """Return the class that a label names itself: 0 or 1 as a word, or as a number in any notation."""
    found = CLEAR_LABELS.get(word(cell))
    return truth_of(cell) if found is None else found


def finite(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the cells as numbers, or None if any is something else than a finite number."""
    together = "".join(cells)
    if "_" in together or not together.isascii():
        return None
    try:
        numbers = np.array(list(map(float, cells)), dtype=np.float64)
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def numbers(cells: Sequence[str]) -> NDArray[np.float64]:
    """Return a number for each cell: true is 1, false 0, a gap NaN, and what is no finite number infinite."""
    if (plain := finite(cells)) is not None:
        return plain
    known = {cell: _number(cell) for cell in set(cells)}
    return np.array([known[cell] for cell in cells], dtype=np.float64)


def days(cells: Sequence[str], dates: Dates) -> NDArray[np.float64]:
    """Return a number for each date: its days, NaN for a gap, and what is no date infinite.

    A number counts as days already: so prepared files hold them.
    """
    known = {cell: _number(cell) if (found := dates.days(cell)) is None else found for cell in set(cells)}
    return np.array([known[cell] for cell in cells], dtype=np.float64)


def _number(cell: str) -> float:
    match what(cell):
        case "missing":
            return math.nan
        case "booleans":
            return TRUTHS[word(cell)]
        case "numbers":
            return number(cell.strip()) or 0.0
        case _:
            return math.inf


def what(cell: str) -> What:
    """Return what a cell is."""
    text = word(cell)
    if text in MISSING:
        return "missing"
    if text in ("true", "false"):
        return "booleans"
    return "texts" if number(text) is None else "numbers"


@dataclass
class Profile:
    """Count what the cells of a column are.

    Parameters
    ----------
    numbers, booleans, texts, missing : int
        How many are numbers; ``true`` or ``false``; anything else; gaps.
    digits, zeros : int
        Of the numbers, how many are nothing but digits, and how many of these begin with a 0 that a number
        would not have (``02139``).
    """

    numbers: int = 0
    booleans: int = 0
    texts: int = 0
    missing: int = 0
    digits: int = 0
    zeros: int = 0

    def add(self, cells: Iterable[str] | Mapping[str, int]) -> None:
        """Count these cells too; a mapping tells how many hold each."""
        for cell, count in Counter(cells).items():
            kind = what(cell)
            setattr(self, kind, getattr(self, kind) + count)
            if kind == "numbers" and (text := cell.strip()).isdigit():
                self.digits += count
                self.zeros += count * (len(text) > 1 and text.startswith("0"))

    @property
    def codes(self) -> bool:
        """Whether its numbers are codes: digits alone, at least one in a hundred with a 0 in front.

        That a few have one may be a slip; a number loses nothing with it, and a code (a postcode, a
        hospital's number) becomes another one.
        """
        return self.digits == self.numbers and self.zeros > 0 and self.zeros >= _CODES * self.numbers

    @property
    def kind(self) -> Kind:
        """The kind of column: numeric if at least half of its values are numbers, or none is there at all.

        So one word among numbers is found as the mistake it is, instead of making levels of all the numbers.
        """
        if self.numbers >= self.booleans + self.texts:
            return "numeric"
        return "categorical" if self.texts else "boolean"
