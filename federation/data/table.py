"""Read a table of features and a binary label from CSV, or say exactly what is wrong with it.

Messages name columns, rows and lines but never a feature's value: logs travel, rows do not.
"""

import csv
import io
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from client_code.protocol.cells import is_missing
from client_code.protocol.contract import Kind
from federation.data.columns.by_file import odd_levels, two_kinds, without_values
from federation.data.columns.column import Column
from federation.data.columns.labels import binary, too_many
from federation.data.columns.mixed import option
from federation.data.columns.notation import Notation
from federation.data.columns.reader import BadValueError, Reader, Told, levels_of
from federation.data.columns.scan import Scan, scan
from federation.data.columns.settling import settled, settled_readers
from federation.data.files.folder import find_tables
from federation.data.files.records import AS_WRITTEN, near, open_file
from federation.data.files.text import Format
from federation.errors import DataError, FeatureError, LabelError

if TYPE_CHECKING:
    import pyarrow as pa

_WRITERS, _ROWS_WRITTEN = 2, 8192
_TESTED = 1 << 16
_SMALL, _LARGE, _WHOLE = 1e-4, 1e9, 1e16  # where Python begins to write exponents, or pyarrow


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
    notations : mapping of str to Notation
        Of the columns of numbers that are not written plainly.
    """

    features: tuple[str, ...]
    X: npt.NDArray[np.float64]
    y: npt.NDArray[np.int64]
    label: str
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    notations: Mapping[str, Notation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        if self.X.shape != (len(self.y), len(self.features)):
            raise ValueError(f"X has shape {self.X.shape}: expected {(len(self.y), len(self.features))}")
        if _any(np.isinf, self.X) or not ((self.y == 0) | (self.y == 1)).all():
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
        return not self.levels and not _any(np.isnan, self.X)

    def take(self, index: npt.NDArray[np.int64]) -> "Table":
        """Return the rows at these positions, in this order."""
        return replace(self, X=self.X[index], y=self.y[index])

    def without(self, columns: Collection[str]) -> "Table":
        """Return the same rows without these columns."""
        kept = [at for at, name in enumerate(self.features) if name not in columns]
        if len(kept) == len(self.features):
            return self
        return replace(
            self,
            features=tuple(self.features[at] for at in kept),
            X=self.X[:, kept],
            levels={name: levels for name, levels in self.levels.items() if name not in columns},
        )


def read_table(
    path: Path,
    form: Format = AS_WRITTEN,
    *,
    label: str,
    positive: str | None = None,
    ignore: Sequence[str] = (),
    kinds: Mapping[str, Kind] | None = None,
    codes: bool = False,
    told: Told | None = None,
) -> Table:
    """Read a table of features and a label.

    Floats are read exactly: what `write_table` wrote comes back bit for bit. Blank lines, and blanks around
    names and values, do not count.

    Parameters
    ----------
    path : Path
        A file or folder, as in `federation.data.columns.scan.scan`.
    form : Format
        How text files are written.
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
        Read a user's own table, as `federation.data.columns.reader.reader_of` says. Not for files of a
        run, which clients read without knowing what other clients' files hold.
    told : Told, optional
        What the user tells of its cells.

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
    given = dict(kinds or {})
    table = table_of(
        scan(path, form, texts=texts_needed(label, given)),
        label=label,
        positive=positive,
        ignore=ignore,
        kinds=given,
        codes=codes,
        told=told,
    )
    return replace(table, X=np.ascontiguousarray(table.X))  # sums of products depend on it, in the last bits


def texts_needed(label: str, kinds: Mapping[str, Kind]) -> set[str]:
    """Return the columns of which `table_of` needs the texts, whatever is in them."""
    return {label, *(name for name, kind in kinds.items() if kind != "numeric")}


def table_of(
    scanned: Scan,
    *,
    label: str,
    positive: str | None = None,
    ignore: Sequence[str] = (),
    kinds: Mapping[str, Kind] | None = None,
    codes: bool = False,
    told: Told | None = None,
    lenient: bool = False,
) -> Table:
    """Make a table of columns that were read; parameters and errors as in `read_table`.

    With ``lenient``, a column that would be refused is one of words, and noted. The features are taken out of
    `scanned` one by one, so that memory holds the table once; `X` has each column in one piece.
    """
    path, header = scanned.path, scanned.header
    if label not in header:
        raise LabelError(f'{path}: no label column "{label}".', near(label, header))
    features = [name for name in header if name != label and name not in ignore]
    if not features:
        raise DataError(f'{path}: "{label}" is the only column.', "Add at least one feature column.")
    given, told = dict(kinds or {}), told or Told()
    taken = scanned.columns
    scanned = settled(scanned, [label], given, told, codes=codes)
    y = _binary(scanned, label, _labels(scanned, label), positive)
    scanned, readers, notes = settled_readers(scanned, features, given, told, codes=codes)
    for name, refusal in {name: reader.refusal for name, reader in readers.items()}.items():
        if lenient and refusal:
            notes.append(f'"{name}": taken for words ({refusal.problem}). {refusal.remedy}')
            readers[name] = Reader("categorical")
    for name in features:
        del taken[name]
    X, odd = np.empty((scanned.rows, len(features)), order="F"), list[str]()
    for position, (name, reader) in enumerate(readers.items()):
        try:
            scanned.columns[name].read(reader, X[:, position])
            odd += odd_levels(scanned, name) if codes and reader.kind == "categorical" else []
            del scanned.columns[name]
        except BadValueError as error:
            if found := two_kinds(scanned, name):
                raise FeatureError(
                    f'{path}: column "{name}" {found}.',
                    f"Write it alike in all files, or add {option('--categorical', name)} to use it so.",
                ) from None
            file, place = scanned.where(error.index)
            raise FeatureError(f'{file}: column "{name}", {place}: {error.problem}.', error.remedy) from None
    if codes:
        notes += [*without_values(scanned, features, X), *odd]
    return Table(
        features=tuple(features),
        X=X,
        y=y,
        label=label,
        levels=levels_of(readers),
        notes=tuple(notes),
        notations={name: reader.notation for name, reader in readers.items() if reader.notation},
    )


def _any(test: np.ufunc, X: npt.NDArray[np.float64]) -> bool:
    """Return whether a test holds anywhere. A part is tested at a time, for memory holds the answers."""
    values = X.ravel(order="K")
    return any(test(values[at : at + _TESTED]).any() for at in range(0, values.size, _TESTED))


def read_header(path: Path, form: Format = AS_WRITTEN) -> tuple[str, ...]:
    """Read the names of a table's columns; errors as in `read_table`."""
    with open_file(find_tables(path).files[0], form) as part:
        return tuple(part.header)


def write_table(table: Table, path: Path, rows: npt.NDArray[np.int64] | None = None) -> None:
    r"""Write a CSV with a header, the label first; the same bytes on every system (``\n`` ends a line).

    Parameters
    ----------
    table : Table
        What is written.
    path : Path
        The file to write.
    rows : ndarray of int64, optional
        The positions of the rows to write, in this order; all of them unless given.
    """
    rows = np.arange(table.rows) if rows is None else rows
    quoted = {name: [_quoted(level) for level in levels] for name, levels in table.levels.items()}
    with path.open("wb") as file, ThreadPoolExecutor(_WRITERS) as pool:
        file.write(_csv_row([table.label, *table.features]).encode() + b"\n")
        parts = (rows[start : start + _ROWS_WRITTEN] for start in range(0, len(rows), _ROWS_WRITTEN))
        ahead = deque[Future[memoryview]]()
        for part in parts:
            ahead.append(pool.submit(_written, table, part, quoted))
            if len(ahead) > 2 * _WRITERS:
                file.write(ahead.popleft().result())
        for text in ahead:
            file.write(text.result())


def _written(table: Table, rows: npt.NDArray[np.int64], quoted: Mapping[str, list[str]]) -> memoryview:
    """Return the lines of some rows."""
    import pyarrow as pa  # noqa: PLC0415 - a tenth of a second that commands without tables do not need
    import pyarrow.compute as pc  # noqa: PLC0415

    columns = [pa.array(table.y[rows]).cast(pa.string())]
    for position, name in enumerate(table.features):
        values = table.X[rows, position]
        if name in quoted:
            codes = pa.array(np.nan_to_num(values, nan=len(quoted[name])).astype(np.int32))
            columns.append(pa.array([*quoted[name], ""], pa.string()).take(codes))
        else:
            columns.append(_number_texts(values))
    columns[-1] = pc.binary_join_element_wise(columns[-1], "\n", "")
    lines = pc.binary_join_element_wise(*columns, ",")
    return memoryview(lines.buffers()[2])[: pc.sum(pc.binary_length(lines)).as_py() or 0]


def _number_texts(values: npt.NDArray[np.float64]) -> "pa.Array":
    """Return numbers as Python writes them, without ``.0``; a gap is empty.

    pyarrow chooses the same digits, but writes numbers of other sizes with an exponent than Python does.
    """
    import pyarrow as pa  # noqa: PLC0415 - as above
    import pyarrow.compute as pc  # noqa: PLC0415

    gaps, size = np.isnan(values), np.abs(values)
    there = np.where(gaps, 0.0, values)
    if ((there == np.rint(there)) & (size < _WHOLE) & ~((there == 0) & np.signbit(there)) | gaps).all():
        return pc.fill_null(pa.array(there.astype(np.int64), mask=gaps).cast(pa.string()), "")
    texts = pa.array(there, mask=gaps).cast(pa.string())
    odd = ~gaps & (there != 0) & ((size < _SMALL) | (size >= _LARGE))
    if odd.any():
        ours = pa.array([repr(value).removesuffix(".0") for value in there[odd].tolist()], pa.string())
        texts = pc.replace_with_mask(texts, pa.array(odd), ours)
    return pc.fill_null(texts, "")


def _quoted(level: str) -> str:
    return _csv_row([level, ""]).removesuffix(",")


def _csv_row(values: Sequence[str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow(values)  # so that either makes it quote
    return line.getvalue().removesuffix("\r\n")


def _labels(scanned: Scan, label: str) -> Column:
    column = scanned.columns[label]
    gaps = [place for text, place in column.known.items() if is_missing(text)]
    if gaps:
        file, where = scanned.where(min(map(column.first, gaps)))
        counts = column.counts()
        rows = sum(counts[text] for text in column.known if is_missing(text))
        more = f", the first of {rows:,} such rows" if rows > 1 else ""
        raise LabelError(
            f'{file}: label "{label}", {where}: empty{more}.', "Give every row a label, or remove the row."
        )
    return column


def _binary(scanned: Scan, label: str, column: Column, positive: str | None) -> npt.NDArray[np.int64]:
    coding = binary(
        scanned.path,
        label,
        {text.strip() for text in column.known},
        positive,
        aside=partial(too_many, scanned, label, column),
    )
    classes = np.array([coding[text.strip()] for text in column.known], dtype=np.int64)
    y: npt.NDArray[np.int64] = classes[np.concatenate(column.parts)]
    return y


def describe_mismatch(their_label: str, theirs: Sequence[str], *, label: str, features: Sequence[str]) -> str:
    """Return in words how a client's columns differ from the server's; "" if they do not."""
    if their_label != label:
        return f'its label is "{their_label}" and the server\'s is "{label}".'
    differences = (("lacks", set(features) - set(theirs)), ("has in addition", set(theirs) - set(features)))
    parts = [f"it {verb} {', '.join(sorted(columns))}" for verb, columns in differences if columns]
    if not parts and len(theirs) != len(features):
        parts = ["it repeats a column"]
    return "; ".join(parts) + "." if parts else ""
