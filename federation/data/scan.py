"""Read a table once: every column whole, and the digest of the bytes. What is in them, others find out."""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from federation.data.blocks import (
    ROWS,
    Block,
    Digest,
    UnusualError,
    csv_blocks,
    csv_header,
    parquet_blocks,
)
from federation.data.readers import (
    Record,
    check_header,
    different_columns,
    is_parquet,
    open_records,
    refuse_parquet,
    tables_of,
    without_rows,
)
from federation.data.whole import Cells, Column, convert_cells

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
    """

    path: Path
    header: tuple[str, ...]
    columns: dict[str, Column]
    files: list[File]
    sha256: str

    @property
    def rows(self) -> int:
        """Count the rows."""
        return sum(file.rows for file in self.files)

    def where(self, row: int) -> tuple[Path, str]:
        """Return the file of a row (from 0), and the words that locate it there."""
        for file in self.files:
            if row < file.rows:
                return file.path, _place(file.path, row)
            row -= file.rows
        raise IndexError(row)


def _place(file: Path, row: int) -> str:
    if file.suffix.lower() == ".parquet":
        return f"data row {row + 1}"
    with open_records(file) as (_, records):
        line, _ = next(islice(records, row, None))
    return f"data row {row + 1} (line {line})"


def scan(path: Path, *, texts: Collection[str] = (), only: Collection[str] | None = None) -> Scan:
    """Read a table once.

    Parameters
    ----------
    path : Path
        A file, or a folder of them, as in `open_records`.
    texts : collection of str
        Columns whose cells are kept as texts, also where they are numbers.
    only : collection of str, optional
        Columns to keep; all of them unless given.

    Raises
    ------
    MissingFileError, DataError
        As `open_records`.
    """
    digest, files = Digest(), list[File]()
    header, columns = list[str](), dict[str, Column]()
    for file in tables_of(path):

        def choose(own: list[str], file: Path = file) -> dict[int, bool]:
            if not files:
                header.extend(own)
                columns.update((name, Column()) for name in own if only is None or name in only)
            elif sorted(own) != sorted(header):
                raise different_columns(file, own, files[0].path, header)
            return {own.index(name): name in texts for name in columns}

        rows = 0
        for cells in _cells_of(file, digest, choose):
            for column, part in zip(columns.values(), cells, strict=True):
                column.add(part)
            rows += len(cells[0][0])
        if not rows:
            raise without_rows(file)
        files.append(File(file, rows))
    return Scan(path, tuple(header), columns, files, digest.hexadecimal)


def _cells_of(
    path: Path, digest: Digest, choose: Callable[[list[str]], dict[int, bool]]
) -> Iterator[list[Cells]]:
    """Yield the cells of a file, block by block, in the columns that its header makes one choose."""
    digest.begin(path)
    if is_parquet(path):
        with refuse_parquet(path):
            names, blocks = parquet_blocks(path)
            yield from _converted(blocks, choose(check_header(path, names)))
        digest.whole()
        return
    rows, wanted = 0, dict[int, bool]()
    try:
        with path.open("rb") as file:
            header = csv_header(file, digest)
            wanted = choose(check_header(path, [name.strip() for name in header]))
            for cells in _converted(csv_blocks(file, len(header), digest), wanted):
                rows += len(cells[0][0])
                yield cells
    except (UnusualError, OSError):
        digest.whole()
        with open_records(path) as (header, records):
            wanted = wanted or choose(header)
            yield from _converted(_blocks_of(islice(records, rows, None)), wanted)


def _blocks_of(records: Iterator[Record]) -> Iterator[Block]:
    import pyarrow as pa  # noqa: PLC0415 - a tenth of a second that commands without tables do not need

    while chunk := [row for _, row in islice(records, ROWS)]:
        columns = [pa.array(column, pa.string()) for column in zip(*chunk, strict=True)]
        yield partial(list, columns)


def _converted(blocks: Iterator[Block], wanted: Mapping[int, bool]) -> Iterator[list[Cells]]:
    """Convert blocks on every core, and yield what comes of them in their order."""

    def convert(block: Block) -> list[Cells]:
        arrays = block()
        return [convert_cells(arrays[at], as_texts=as_texts) for at, as_texts in wanted.items()]

    pending = deque[Future[list[Cells]]]()
    workers = _cores()
    with ThreadPoolExecutor(workers) as pool:
        for block in blocks:
            pending.append(pool.submit(convert, block))
            if len(pending) > workers + _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _cores() -> int:
    """Return how many cores this process may use; macOS tells only how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
