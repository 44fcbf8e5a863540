"""Read a table of features and a binary label from CSV, or say exactly what is wrong with it.

Messages name columns, rows and lines but never a feature's value: logs travel, rows do not.
"""

import csv
import math
import re
from array import array
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from client_code.protocol.cells import CLEAR_LABELS, Profile, Words, finite, is_missing
from client_code.protocol.contract import Kind
from federation.data.columns import BadValueError, Reader, Told, levels_of, reader_of
from federation.data.readers import near, open_records
from federation.errors import DataError, FeatureError, LabelError

_CHUNK = 4096
_CODE = re.compile(r"(^|,)\s*0\d+\s*(,|$)")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of numbers and levels, each with a label of 0 or 1.

    Parameters
    ----------
    features : tuple of str
        Names of the columns of `X`.
    X : ndarray of float64, shape (n, d)
        The features: a number, or the position of a level in `levels`; NaN where a value is missing.
    y : ndarray of int64, shape (n,)
        The label: 1 is positive.
    label : str
        Name of the label column.
    levels : mapping of str to tuple of str
        The levels of each categorical column.
    notes : tuple of str
        What a user should know of how it was read: a line each, without a row's value.
    """

    features: tuple[str, ...]
    X: npt.NDArray[np.float64]
    y: npt.NDArray[np.int64]
    label: str
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        if self.X.shape != (len(self.y), len(self.features)):
            raise ValueError(f"X has shape {self.X.shape}: expected {(len(self.y), len(self.features))}")
        if np.isinf(self.X).any() or not np.isin(self.y, (0, 1)).all():
            raise ValueError("X must not be infinite and y must be 0 or 1")
        for name, levels in self.levels.items():
            codes = self.X[:, self.features.index(name)]
            if not np.isin(codes[~np.isnan(codes)], np.arange(len(levels))).all():
                raise ValueError(f'X holds a level of "{name}" that does not exist')

    @property
    def rows(self) -> int:
        """Count the rows."""
        return len(self.y)

    @property
    def positives(self) -> int:
        """Count the rows whose label is 1."""
        return int(self.y.sum())

    @property
    def plain(self) -> bool:
        """Whether every value is a number, none missing."""
        return not self.levels and not np.isnan(self.X).any()

    def take(self, index: npt.NDArray[np.int64]) -> "Table":
        """Return the rows at these positions, in this order."""
        return replace(self, X=self.X[index], y=self.y[index])

    def without(self, columns: Collection[str]) -> "Table":
        """Return the same rows without these columns."""
        kept = [at for at, name in enumerate(self.features) if name not in columns]
        return replace(
            self,
            features=tuple(self.features[at] for at in kept),
            X=self.X[:, kept],
            levels={name: levels for name, levels in self.levels.items() if name not in columns},
        )


def read_table(
    path: Path,
    *,
    label: str,
    positive: str | None = None,
    ignore: Sequence[str] = (),
    kinds: Mapping[str, Kind] | None = None,
    codes: bool = False,
    told: Told | None = None,
    lenient: bool = False,
) -> Table:
    """Read a CSV with a header into a table.

    Floats are read exactly: what `write_table` wrote comes back bit for bit. Blank lines, and blanks around
    names and values, do not count.

    Parameters
    ----------
    path : Path
        A UTF-8 file (with or without a byte-order mark), separated by commas.
    label : str
        Name of the label column. Its values are 0 and 1, true and false, yes and no, y and n, positive and
        negative (in any case), or any two, one of them `positive`.
    positive : str, optional
        The value of the label that counts as 1.
    ignore : sequence of str
        Names of columns that are no features.
    kinds : mapping of str to Kind, optional
        What each feature holds; found out from its values where it is not given.
    codes : bool
        Read a user's own table, as `federation.data.columns.reader_of` says. Not for files of a run, which
        clients read without knowing what other clients' files hold.
    told : Told, optional
        What the user tells of its cells.
    lenient : bool
        Take a column that would be refused for one of words.

    Raises
    ------
    MissingFileError
        If there is no such file, or it cannot be read.
    LabelError
        If there is no such column, or it is not binary, or a row has none.
    FeatureError
        If a value does not fit its column. Names the column, the data row and the line.
    DataError
        If the file is no well-formed CSV, or its columns cannot make a table.
    """
    told = told or Told()
    given = dict(kinds or {})
    words = Words(told.missing)
    quick = not set(given.values()) - {"numeric"} and not told.missing and told.decimal != "comma"
    if quick and (table := _read_numbers(path, label, positive, ignore, codes=codes)):
        return table
    names = [name for name in read_header(path) if name != label and name not in ignore]
    counts = _count(path, names, words)
    readers, notes = dict[str, Reader](), list[str]()
    for name in names:
        kind = given.get(name)
        if name in told.dates or not codes:
            reader = Reader(kind or _kind(counts[name]), dates=told.dates.get(name))
        else:
            reader = reader_of(name, counts[name], kind=kind, decimal=told.decimal)
        if reader.refusal and lenient:
            notes.append(f'"{name}": words, but for those that are numbers. {reader.refusal.remedy}')
            reader = Reader("categorical")
        if reader.notation:
            notes.append(f'"{name}": read as {reader.notation.words}.')
        readers[name] = reader
    return replace(_read_mixed(path, label, positive, readers, words), notes=tuple(notes))


def _kind(counts: Counter[str]) -> Kind:
    profile = Profile()
    profile.add(counts)
    return profile.kind


def read_header(path: Path) -> tuple[str, ...]:
    """Read the names of a CSV's columns; errors as in `read_table`."""
    with open_records(path) as (header, _):
        return tuple(header)


def read_texts(path: Path, column: str) -> list[str]:
    """Read one column of a CSV as text, a value for each row; errors as in `read_table`.

    Raises
    ------
    DataError
        If a row has no value.
    """
    with open_records(path) as (header, rows):
        at = header.index(column)
        texts = []
        for number, (line, row) in enumerate(rows, start=1):
            texts.append(row[at].strip())
            if not texts[-1]:
                raise DataError(
                    f'{path}: column "{column}", data row {number} (line {line}): empty.',
                    "Give every row a value, or remove the row.",
                )
    return texts


def write_table(table: Table, path: Path) -> None:
    r"""Write a CSV with a header, the label first; the same bytes on every system (``\n`` ends a line)."""
    columns = [_written(table, position) for position in range(len(table.features))]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([table.label, *table.features])
        writer.writerows(zip(table.y.tolist(), *columns, strict=True))


def _written(table: Table, position: int) -> list[str]:
    values, levels = table.X[:, position].tolist(), table.levels.get(table.features[position])
    if levels is not None:
        return ["" if math.isnan(code) else levels[int(code)] for code in values]
    return ["" if math.isnan(value) else repr(value).removesuffix(".0") for value in values]


def _read_numbers(
    path: Path, label: str, positive: str | None, ignore: Sequence[str], *, codes: bool
) -> Table | None:
    """Read a table of finite numbers in one pass, or return None at the first value that may be none."""
    values, labels = array("d"), list[str]()
    with open_records(path) as (header, rows):
        at, keep = _positions(path, header, label, ignore)
        for number, (line, row) in enumerate(rows, start=1):
            labels.append(_label(path, label, row[at], number, line))
            cells = [row[i] for i in keep]
            if (numbers := finite(cells)) is None or (codes and _CODE.search(",".join(cells))):
                return None
            values.extend(numbers.tolist())
    return Table(
        features=tuple(header[i] for i in keep),
        X=np.array(values, dtype=np.float64).reshape(len(labels), len(keep)),
        y=_binary(path, label, labels, positive),
        label=label,
    )


def _count(path: Path, names: Sequence[str], words: Words) -> dict[str, Counter[str]]:
    counts = {name: Counter[str]() for name in names}
    with open_records(path) as (header, rows):
        while chunk := [row for _, row in islice(rows, _CHUNK)]:
            for name, values in zip(header, zip(*chunk, strict=True), strict=True):
                if name in counts:
                    counts[name].update(words.emptied(values))
    return counts


def _read_mixed(
    path: Path, label: str, positive: str | None, readers: Mapping[str, Reader], words: Words
) -> Table:
    parts, labels = list[npt.NDArray[np.float64]](), list[str]()
    with open_records(path) as (header, rows):
        at = header.index(label)
        while chunk := list(islice(rows, _CHUNK)):
            first = len(labels) + 1
            labels += [_label(path, label, row[at], first + i, line) for i, (line, row) in enumerate(chunk)]
            part = np.empty((len(chunk), len(readers)))
            for position, (name, reader) in enumerate(readers.items()):
                column = header.index(name)
                try:
                    part[:, position] = reader.read([*words.emptied([row[column] for _, row in chunk])])
                except BadValueError as error:
                    where = f"data row {first + error.index} (line {chunk[error.index][0]})"
                    raise FeatureError(
                        f'{path}: column "{name}", {where}: {error.problem}.', error.remedy
                    ) from None  # the cause may quote the value
            parts.append(part)
    return Table(
        features=tuple(readers),
        X=np.concatenate(parts),
        y=_binary(path, label, labels, positive),
        label=label,
        levels=levels_of(readers),
    )


def _positions(path: Path, header: list[str], label: str, ignore: Sequence[str]) -> tuple[int, list[int]]:
    """Return where the label is, and where the features are."""
    if label not in header:
        raise LabelError(f'{path}: no label column "{label}".', near(label, header))
    keep = [i for i, name in enumerate(header) if name != label and name not in ignore]
    if not keep:
        raise DataError(f'{path}: "{label}" is the only column.', "Add at least one feature column.")
    return header.index(label), keep


def _label(path: Path, label: str, text: str, number: int, line: int) -> str:
    if is_missing(text):
        raise LabelError(
            f'{path}: label "{label}", data row {number} (line {line}): empty.',
            "Give every row a label, or remove the row.",
        )
    return text.strip()


def _binary(path: Path, label: str, labels: list[str], positive: str | None) -> npt.NDArray[np.int64]:
    distinct = sorted(set(labels))
    coding = {value: CLEAR_LABELS.get(value.lower(), -1) for value in distinct}
    if positive is not None or -1 in coding.values():
        if len(distinct) > 2 or (len(distinct) == 1 and positive is None):  # noqa: PLR2004 - binary
            values = "1 distinct value" if len(distinct) == 1 else f"{len(distinct)} distinct values"
            raise LabelError(
                f'{path}: label "{label}" has {values}: not binary.',
                "Choose a column with two values, or reduce this one to two.",
            )
        if positive not in coding:
            problem = "is not 0 and 1" if positive is None else f'is never "{positive}"'
            either = " or ".join(f'"{value}"' for value in distinct)
            raise LabelError(
                f'{path}: label "{label}" {problem}.', f"Say with --positive which is 1: {either}."
            )
        coding = {value: int(value == positive) for value in distinct}
    return np.array([coding[value] for value in labels], dtype=np.int64)


def describe_mismatch(their_label: str, theirs: Sequence[str], *, label: str, features: Sequence[str]) -> str:
    """Return in words how a client's columns differ from the server's; "" if they do not."""
    if their_label != label:
        return f'its label is "{their_label}" and the server\'s is "{label}".'
    differences = (("lacks", set(features) - set(theirs)), ("has in addition", set(theirs) - set(features)))
    parts = [f"it {verb} {', '.join(sorted(columns))}" for verb, columns in differences if columns]
    if not parts and len(theirs) != len(features):
        parts = ["it repeats a column"]
    return "; ".join(parts) + "." if parts else ""
