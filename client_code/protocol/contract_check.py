"""What in a table breaks the data contract: by column, with counts and row numbers, never a value."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from .cells import Words, days, is_missing, label_of, numbers, truth_of
from .contract import BOOLEAN, DATE, IGNORED, NUMERIC, Contract, Rule

MAX_ROWS_NAMED = 5
MAX_COLUMNS_NAMED = 5

Bools = NDArray[np.bool_]
Cells = Sequence[str] | NDArray[np.float64]
_NUMBERS_TOO = "numbers among dates"  # a prepared file has nothing else in a column of dates


@dataclass(frozen=True, kw_only=True)
class Violation:
    """What breaks a contract.

    Parameters
    ----------
    column, problem : str
        Where and what.
    count : int
        How many rows; 0 if it is the column as a whole.
    rows : list of int
        The first of them, from 1.
    """

    column: str
    problem: str
    count: int = 0
    rows: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.count:
            return f'column "{self.column}" {self.problem}'
        more = ", ..." if self.count > len(self.rows) else ""
        where = ", ".join(map(str, self.rows)) + more
        return f'column "{self.column}": {self.count} {self.problem} (data rows {where})'


def in_words(file: str, broken: Sequence[Violation]) -> str:
    """Return what breaks a file's contract as a sentence that names the first columns."""
    told = "; ".join(map(str, broken[:MAX_COLUMNS_NAMED]))
    more = f"; and {len(broken) - MAX_COLUMNS_NAMED} more" if len(broken) > MAX_COLUMNS_NAMED else ""
    return f"{file} breaks the contract: {told}{more}."


class Check:
    """Look for violations, part of a table by part.

    Parameters
    ----------
    contract : Contract
        What must hold.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._words = Words(contract.missing_values)
        self._dates = contract.dates
        self._written = set[str]()
        self._rows = 0
        self._missing: Counter[str] = Counter()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], list[int]] = {}
        self._whole: dict[str, str] = {}
        self._labels: set[str] = set()

    def add(self, columns: Mapping[str, Cells]) -> None:
        """Look at the cells of the next rows, by column: texts, as in the file.

        The cells of a numeric column may also be what `cells.numbers` makes of them.
        """
        contract = self._contract
        columns = {name: self._without_words(cells) for name, cells in columns.items()}
        for name in columns:
            if name != contract.label and name not in contract.columns:
                self._whole[name] = "is not in the contract"
        for name in (contract.label, *contract.kinds):
            if name not in columns:
                self._whole[name] = "is not there"
        if contract.label in columns:
            self._add_label(cast("Sequence[str]", columns[contract.label]))
        for name, rule in contract.columns.items():
            if rule.type != IGNORED and name in columns:
                self._add_column(name, rule, columns[name])
        self._rows += max(map(len, columns.values()), default=0)

    @property
    def plain(self) -> bool:
        """Whether no date was met that has yet to become a number."""
        return not self._written

    def violations(self) -> list[Violation]:
        """Return what was found, by column."""
        found = [Violation(column=name, problem=problem) for name, problem in self._whole.items()]
        found += [
            Violation(column=name, problem=problem, count=count, rows=self._first[name, problem])
            for (name, problem), count in self._counts.items()
            if problem != _NUMBERS_TOO or name in self._written
        ]
        for name, missing in self._missing.items():
            allowed = self._contract.columns[name].missing
            # A part of a table that just keeps it may hold some more by chance: three standard deviations.
            chance = 3 * math.sqrt(allowed * (1 - allowed) * self._rows)
            if missing > allowed * self._rows + chance:
                problem = (
                    f"lacks {missing} of {self._rows} values, more than the share of {allowed:g} allowed"
                )
                found.append(Violation(column=name, problem=problem))
        if len(self._labels) > 2:  # noqa: PLR2004 - binary
            problem = f"has {len(self._labels)} distinct values: a label has two"
            found.append(Violation(column=self._contract.label, problem=problem))
        return found

    def _without_words(self, cells: Cells) -> Cells:
        words = self._words
        return words.without(cells) if isinstance(cells, np.ndarray) else words.emptied(cells)

    def _add_label(self, cells: Sequence[str]) -> None:
        self._note(self._contract.label, "rows without a label", _where(cells, is_missing))
        there = {cell.strip() for cell in set(cells) if not is_missing(cell)}
        if self._contract.positive is None:
            self._labels |= {cell if (found := label_of(cell)) is None else str(found) for cell in there}
            wrong = _where(cells, lambda cell: not is_missing(cell) and label_of(cell) is None)
            self._note(self._contract.label, "values that are not 0 and 1", wrong)
        else:
            self._labels |= there

    def _add_column(self, name: str, rule: Rule, cells: Cells) -> None:
        if rule.type == NUMERIC:
            self._add_numbers(name, rule, cells if isinstance(cells, np.ndarray) else numbers(cells))
            return
        assert not isinstance(cells, np.ndarray), "only numeric columns come as numbers"
        if rule.type == DATE:
            self._add_dates(name, rule, cells)
            return
        self._missing[name] += int(_where(cells, is_missing).sum())
        if rule.type == BOOLEAN:
            wrong = _where(cells, lambda cell: not is_missing(cell) and truth_of(cell) is None)
            self._note(name, "values that are neither true nor false", wrong)

    def _add_dates(self, name: str, rule: Rule, cells: Sequence[str]) -> None:
        values = days(cells, self._dates[name])
        written = _where(cells, lambda cell: self._dates[name].days(cell) is not None)
        if written.any():
            self._written.add(name)
        self._note(name, _NUMBERS_TOO, np.isfinite(values) & ~written)
        self._add_numbers(name, rule, values, f'values that are no dates as "{self._dates[name].written}"')

    def _add_numbers(
        self,
        name: str,
        rule: Rule,
        values: NDArray[np.float64],
        problem: str = "values that are no finite numbers",
    ) -> None:
        self._missing[name] += int(np.isnan(values).sum())
        self._note(name, problem, np.isinf(values))
        there = np.isfinite(values)
        if rule.log1p:
            self._note(
                name, "negative values, of which the contract takes the logarithm", there & (values < 0)
            )
        if rule.minimum is not None:
            self._note(name, f"values below {rule.minimum:g}", there & (values < rule.minimum))
        if rule.maximum is not None:
            self._note(name, f"values above {rule.maximum:g}", there & (values > rule.maximum))

    def _note(self, column: str, problem: str, wrong: Bools) -> None:
        if not wrong.any():
            return
        first = self._first.setdefault((column, problem), [])
        first += (np.flatnonzero(wrong)[: MAX_ROWS_NAMED - len(first)] + self._rows + 1).tolist()
        self._counts[column, problem] += int(wrong.sum())


def _where(cells: Sequence[str], test: Callable[[str], bool]) -> Bools:
    """Return which cells pass a test, which is asked once for each distinct one."""
    passing = {cell for cell in set(cells) if test(cell)}
    return np.fromiter((cell in passing for cell in cells), dtype=np.bool_, count=len(cells))
