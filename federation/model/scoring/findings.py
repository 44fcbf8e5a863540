"""What was found in rows while they were scored: in words and counts per column, never a value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from federation.errors import FeatureError
from federation.words import some

OnError = Literal["stop", "row"]
"""What a row that cannot be scored does: it stops all, or it gets a reason instead of a score."""

FAR = 6.0
"""Standard deviations from the clients' mean beyond which a number is called far: of whatever distribution,
maximum one value in 36 lies there, and of a normal one two in a billion."""
FEWEST = 100
"""Rows of which none holds a known level before a column is refused that had other levels in training too."""


@dataclass
class Problem:
    """Rows that one column makes impossible to score, for one reason."""

    first_row: int
    first_line: int
    rows: int = 0


@dataclass
class Found:
    """Count what was found in one column.

    Parameters
    ----------
    fallback : str
        What a level that the model does not know counts as, in words.
    others : bool
        Whether the model has a feature for such levels: then some rows held one in training.
    gap : str
        What a gap counts as, in words, if neither this column nor another one marks it.
    binary : bool
        Whether every training row held 0 or 1.
    gaps, unmarked : int
        Rows without a value that is filled in, or marked here or, as columns that lack values in the same
        rows have one mark, elsewhere; and rows without a value that nothing marks.
    unknown, other_case, other_number, far : int
        Rows with an unknown level; with one that is known in another case of letters; with a level that is
        written as another number; and with a number that is far from those of training.
    usual : str
        How the numbers of training were written, in words.
    otherwise, former : int
        Rows with a number that is written in another way; and rows with a word that stood for a missing value
        in training, and does not any more.
    open : int
        Rows with a number that is another one where a comma separates decimals.
    taken : str
        What was taken for the separator of decimals in these, if no option says it.
    contradicted, confirmed : bool
        Whether other cells, or training, show another one; and whether other cells show that one.
    values : int
        Rows with a value.
    problems : dict of str to Problem
        By what is wrong.
    """

    fallback: str = ""
    others: bool = False
    gap: str = ""
    binary: bool = False
    usual: str = "plain numbers"
    otherwise: int = 0
    former: int = 0
    open: int = 0
    taken: str = ""
    contradicted: bool = False
    confirmed: bool = False
    values: int = 0
    gaps: int = 0
    unmarked: int = 0
    unknown: int = 0
    other_case: int = 0
    other_number: int = 0
    far: int = 0
    problems: dict[str, Problem] = field(default_factory=dict)

    @property
    def is_strange(self) -> bool:
        """Whether no value is a level that the model knows, which for few rows may be chance."""
        return 0 < self.values == self.unknown and (not self.others or self.values >= FEWEST)

    @property
    def is_open(self) -> bool:
        """Whether nothing tells what separates decimals in some rows."""
        return self.open > 0 and self.contradicted

    def remarks(self, rows: int) -> Iterator[str]:
        """Yield a sentence for each thing that may surprise."""
        if self.otherwise:
            yield (
                f"{self.otherwise:,} of {rows:,} rows hold a number that is not written as in training, "
                f"which had {self.usual}: it counts as it reads"
            )
        if self.open and self.taken and not self.confirmed:
            mark, other = ("comma", ".") if self.taken == "," else ("point", ",")
            yield (
                f"{self.open:,} of {rows:,} rows hold a number such as 1.234 or 1,234, and no other number "
                f"of the column tells what separates decimals: a {mark} is taken for it; if it is none, add "
                f"--decimal {other}"
            )
        if self.former:
            yield (
                f"{self.former:,} of {rows:,} rows hold a word that stood for a missing value in training: "
                "it counts as it reads, as --missing does not name it"
            )
        if self.unknown:
            case = f"; {self.other_case:,} of them in another case of letters" if self.other_case else ""
            yield (
                f"{self.unknown:,} of {rows:,} rows hold a level that the model does not know{case}: "
                f"they count as {self.fallback}"
            )
        if self.other_number:
            yield (
                f"{self.other_number:,} of {rows:,} rows write a level as another number than in training, "
                "as 1.0 or 01 is for 1: they count as that level"
            )
        if self.far:
            where = (
                "are neither 0 nor 1, as all were in training"
                if self.binary
                else f"lie more than {FAR:g} standard deviations from the mean of training"
            )
            yield f"{self.far:,} of {rows:,} rows {where}"
        if self.unmarked:
            yield f"{self.unmarked:,} of {rows:,} rows are empty: they count as {self.gap}"


@dataclass
class Findings:
    """What was found in a table.

    Parameters
    ----------
    name : str
        The table's, in messages.
    columns : mapping of str to Found
        Of each column that the model uses.
    rows, unscored : int
        All rows, and those that cannot be scored.
    forms : mapping of str to list of str
        How files are written that are not plain CSV, and their names.
    begins : list of (int, Path)
        Of a folder the files, and how many rows come before each.
    """

    name: str
    columns: Mapping[str, Found]
    rows: int = 0
    unscored: int = 0
    forms: dict[str, list[str]] = field(default_factory=dict)
    begins: list[tuple[int, Path]] = field(default_factory=list)

    def remarks(self) -> list[str]:
        """Return what may surprise, a sentence for each column and thing, without its full stop."""
        return [f"{name}: {it}" for name, found in self.columns.items() for it in found.remarks(self.rows)]

    def notes(self) -> list[str]:
        """Return `remarks`, how many values are missing as in training, and which rows have no score."""
        notes = [f"{some(names)}: read with {how}" for how, names in self.forms.items()] + self.remarks()
        if usual := [f"{name} {it.gaps:,}" for name, it in self.columns.items() if it.gaps]:
            notes.append(f"rows without a value, filled in or marked as in training: {', '.join(usual)}")
        if self.unscored:
            notes.append(f"{self.unscored:,} rows have a reason instead of a score: {self._problems()}")
        return notes

    @property
    def scored(self) -> str:
        """How many rows have a score, in words."""
        rows = f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}"
        return f"{self.rows - self.unscored:,} of {rows}" if self.unscored else rows

    def require(self, *, on_error: OnError, allow_unknown: bool) -> None:
        """Refuse the scores of rows that the model cannot know.

        Raises
        ------
        FeatureError
            Nothing tells what separates decimals; rows cannot be scored, and shall stop all; or a column
            holds no level that the model knows. Names every such column, with counts and the first row.
        """
        if undecided := [f'"{name}" ({it.open:,} rows)' for name, it in self.columns.items() if it.is_open]:
            raise FeatureError(
                f'{self.name}: "." may separate thousands or decimals in column {some(undecided)}.',
                "Add --decimal . to read 1.234 as 1.234, or --decimal , to read it as 1234.",
            )
        if self.unscored and on_error == "stop":
            raise FeatureError(
                f"{self.name}: {self.unscored:,} of {self.rows:,} rows cannot be scored: {self._problems()}.",
                "Correct these rows, or let them have a reason instead of a score: --on-error row.",
            )
        strange = {name: found for name, found in self.columns.items() if found.is_strange}
        if strange and not allow_unknown:
            cased = sum(found.other_case for found in strange.values())
            case = f" In {cased:,} cells only the case of letters differs." if cased else ""
            held = some([f'"{name}" ({found.unknown:,} rows)' for name, found in strange.items()])
            raise FeatureError(
                f"{self.name}: no row holds a level that the model knows in column {held}.{case}",
                "Write levels as in training (model.json has them), or score the rows all the same: "
                "--allow-unknown.",
            )

    def _problems(self) -> str:
        parts: Sequence[str] = [
            f'column "{name}": {problem.rows:,} {what} (first in {self._place(problem)})'
            for name, found in self.columns.items()
            for what, problem in found.problems.items()
        ]
        return some(parts)

    def _place(self, first: Problem) -> str:
        before, file = max((one for one in self.begins if one[0] < first.first_row), default=(0, None))
        row = first.first_row - before
        line = f", line {first.first_line:,}" if first.first_line != row else ""  # only texts have lines
        return f"{f'{file.name}, ' if file else ''}data row {row:,}{line}"
