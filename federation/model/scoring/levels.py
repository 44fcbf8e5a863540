"""Read the cells of a categorical column as levels of a model, which may be written in another way there.

Training decides levels as texts. A cell is the level with the same text; else, if the cell is a number, the
level that is the same number, if exactly one is (``1.0`` and ``01`` are the level ``1``, for a column of
whole numbers with gaps is written so by other programs, as is ``1.2`` for ``1,2``); else it is a level that
the model does not know.
"""

import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.cells import is_missing, number
from client_code.protocol.features import Feature, other_than
from federation.data.files.decimals import with_point

_REMEMBERED = 10_000


def known_levels(features: Sequence[Feature], reference: str | None) -> tuple[str, ...]:
    """Return the levels of one column that a model knows; none if it only marks its gaps.

    Parameters
    ----------
    features : sequence of Feature
        Those that are made of the column.
    reference : str, optional
        The level that has no feature, where the model tells it.
    """
    levels = [it.level for it in features if it.level is not None]
    levels += [level for it in features for level in it.levels or ()]
    return tuple(dict.fromkeys([*levels, *([reference] if reference is not None else [])]))


class Read(NamedTuple):
    """What cells are.

    Parameters
    ----------
    codes : ndarray of float64, shape (n,)
        Positions in `LevelReader.levels`; NaN in a gap.
    unknown, other_case, other_number : int
        Cells whose level the model does not know; those of them that would be a known level in another case
        of letters; and cells that are a known level written as another number.
    """

    codes: NDArray[np.float64]
    unknown: int
    other_case: int
    other_number: int


class LevelReader:
    """Turn cells into positions of levels, in memory that does not grow with them.

    Parameters
    ----------
    known : sequence of str
        The levels that the model knows.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self.levels = (*known, other_than(known))
        """The known levels, and a word for every other one."""
        numbers = {level: exact for level in known if (exact := _exact(level)) is not None}
        often = Counter(numbers.values())
        self._of_number = {exact: level for level, exact in numbers.items() if often[exact] == 1}
        self._of_lower = {level.casefold() for level in known}
        # Every cell gets one code that also says how it was read, so that NumPy can count: the position of a
        # known level, the next for an unknown one, the next if its letters' case is all that differs, and
        # from there on the known levels again, for those that are written as another number.
        self._unknown, self._other_case = len(known), len(known) + 1
        self._known = {level: at for at, level in enumerate(known)}
        self._codes = dict[str, float](self._known)

    def read(self, cells: Sequence[str]) -> Read:
        """Return what cells are."""
        codes = self._codes
        for cell in set(cells).difference(codes):
            codes[cell] = self._code(cell.strip())
        found = np.array([codes[cell] for cell in cells], dtype=np.float64)
        if len(codes) > len(self._known) + _REMEMBERED:
            self._codes = dict(self._known)
        return self._counted(found)

    def _code(self, text: str) -> float:
        if text in self._known:
            return self._known[text]
        if is_missing(text):
            return math.nan
        level = self._of_number.get(exact) if (exact := _exact(text)) is not None else None
        if level is not None:
            return self._other_case + 1 + self._known[level]
        return self._other_case if text.casefold() in self._of_lower else self._unknown

    def _counted(self, found: NDArray[np.float64]) -> Read:
        other_number, other_case = found > self._other_case, found == self._other_case
        found[other_number] -= self._other_case + 1
        found[other_case] = self._unknown
        return Read(
            found,
            unknown=int(np.count_nonzero(found == self._unknown)),
            other_case=int(np.count_nonzero(other_case)),
            other_number=int(np.count_nonzero(other_number)),
        )


def _exact(text: str) -> Decimal | None:
    """Return a text's number, to its last digit: a long code is not rounded to another one.

    It may have a decimal comma: other programs write the level 1,2 as 1.2.
    """
    plain = with_point(text)
    found = number(plain)
    return None if found is None or not math.isfinite(found) else Decimal(plain)
