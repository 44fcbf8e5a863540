"""Rows that need not fit into memory: read in blocks, as often as wanted, from Parquet or CSV.

A block is an array (d + 1, m): a column of the table is a row of it, contiguous as in Parquet; the label
comes last. Memory is that of a few blocks, however many rows there are. Rows of CSV, once decoded, are kept
in a nameless scratch file, if the disk has room, for the passes that follow; Parquet is read again, which is
faster than writing that file.
"""

import os
import re
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from errors import RowsChangedError, TableError
from parquet import as_floats
from protocol.cells import is_missing, spellings

Floats = NDArray[np.float64]
T = TypeVar("T")
R = TypeVar("R")
Reader = tuple[tuple[int, int], Callable[[], Floats]]

BLOCK_VALUES = 1 << 19  # 4 MB: a block and its square root weights stay in a processor's cache
BATCH_VALUES = 1 << 21  # decoded from Parquet at a time: each start in all columns takes its time
SPARE_BYTES = 1 << 30  # of disk, left alone
CSV_BYTES = 4 << 20  # read at a time
MISSING = "a value is missing, and rows that are read in blocks need all"
NOT_FINITE = "not a finite number"
AHEAD = 8  # blocks that wait for a core: all of a batch and more, or cores would wait for the next one


with suppress(NotImplementedError):  # not in every build; it needs 100 MB less here than the usual one
    pa.set_memory_pool(pa.jemalloc_memory_pool())


class Rows:
    """A file of rows, read anew for each pass.

    Parameters
    ----------
    path : Path
        A ``.parquet`` file, or else a CSV file with a header.
    label : str
        Its label column.
    features : tuple of str, optional
        The other columns, in the order wanted; None: as they are in the file.

    Attributes
    ----------
    features : tuple of str
        The d feature columns, in the order of a block's rows.
    is_text : bool
        Whether reading it again takes longer than a decoded copy on disk.

    Raises
    ------
    TableError
        The file is not there, not a table, or lacks a column.
    """

    def __init__(self, path: Path, label: str, features: tuple[str, ...] | None = None) -> None:
        if not path.is_file():
            raise TableError(
                f'there is no "{path.name}" in the training channel. Publish the prepared data again.'
            )
        self.path, self.label = path, label
        self.is_text = path.suffix != ".parquet"
        self._read = _csv if self.is_text else _parquet
        self._seen = _fingerprint(path)
        names = _column_names(path)
        if len(set(names)) != len(names):
            raise TableError(f"{path.name} repeats a column name.")
        if label not in names:
            raise TableError(f'{path.name} has no label column "{label}".')
        found = tuple(name for name in names if name != label)
        if not found:
            raise TableError(f'{path.name} has no column besides the label "{label}".')
        self.features = found if features is None else features
        if differing := sorted(set(found) ^ set(self.features)):
            raise TableError(f"{path.name} has other columns than the training rows: {', '.join(differing)}.")

    def ordered(self, features: tuple[str, ...]) -> "Rows":
        """Return the same rows with their columns in another order."""
        return self if features == self.features else Rows(self.path, self.label, features)

    def blocks(self) -> Iterator[Floats]:
        """Yield all rows, checked: finite features, and a label that is 0 or 1.

        Raises
        ------
        TableError
            A value cannot be used; says which column and row, never the value.
        RowsChangedError
            The file is not what it was, or is cut off.
        """
        return (read() for _, read in self.readers())

    def readers(self) -> Iterator[Reader]:
        """Yield the shape of each block and what makes it, to be called in any thread; else as `blocks`."""
        columns, first = [*self.features, self.label], 1
        most = max(1024, BLOCK_VALUES // len(columns))
        schema = pa.schema([(name, pa.float64()) for name in columns])
        self._check_unchanged()
        for batch in self._read(self.path, columns):
            numbers = pa.RecordBatch.from_arrays([as_floats(batch[name]) for name in columns], schema=schema)
            for start in range(0, numbers.num_rows, most):
                part = numbers.slice(start, most)
                yield (len(columns), part.num_rows), partial(self._block, part, first)
                first += part.num_rows
        self._check_unchanged()
        if first == 1:
            raise TableError(f"{self.path.name} has no rows.")

    def _block(self, part: pa.RecordBatch, first: int) -> Floats:
        block = _decoded(part)
        self._check(block, first)
        return block

    def _check(self, block: Floats, first: int) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            suspect = not np.isfinite(block[:-1].sum())
        if suspect:
            exact = np.isfinite(block[:-1])  # a sum may overflow where no value does
            if not exact.all():
                column = int(np.argmin(exact.all(axis=1)))
                row = first + int(np.argmin(exact[column]))
                name = self.features[column]
                problem = MISSING if np.isnan(block[column, row - first]) else NOT_FINITE
                raise TableError(f'{self.path.name}: column "{name}", data row {row}: {problem}.')
        if not ((block[-1] == 0) | (block[-1] == 1)).all():
            raise TableError(f'{self.path.name}: the label "{self.label}" holds values other than 0 and 1.')

    def _check_unchanged(self) -> None:
        try:
            same = _fingerprint(self.path) == self._seen
        except OSError:
            same = False
        if not same:
            raise RowsChangedError(
                f"{self.path.name} changed while it was in use. Publish it, then start again."
            )


def _fingerprint(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _column_names(path: Path) -> list[str]:
    try:
        if path.suffix == ".parquet":
            schema = pa.parquet.read_schema(path)
            for field in schema:
                if not _is_number(field.type):
                    raise TableError(f'{path.name}: column "{field.name}" holds {field.type}, not numbers.')
            return list(schema.names)
        with path.open("rb") as file:
            header = file.readline()
        return list(
            pa.csv.read_csv(pa.BufferReader(header), pa.csv.ReadOptions(use_threads=False)).schema.names
        )
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path.name} is not a table, or is cut off ({type(error).__name__}).") from error


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return any(test(kind) for test in tests)


def _parquet(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    rows = max(1024, BATCH_VALUES // len(columns))
    try:
        # Not the whole row group at once: it may have any size.
        with pa.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 16) as file:
            # One thread: the others work on the batches before.
            yield from file.iter_batches(batch_size=rows, columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise RowsChangedError(f"{path.name} cannot be read to its end ({type(error).__name__}).") from error


def _csv(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    types = dict.fromkeys(columns, pa.float64())
    try:
        with pa.csv.open_csv(
            path,
            pa.csv.ReadOptions(block_size=CSV_BYTES, use_threads=False),  # else errors do not tell the row
            convert_options=pa.csv.ConvertOptions(
                column_types=types, include_columns=columns, null_values=spellings()
            ),
        ) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        raise TableError(f"{path.name}: {_located(str(error), _column_names(path))}") from error
    except OSError as error:
        raise RowsChangedError(f"{path.name} cannot be read to its end ({type(error).__name__}).") from error


def _located(message: str, names: list[str]) -> str:
    """Return what pyarrow says without the value that it quotes."""
    if found := re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message):
        row, expected, got = found.groups()
        return f"data row {int(row) - 1} has {got} values instead of {expected}. Is the file cut off?"
    column = re.search(r"In CSV column #(\d+)", message)
    row_ = re.search(r"Row #(\d+)", message)
    where = f'column "{names[int(column.group(1))]}"' if column else "a column"
    value = re.search(r"invalid value '(.*)'", message, re.DOTALL)
    problem = MISSING if value and is_missing(value.group(1)) else NOT_FINITE
    return f"{where}{f', data row {int(row_.group(1)) - 1}' if row_ else ''}: {problem}."


def _decoded(batch: pa.RecordBatch) -> Floats:
    """Return a copy of a batch of float64 as a block; a missing value becomes NaN, which the check names."""
    block: Floats = batch.to_tensor(null_to_nan=True, row_major=False).to_numpy().T
    return block


class Scratch:
    """Blocks kept on disk, in a file without a name: it is gone with the process, however that ends."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this object
        self._blocks: list[tuple[int, tuple[int, int]]] = []
        self._end = 0
        self.complete = True

    def place(self, shape: tuple[int, int]) -> int:
        """Return where the next block goes, of this shape; to be called in the blocks' order."""
        start, self._end = self._end, self._end + 8 * shape[0] * shape[1]
        self._blocks.append((start, shape))
        return start

    def write(self, start: int, block: Floats) -> None:
        """Keep a block at its place, from any thread; once one has no room, the copy is not ``complete``."""
        if not self.complete:
            return
        try:
            room = shutil.disk_usage(tempfile.gettempdir()).free >= SPARE_BYTES + block.nbytes
            written = os.pwrite(self._file.fileno(), block.data.cast("B"), start) if room else 0
        except OSError:
            written = 0
        if written < block.nbytes:
            self.complete = False

    def readers(self) -> Iterator[Reader]:
        """Return the shape of each block and what reads it."""
        return ((shape, partial(self._block, start, shape)) for start, shape in self._blocks)

    def _block(self, start: int, shape: tuple[int, int]) -> Floats:
        block = np.empty(shape)
        if os.preadv(self._file.fileno(), [block.data.cast("B")], start) != block.nbytes:
            raise RowsChangedError("the scratch copy of the rows is cut off. Is the disk full?")
        return block

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def __del__(self) -> None:
        self.close()


def in_order(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield ``function`` of each item, computed by all cores, in the items' order.

    The next items are made while the last are worked on, a few ahead and no more: then this thread works too.
    As results come in the items' order and every core calls its BLAS alone, sums do not depend on how many
    cores there are.
    """
    workers = max(1, cores() - 1)
    most = workers + AHEAD
    pending: deque[Future[R]] = deque()
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > most and pending[-1].cancel():
                pending[-1] = _computed(function, item)
            while pending and (pending[0].done() or len(pending) > 2 * most):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def cores() -> int:
    """Return how many cores this process may use; macOS tells only how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _computed(function: Callable[[T], R], item: T) -> Future[R]:
    """Return a future that has its result, or its error."""
    future: Future[R] = Future()
    try:
        future.set_result(function(item))
    except Exception as error:  # noqa: BLE001 - kept for its turn
        future.set_exception(error)
    return future
