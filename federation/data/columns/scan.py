"""Read a table once: every column whole, and the digest of the bytes. What is in them, others find out."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from federation.data.columns.column import Cells, Column, Texts, convert_cells
from federation.data.files.blocks import ROWS, Block, Digest, UnusualError, csv_blocks, csv_header
from federation.data.files.folder import TableFile, find_tables
from federation.data.files.kinds import COMPRESSED, kind_of, refuse_other_content
from federation.data.files.records import (
    AS_WRITTEN,
    Record,
    check_alike,
    check_header,
    open_file,
    without_rows,
)
from federation.data.files.text import Format, Text, opened, text_of_file
from federation.data.files.typed import typed_blocks
from federation.errors import DataError
from federation.words import some

_AHEAD = 2  # blocks that wait for a core, each of several MB


class File(NamedTuple):
    """A file that was read, and how many rows came of it."""

    path: Path
    rows: int


@dataclass(frozen=True)
class Scan:
    """A table, read.

    Parameters
    ----------
    path : Path
        The file or folder.
    header : tuple of str
        The names of the columns.
    columns : dict of str to Column
        Those that were asked for.
    files : list of File
        Where the rows come from, in their order.
    sha256 : str
        Of the bytes of all files.
    notes : list of str
        What a user should know: files that were not read, and how others are written.
    form : Format
        How text files are written, as far as it was said.
    marks : set of str
        What stands before the fractions in its files: a comma in some, a point in some.
    """

    path: Path
    header: tuple[str, ...]
    columns: dict[str, Column]
    files: list[File]
    sha256: str
    notes: list[str]
    form: Format = AS_WRITTEN
    marks: frozenset[str] = frozenset()

    @property
    def both_marks(self) -> bool:
        """Whether some files have decimal commas and others have points: each is read by its own."""
        return len(self.marks) > 1

    @property
    def rows(self) -> int:
        """Count the rows."""
        return sum(file.rows for file in self.files)

    def where(self, row: int) -> tuple[Path, str]:
        """Return the file of a row (from 0), and the words that locate it there."""
        for file in self.files:
            if row < file.rows:
                return file.path, self._place(file, row)
            row -= file.rows
        raise IndexError(row)

    def again(self, texts: Collection[str], *, as_written: bool) -> dict[str, Column]:
        """Read columns once more, as texts: as they are written, or with a point for a decimal comma."""
        form = replace(self.form, decimal=".") if as_written else self.form
        found = scan(self.path, form, texts=texts, only=texts).columns if texts else {}
        for name, column in found.items():
            before = self.columns[name]
            column.marks, column.fractions, column.as_written = before.marks, before.fractions, as_written
        return found

    def _place(self, file: File, row: int) -> str:
        if kind_of(file.path) != "csv":
            return f"data row {row + 1}"
        with open_file(TableFile(file.path, {}), self.form) as part:
            line, _ = next(islice(part.records, row, None))
        return f"data row {row + 1} (line {line})"


def scan(
    path: Path,
    form: Format = AS_WRITTEN,
    *,
    texts: Collection[str] = (),
    only: Collection[str] | None = None,
) -> Scan:
    """Read a table once.

    Parameters
    ----------
    path : Path
        A file of any kind in `federation.data.files.kinds`, or a folder, see `federation.data.files.folder`.
    form : Format
        How text files are written.
    texts : collection of str
        Columns whose cells are kept as texts, also where they are numbers.
    only : collection of str, optional
        Columns to keep; all of them unless given.

    Raises
    ------
    MissingFileError, DataError
        As `federation.data.files.records.open_file`.
    """
    import pyarrow as pa  # noqa: PLC0415 - a tenth of a second that commands without tables do not need

    found, digest = find_tables(path), Digest()
    header, columns, files, told = list[str](), dict[str, Column](), list[File](), dict[str, list[str]]()
    marks, together = set[str](), len(found.files) > 1

    def choose(own: list[str]) -> dict[int, bool]:
        """Return the positions in a file of the columns to keep, and whether as texts."""
        if not files:
            header.extend(own)
            columns.update((name, Column()) for name in own if only is None or name in only)
        else:
            check_alike(file.path, own, files[0].path, header)
        return {own.index(name): name in texts for name in columns}

    for file in found.files:
        refuse_other_content(file.path)
        text = text_of_file(file.path, form)
        if text.told:
            told.setdefault(text.told, []).append(file.path.name)
        marks |= {","} & {text.decimal}
        rows = 0
        for cells in _cells_of(file, text, form, digest, choose):
            for column, part in zip(columns.values(), cells, strict=True):
                column.add(part)
            rows += len(cells[0][0])
            if together and not {".", text.decimal} & marks and any(part.has_points for part in cells):
                marks.add(".")
        if not rows:
            raise without_rows(file.path)
        files.append(File(file.path, rows))
    pa.default_memory_pool().release_unused()  # else it keeps what the files were read with
    _refuse_both_marks(path, columns, both=len(marks) > 1)
    notes = [*found.notes, *(f"{some(names)}: read with {how}" for how, names in told.items())]
    return Scan(path, tuple(header), columns, files, digest.hexadecimal, notes, form, frozenset(marks))


def texts_of(scanned: Scan, column: str) -> list[str]:
    """Return one column of a table as texts, a value for each row.

    Raises
    ------
    DataError
        If a row has no value.
    """
    found = scanned.columns[column]
    for text, place in found.known.items():
        if not text.strip():
            file, where = scanned.where(found.first(place))
            raise DataError(
                f'{file}: column "{column}", {where}: empty.', "Give every row a value, or remove the row."
            )
    return [text.strip() for text in found.texts()]


def _refuse_both_marks(path: Path, columns: Mapping[str, Column], *, both: bool) -> None:
    """Refuse columns whose points may separate thousands or decimals; `both` tells of the files' marks."""
    for name, column in columns.items():
        if len(column.marks) > 1 or (both and "." in column.marks):
            raise DataError(
                f'{path}: column "{name}" has numbers with a decimal comma, and others with a point.',
                "Write all of them in the same way.",
            )


def _cells_of(
    file: TableFile, text: Text, form: Format, digest: Digest, choose: Callable[[list[str]], dict[int, bool]]
) -> Iterator[list[Cells]]:
    """Yield the cells of a file, block by block, in the columns that its header makes one choose."""
    path = file.path
    digest.begin(path)
    if (kind := kind_of(path)) != "csv":
        names, blocks, numbers = typed_blocks(path, kind, text)
        wanted = choose(check_header(path, names, file.partition))
        yield from _converted(blocks, wanted, file.partition, ".", numbers)
        digest.whole()
        return
    rows, wanted = 0, dict[int, bool]()
    try:
        with opened(path, text, digest.taking) as stream:
            names = csv_header(stream, text.separator)
            wanted = choose(check_header(path, names, file.partition))
            blocks = csv_blocks(stream, len(names), text.separator)
            for cells in _converted(blocks, wanted, file.partition, text.decimal):
                rows += len(cells[0][0])
                yield cells
        if path.suffix.lower() in COMPRESSED or not text.is_utf8:
            digest.whole()
    except (UnusualError, OSError, EOFError, UnicodeError):
        digest.whole()
        with open_file(TableFile(path, {}), form, as_written=True) as part:
            wanted = wanted or choose(check_header(path, part.header, file.partition))
            rest = _blocks_of(islice(part.records, rows, None))
            yield from _converted(rest, wanted, file.partition, text.decimal)


def _blocks_of(records: Iterator[Record]) -> Iterator[Block]:
    import pyarrow as pa  # noqa: PLC0415 - as above

    while chunk := [row for _, row in islice(records, ROWS)]:
        columns = [pa.array(column, pa.string()) for column in zip(*chunk, strict=True)]
        yield partial(list, columns)


def _converted(
    blocks: Iterator[Block],
    wanted: Mapping[int, bool],
    partition: Mapping[str, str],
    decimal: str,
    numbers: frozenset[int] = frozenset(),
) -> Iterator[list[Cells]]:
    """Convert blocks on every core, and yield what comes of them in their order.

    Parameters
    ----------
    blocks : iterator of Block
        The blocks.
    wanted : mapping of int to bool
        Positions of the columns to convert, and whether to texts.
    partition : mapping of str to str
        Columns behind those of the blocks, of one value each.
    decimal : str
        What stands before the fraction of a number.
    numbers : set of int
        Positions of the columns whose numbers are no texts.
    """
    from joblib import cpu_count  # noqa: PLC0415 - what scores from model.json does without joblib

    constants = list(partition.values())

    def convert(block: Block) -> list[Cells]:
        arrays = block()
        cells: list[Cells] = []
        for at, as_texts in wanted.items():
            if at < len(arrays):
                one = convert_cells(arrays[at], as_texts=as_texts, decimal=decimal)
                cells.append(one._replace(typed=at in numbers))
            else:
                constant = constants[at - len(arrays)]
                cells.append(Texts(np.zeros(len(arrays[0]), dtype=np.int32), [constant]))
        return cells

    pending = deque[Future[list[Cells]]]()
    workers = cpu_count()
    with ThreadPoolExecutor(workers) as pool:
        for block in blocks:
            pending.append(pool.submit(convert, block))
            if len(pending) > workers + _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
