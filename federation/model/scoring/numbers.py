"""Read the cells of a column of numbers as they were read in training.

A cell that can be one number only is that number, if it has no unit or that of training. 1.234 is another
number where a comma separates decimals, and so is 1,234. These say which, the first that knows it: the
option ``--decimal``, the notation that the column had in training, the file's own decimal commas. Else 1.234
is as it stands, and 1,234 is no number. Where other cells contradict that, `Found.is_open` tells it.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.cells import TRUTHS, finite, is_missing, number, numbers, word
from client_code.protocol.dates import Dates
from federation.data.columns.notation import Notation, readings
from federation.data.columns.reader import BadValueError, Reader
from federation.data.files.decimals import with_point
from federation.model.scoring.findings import Found

Floats = NDArray[np.float64]

_OPEN = re.compile(r"^\s*[-+]?[1-9]\d{0,2}[.,]\d{3}\s*$", re.MULTILINE)
_TWO_WAYS = '"," may separate thousands or decimals, and --decimal says which'
_COMMA = "written with a decimal comma, which --decimal , reads"


class Mark(NamedTuple):
    """What separates decimals.

    Parameters
    ----------
    sign : {".", ","}, optional
        Where a cell leaves it open, if that is known.
    told : bool
        Whether an option says so.
    commas : bool
        Whether the file has decimal commas.
    """

    sign: str | None = None
    told: bool = False
    commas: bool = False


class _Cell(NamedTuple):
    """What a cell is; ``otherwise`` tells whether it is not written as in training."""

    value: float
    problem: str = ""
    otherwise: bool = False
    is_open: bool = False
    contradicts: bool = False
    confirms: bool = False


class NumberReader:
    """Turn cells into numbers, and count what is written otherwise than in training.

    Parameters
    ----------
    found : Found
        Where it is counted.
    notation : Notation, optional
        How the column's numbers were written in training, if not plainly.
    dates : Dates, optional
        How its dates become numbers.
    commas : bool
        Whether any column had decimal commas in training: then 1.234 is open where nothing else tells.
    """

    def __init__(self, found: Found, notation: Notation | None, dates: Dates | None, *, commas: bool) -> None:
        self._found, self._notation, self._dates, self._commas = found, notation, dates, commas

    def read(self, cells: Sequence[str], mark: Mark) -> tuple[Floats, dict[int, str]]:
        """Return the numbers, NaN where there is none, and by position what is wrong with a cell.

        Parameters
        ----------
        cells : sequence of str
            As they stand in the file.
        mark : Mark
            What separates decimals where a cell leaves it open.
        """
        comma = mark.sign == ","
        self._found.taken = "" if mark.told else mark.sign or ""
        wary = comma or (mark.sign is None and self._commas)
        together = "\n".join(cells) if wary else ""
        if not self._is_simple(mark.sign) or (comma and "." in together):
            return self._one_by_one(cells, range(len(cells)), np.full(len(cells), np.nan), mark)
        if wary:
            count = len(_OPEN.findall(together))
            self._found.open += count
            self._found.contradicted |= count > 0 and not comma
            self._found.confirmed |= comma and together.count(",") > count
        texts = [cell.replace(",", ".") for cell in cells] if comma else cells
        if (plain := _plain(texts)) is not None:
            return plain, {}
        values = numbers(texts)
        odd = np.flatnonzero(np.isinf(values)).tolist()
        return self._one_by_one(cells, odd, values, mark)

    def _is_simple(self, mark: str | None) -> bool:
        """Return whether plain numbers, with this mark, are written as in training."""
        like = self._notation
        same = like is None or (like.unit == "" and like.separators.decimal == (mark or "."))
        return same and self._dates is None

    def _one_by_one(
        self, cells: Sequence[str], rows: Sequence[int], values: Floats, mark: Mark
    ) -> tuple[Floats, dict[int, str]]:
        """Fill in the values of some rows."""
        counts = Counter(cells[row] for row in rows)
        known = {cell: self._cell(cell.strip(), mark) for cell in counts}
        for cell, count in counts.items():
            self._found.otherwise += count * known[cell].otherwise
            self._found.open += count * known[cell].is_open
            self._found.contradicted |= known[cell].contradicts
            self._found.confirmed |= known[cell].confirms
        for row in rows:
            values[row] = known[cells[row]].value
        return values, {row: problem for row in rows if (problem := known[cells[row]].problem)}

    def _cell(self, text: str, mark: Mark) -> _Cell:
        if is_missing(text):
            return _Cell(math.nan)
        if word(text) in ("true", "false"):
            return _Cell(TRUTHS[word(text)])
        if self._dates:
            return self._date(text, self._dates)
        found = readings(text, self._notation)
        plain = with_point(text) if mark.commas or mark.sign == "," else text
        return self._number(text, mark, found, number(plain)) if found else _without_notation(plain)

    def _number(self, text: str, mark: Mark, found: Mapping[str, float], plain: float | None) -> _Cell:
        sign, like = mark.sign, self._notation
        differ = len({*found.values()}) > 1
        if sign is None and differ and "," in text:
            return _Cell(math.nan, _TWO_WAYS)
        commas = mark.commas or sign == "," or (sign is None and like is not None and like.has_comma)
        if "." not in found and not commas:
            return _Cell(math.nan, _COMMA)
        taken = sign if sign is not None and sign in found else min(found, key=".,".index)
        wary = sign == "," or (sign is None and self._commas) or ("," in text and not mark.told)
        is_open = differ and wary
        return _Cell(
            found[taken],
            otherwise=not (like.holds(text) if like else plain == found[taken]),
            is_open=is_open,
            contradicts=(is_open if sign is None else taken != sign),
            confirms=taken == sign and len(found) == 1,
        )

    def _date(self, text: str, dates: Dates) -> _Cell:
        if (days := dates.days(text)) is not None:
            return _Cell(days)
        found = number(text)
        if found is None or not math.isfinite(found):
            return _Cell(math.nan, f'no date as "{dates.written}"')
        return _Cell(found, otherwise=True)


def _without_notation(text: str) -> _Cell:
    """Return what a cell is that is plain with an exponent or zeros in front, or no number."""
    try:
        return _Cell(float(Reader("numeric").read([text])[0]))
    except BadValueError as error:
        return _Cell(math.nan, error.problem)


def _plain(cells: Sequence[str]) -> Floats | None:
    """Return cells of finite numbers and nothing, which are most; None if any is something else."""
    if (read := finite(cells)) is not None:
        return read
    if (read := finite([cell for cell in cells if cell])) is None:
        return None
    there = [bool(cell) for cell in cells]
    values = np.full(len(cells), np.nan)
    values[there] = read
    return values
