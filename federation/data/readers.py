"""Read the records of CSV and Parquet files, or folders of them, as texts, or say where that stops.

Messages name columns, rows and lines but never a value: logs travel, rows do not.
"""

import csv
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client_code.protocol.cells import text_of
from federation.errors import DataError, MissingFileError

_BATCH = 4096
Record = tuple[int, list[str]]
"""The line that a row begins on, and its texts."""


@contextmanager
def open_records(path: Path) -> Iterator[tuple[list[str], Iterator[Record]]]:
    """Open a table as its header and an iterator of its rows.

    Parameters
    ----------
    path : Path
        A UTF-8 CSV file (with or without a byte-order mark), separated by commas; blank lines, and blanks
        around names, do not count. Or a ``.parquet`` file, or a folder of both, read by name, whose files
        have the same columns.

    Raises
    ------
    MissingFileError
        If there is no such file, or it cannot be read.
    DataError
        If a file is no well-formed table; names the line on which the bad row begins.
    """
    if path.is_dir():
        with _folder(path) as records:
            yield records
        return
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file.", "Check the path.")
    opened = _parquet if is_parquet(path) else _csv
    with opened(path) as records:
        yield records


def table_files(folder: Path) -> list[Path]:
    """Return the tables in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".csv", ".parquet"))


def tables_of(path: Path) -> list[Path]:
    """Return the files that a table is made of, by name.

    Raises
    ------
    MissingFileError
        There is none.
    """
    if not path.is_dir():
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file.", "Check the path.")
        return [path]
    if not (files := table_files(path)):
        raise MissingFileError(f"{path}: no CSV or Parquet file is there.", "Name a table.")
    return files


def is_parquet(path: Path) -> bool:
    """Return whether a file is Parquet, by its name."""
    return path.suffix == ".parquet"


def different_columns(file: Path, own: Sequence[str], first: Path, header: Sequence[str]) -> DataError:
    """Return the error of a folder whose files do not make one table."""
    odd = ", ".join(f'"{name}"' for name in sorted(set(own) ^ set(header))[:5])
    return DataError(f"{file} and {first.name} have different columns: {odd}.", "Give all files the same.")


def without_rows(path: Path) -> DataError:
    """Return the error of a file that has nothing but names."""
    return DataError(f"{path}: a header without rows.", "Check that the export is complete.")


@contextmanager
def refuse_parquet(path: Path) -> Iterator[None]:
    """Say which file pyarrow could not read."""
    from pyarrow import ArrowException  # noqa: PLC0415 - a tenth of a second that CSV files do not need

    try:
        yield
    except (ArrowException, OSError) as error:
        raise DataError(
            f"{path}: not a Parquet file, or cut off.", "Check that the export is complete."
        ) from error


@contextmanager
def _folder(folder: Path) -> Iterator[tuple[list[str], Iterator[Record]]]:
    files = tables_of(folder)
    with open_records(files[0]) as (header, _):
        pass

    def rows() -> Iterator[Record]:
        for file in files:
            with open_records(file) as (own, records):
                if sorted(own) != sorted(header):
                    raise different_columns(file, own, files[0], header)
                order = [own.index(name) for name in header]
                yield from ((line, [row[at] for at in order]) for line, row in records)

    yield header, rows()


@contextmanager
def _parquet(path: Path) -> Iterator[tuple[list[str], Iterator[Record]]]:
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - a tenth of a second that CSV files do not need

    with refuse_parquet(path), ParquetFile(path) as file:
        header = check_header(path, list(map(str, file.schema_arrow.names)))
        batches = file.iter_batches(batch_size=_BATCH)
        rows = (row for batch in batches for row in zip(*map(_as_texts, batch.columns), strict=True))
        yield header, _rows(path, ((at, list(row)) for at, row in enumerate(rows, start=1)), len(header))


def _as_texts(column: Any) -> list[str]:  # noqa: ANN401 - pyarrow has no types
    return [text_of(value) for value in column.to_pylist()]


@contextmanager
def _csv(path: Path) -> Iterator[tuple[list[str], Iterator[Record]]]:
    begins = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)

            def numbered() -> Iterator[Record]:
                nonlocal begins
                begins = reader.line_num + 1
                for row in reader:
                    yield begins, row
                    begins = reader.line_num + 1

            header = check_header(path, [name.strip() for name in next(reader, [])])
            yield header, _rows(path, numbered(), len(header))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, at or after line {begins}: not UTF-8 text.", "Save it as CSV in UTF-8, all of it."
        ) from error
    except csv.Error as error:
        raise DataError(
            f"{path}, the row that begins on line {begins}: not CSV ({error}).",
            "Check its quotes: one that is opened must be closed, and one within a value doubled.",
        ) from error
    except OSError as error:
        raise MissingFileError(
            f"{path}: cannot be read ({error.strerror}).", "Check its permissions."
        ) from error


def near(name: str, names: Sequence[str]) -> str:
    """Say which of `names` a mistyped `name` may have meant, or which there are."""
    of_lower = {other.lower(): other for other in names}
    if close := difflib.get_close_matches(name.lower(), of_lower, n=3):
        return "Did you mean " + " or ".join(f'"{of_lower[match]}"' for match in close) + "?"
    first = ", ".join(f'"{other}"' for other in names[:5])
    return f"The {len(names)} columns are {first}{', ...' if len(names) > 5 else ''}."  # noqa: PLR2004 - the 5 above


def check_header(path: Path, header: list[str]) -> list[str]:
    """Return the names of columns if they can be told apart, else raise a DataError."""
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


def _rows(path: Path, numbered: Iterator[Record], width: int) -> Iterator[Record]:
    empty = True
    for line, row in numbered:
        if not row:
            continue
        if len(row) != width:
            raise DataError(
                f"{path}, line {line}: {len(row)} values under {width} column names.",
                "Quote values that hold a comma, close every quote, and give every row all its values.",
            )
        empty = False
        yield line, row
    if empty:
        raise without_rows(path)
