"""Read a table of numeric features and a binary label from CSV, or say exactly what is wrong with it.

Messages name columns, rows and lines but never a feature's value: logs travel, rows do not.
"""

import csv
import difflib
import math
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from federation.errors import DataError, FeatureError, LabelError, MissingFileError

_MISSING = frozenset({"", "na", "n/a", "nan", "null"})
_BINARY = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of finite numbers, each with a label of 0 or 1.

    Parameters
    ----------
    features : tuple of str
        Names of the columns of `X`.
    X : ndarray of float64, shape (n, d)
        The features; finite.
    y : ndarray of int64, shape (n,)
        The label: 1 is positive.
    label : str
        Name of the label column.
    """

    features: tuple[str, ...]
    X: npt.NDArray[np.float64]
    y: npt.NDArray[np.int64]
    label: str

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        if self.X.shape != (len(self.y), len(self.features)):
            raise ValueError(f"X has shape {self.X.shape}: expected {(len(self.y), len(self.features))}")
        if not np.isfinite(self.X).all() or not np.isin(self.y, (0, 1)).all():
            raise ValueError("X must be finite and y must be 0 or 1")

    @property
    def rows(self) -> int:
        """Count the rows."""
        return len(self.y)

    @property
    def positives(self) -> int:
        """Count the rows whose label is 1."""
        return int(self.y.sum())

    def take(self, index: npt.NDArray[np.int64]) -> "Table":
        """Return the rows at these positions, in this order."""
        return replace(self, X=self.X[index], y=self.y[index])


def read_table(path: Path, *, label: str, positive: str | None = None, ignore: str | None = None) -> Table:
    """Read a CSV with a header into a table, in one pass.

    Floats are read exactly: what `write_table` wrote comes back bit for bit. Blank lines, and blanks around
    names and values, do not count.

    Parameters
    ----------
    path : Path
        A UTF-8 file (with or without a byte-order mark), separated by commas.
    label : str
        Name of the label column. Its values are 0 and 1, true and false, or any two, one of them `positive`.
    positive : str, optional
        The value of the label that counts as 1.
    ignore : str, optional
        Name of a column that is no feature and may hold text.

    Raises
    ------
    MissingFileError
        If there is no such file, or it cannot be read.
    LabelError
        If there is no such column, or it is not binary, or a row has none.
    FeatureError
        If a feature is missing, infinite or not a number. Names the column, the data row and the line.
    DataError
        If the file is no well-formed CSV, or its columns cannot make a table.
    """
    values, labels = array("d"), list[str]()
    with open_records(path) as (header, rows):
        at = _label_position(path, header, label)
        keep = [i for i, name in enumerate(header) if i != at and name != ignore]
        if not keep:
            raise DataError(f'{path}: "{label}" is the only column.', "Add at least one feature column.")
        for number, (line, row) in enumerate(rows, start=1):
            labels.append(row[at].strip())
            if labels[-1].lower() in _MISSING:
                raise LabelError(
                    f'{path}: label "{label}", data row {number} (line {line}): empty.',
                    "Give every row a label, or remove the row.",
                )
            if (numbers := _numbers([row[i] for i in keep])) is None:
                column, problem, remedy = next(
                    (header[i], *found) for i in keep if (found := _problem(row[i]))
                )
                raise FeatureError(
                    f'{path}: column "{column}", data row {number} (line {line}): {problem}.', remedy
                )
            values.extend(numbers)
    return Table(
        features=tuple(header[i] for i in keep),
        X=np.array(values, dtype=np.float64).reshape(len(labels), len(keep)),
        y=_binary(path, label, labels, positive),
        label=label,
    )


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
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([table.label, *table.features])
        for label, row in zip(table.y.tolist(), table.X.tolist(), strict=True):
            writer.writerow([label, *(repr(value).removesuffix(".0") for value in row)])


def near(name: str, names: Sequence[str]) -> str:
    """Say which of `names` a mistyped `name` may have meant, or which there are."""
    of_lower = {other.lower(): other for other in names}
    if close := difflib.get_close_matches(name.lower(), of_lower, n=3):
        return "Did you mean " + " or ".join(f'"{of_lower[match]}"' for match in close) + "?"
    first = ", ".join(f'"{other}"' for other in names[:5])
    return f"The {len(names)} columns are {first}{', ...' if len(names) > 5 else ''}."  # noqa: PLR2004 - the 5 above


@contextmanager
def open_records(path: Path) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str]]]]]:
    """Open a CSV as its header and an iterator of line number and texts; errors as in `read_table`."""
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file.", "Check the path.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            header = _header(path, [name.strip() for name in next(reader, [])])
            yield header, _rows(path, ((reader.line_num, row) for row in reader), len(header))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a UTF-8 text file.", "Save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV ({error}).", "Check its quotes.") from error
    except OSError as error:
        raise MissingFileError(
            f"{path}: cannot be read ({error.strerror}).", "Check its permissions."
        ) from error


def _header(path: Path, header: list[str]) -> list[str]:
    if not any(header):
        raise DataError(
            f"{path}: no header in the first line.", "Save the table with its column names first."
        )
    if len(header) == 1 and any(separator in header[0] for separator in ";\t|"):
        raise DataError(f"{path}: columns are not separated by commas.", "Save it as CSV with commas.")
    if "" in header:
        raise DataError(f"{path}: column {header.index('') + 1} has no name.", "Name it in the header.")
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        names = ", ".join(f'"{name}"' for name in repeated)
        raise DataError(f"{path}: the header names {names} more than once.", "Give each column its own name.")
    return header


def _rows(
    path: Path, numbered: Iterator[tuple[int, list[str]]], width: int
) -> Iterator[tuple[int, list[str]]]:
    empty = True
    for line, row in numbered:
        if not row:
            continue
        if len(row) != width:
            raise DataError(
                f"{path}, line {line}: {len(row)} values under {width} column names.",
                "Quote values that hold a comma, and give every row all its values.",
            )
        empty = False
        yield line, row
    if empty:
        raise DataError(f"{path}: a header without rows.", "Check that the export is complete.")


def _label_position(path: Path, header: list[str], label: str) -> int:
    if label not in header:
        raise LabelError(f'{path}: no label column "{label}".', near(label, header))
    return header.index(label)


def _numbers(texts: list[str]) -> list[float] | None:
    """Read finite numbers, or None if any is something else."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return None
    # Python alone reads 1_000 as a number: no other reader of the same file would.
    return numbers if all(map(math.isfinite, numbers)) and "_" not in "".join(texts) else None


def _problem(text: str) -> tuple[str, str] | None:
    """Say why a text is no finite number, and what to do about it."""
    if text.strip().lower() in _MISSING:
        return "empty or NaN", "Fill it in, or remove the row or the column."
    if _numbers([text]) is not None:
        return None
    try:
        float(text.replace("_", "x"))
    except ValueError:
        return "not a number", "Encode the column as numbers, or remove it."
    return "infinity or too large", "Correct it, or remove the row or the column."


def _binary(path: Path, label: str, labels: list[str], positive: str | None) -> npt.NDArray[np.int64]:
    distinct = sorted(set(labels))
    coding = {value: _BINARY.get(value.lower(), -1) for value in distinct}
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
