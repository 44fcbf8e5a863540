"""Read the records of a CSV file as texts, or say on which line it stops being one.

Messages name columns, rows and lines but never a value: logs travel, rows do not.
"""

import csv
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from federation.errors import DataError, MissingFileError

Record = tuple[int, list[str]]
"""The line that a row begins on, and its texts."""


@contextmanager
def open_records(path: Path) -> Iterator[tuple[list[str], Iterator[Record]]]:
    """Open a CSV file as its header and an iterator of its rows.

    Parameters
    ----------
    path : Path
        A UTF-8 file (with or without a byte-order mark), separated by commas. Blank lines, and blanks around
        names, do not count.

    Raises
    ------
    MissingFileError
        If there is no such file, or it cannot be read.
    DataError
        If the file is no well-formed CSV; names the line on which the bad row begins.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file.", "Check the path.")
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

            header = _header(path, [name.strip() for name in next(reader, [])])
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
        raise DataError(f"{path}: a header without rows.", "Check that the export is complete.")
