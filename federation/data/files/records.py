"""Read the records of a table as texts, row by row, or say where that stops.

Messages name columns, rows and lines but never a value: logs travel, rows do not.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from client_code.protocol.cells import number, text_of
from federation.data.files.blocks import LONGEST_ROW, Block
from federation.data.files.decimals import with_point
from federation.data.files.folder import TableFile, find_tables
from federation.data.files.kinds import kind_of, refuse_other_content
from federation.data.files.text import Format, Text, opened, text_of_file, undecodable
from federation.data.files.typed import typed_blocks
from federation.errors import DataError, MissingFileError
from federation.words import meant, some

Record = tuple[int, list[str]]
"""The line that a row begins on (in other files than texts its number), and its texts."""

AS_WRITTEN = Format()
_EXCEL = re.compile(r"sep=.?", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}")


class Part(NamedTuple):
    """One file of a table, its cells as texts.

    Parameters
    ----------
    path : Path
        Where it is.
    text : Text
        How it is written, if it is text.
    header : list of str
        Its columns.
    records : iterator of Record
        Its rows.
    numbers : set of str
        Columns of numbers by their type, which have no notation.
    """

    path: Path
    text: Text
    header: list[str]
    records: Iterator[Record]
    numbers: frozenset[str]


def parts_of(path: Path, form: Format = AS_WRITTEN) -> Iterator[Part]:
    """Yield the files of a table one after the other; parameters and errors as of `open_file`."""
    files, first = find_tables(path).files, list[str]()
    for file in files:
        with open_file(file, form, as_written=True) as part:
            first = first or part.header
            check_alike(file.path, part.header, files[0].path, first)
            yield part


@contextmanager
def open_file(file: TableFile, form: Format, *, as_written: bool = False) -> Iterator[Part]:
    """Open one file of a table; in CSV, blank lines, and blanks around names, do not count.

    Parameters
    ----------
    file : TableFile
        Its folders' columns come last.
    form : Format
        How text files are written.
    as_written : bool
        Whether decimal commas stay, instead of becoming points.

    Raises
    ------
    MissingFileError
        If there is no such file, or it cannot be read.
    DataError
        If it is no well-formed table; names the line on which the bad row begins.
    """
    path, extra = file.path, list(file.partition.values())
    refuse_other_content(path)
    kind, text = kind_of(path), text_of_file(path, form)
    if kind == "csv":
        with _csv(path, replace(text, decimal=".") if as_written else text) as (names, records):
            header = check_header(path, names, file.partition)
            wider = ((line, [*row, *extra]) for line, row in _rows(path, records, len(names)))
            yield Part(path, text, header, wider, frozenset())
    else:
        names, blocks, numbers = typed_blocks(path, kind, text)
        header = check_header(path, names, file.partition)
        rows = _rows(path, ((at, [*row, *extra]) for at, row in _rows_of(blocks)), len(header))
        yield Part(path, text, header, rows, frozenset(header[at] for at in numbers))


def _rows_of(blocks: Iterator[Block]) -> Iterator[Record]:
    columns = ([[text_of(cell) for cell in column.to_pylist()] for column in block()] for block in blocks)
    rows = chain.from_iterable(zip(*block, strict=True) for block in columns)
    return ((at, list(row)) for at, row in enumerate(rows, start=1))


@contextmanager
def _csv(path: Path, text: Text) -> Iterator[tuple[list[str], Iterator[Record]]]:
    begins = 1
    try:
        with opened(path, text) as file:
            lines = io.TextIOWrapper(file, "utf-8-sig", newline="")
            reader = csv.reader(_bounded(lines), delimiter=text.separator, strict=True, skipinitialspace=True)

            def numbered() -> Iterator[Record]:
                nonlocal begins
                begins = reader.line_num + 1
                for row in reader:
                    yield begins, row if text.decimal == "." else [with_point(cell) for cell in row]
                    begins = reader.line_num + 1

            yield [name.strip() for name in next(reader, [])], numbered()
    except UnicodeError as error:
        raise undecodable(path, text, begins) from error
    except csv.Error as error:
        raise DataError(
            f"{path}, the row that begins on line {begins}: not CSV ({_what_is_wrong(error)}).",
            "Check its quotes: one that is opened must be closed, and one within a value doubled.",
        ) from error
    except EOFError as error:
        raise DataError(f"{path}: cut off.", "Check that the file is complete.") from error
    except OSError as error:
        raise MissingFileError(
            f"{path}: cannot be read ({error.strerror or error}).",
            "Check its permissions, and that it is complete.",
        ) from error


def _what_is_wrong(error: csv.Error) -> str:
    """Return what the library says, in a user's words where it speaks of its own limits."""
    said = str(error)
    if "field limit" in said:
        return f"a value of more than {csv.field_size_limit():,} characters: a quote before it is not closed"
    return "a quote is never closed" if "unexpected end" in said else said


def _bounded(lines: io.TextIOWrapper) -> Iterator[str]:
    """Yield lines, unless one has no end: it would be held whole in memory."""
    while line := lines.readline(LONGEST_ROW + 1):
        if len(line) > LONGEST_ROW:
            raise csv.Error(f"a line longer than {LONGEST_ROW >> 20} MiB")
        yield line


def near(name: str, names: Sequence[str]) -> str:
    """Say which of `names` a mistyped `name` may have meant, or which there are, if they are no values."""
    if said := meant(name, names, 3):
        return said
    if _may_be_values(names):
        return f"Check that the names of its {len(names)} columns stand in the first line."
    if len(names) == 1:
        return (
            f'The only column is "{names[0]}": commas, semicolons, tabs or vertical bars must stand between '
            "values."
        )
    first = ", ".join(f'"{other}"' for other in names[:5])
    return f"The {len(names)} columns are {first}{', ...' if len(names) > 5 else ''}."  # noqa: PLR2004 - the 5 above


def _may_be_values(names: Sequence[str]) -> bool:
    """Return whether a header looks like a row of values, which no message shows."""
    return any(number(name) is not None or _DATE.match(name) for name in names)


def check_header(path: Path, names: Sequence[str], partition: Mapping[str, str]) -> list[str]:
    """Return the names of a file's columns and its folders', if they can be told apart.

    Raises
    ------
    DataError
        There are none, one is empty, or two are the same.
    """
    header = [name.strip() for name in names]
    if header and _EXCEL.fullmatch(header[0]) and not any(header[1:]):
        raise DataError(
            f"{path}: the first line tells Excel the separator, and is no header.", "Remove this line."
        )
    if not any(header):
        raise DataError(
            f"{path}: no header in the first line.", "Save the table with its column names first."
        )
    if "" in header:
        raise _without_name(path, header)
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        named = ", ".join(f'"{name}"' for name in repeated)
        if _may_be_values(header):
            named = f"{len(repeated)} of its columns"
        places = some([str(at) for at, name in enumerate(header, start=1) if name in repeated])
        raise DataError(
            f"{path}: the header names {named} more than once, in columns {places}.",
            "Give each column its own name.",
        )
    if both := [name for name in partition if name in header]:
        raise DataError(
            f'{path}: its folder names the column "{both[0]}", which it has itself.',
            "Remove it from the file, or rename the folder.",
        )
    return [*header, *partition]


def _without_name(path: Path, header: Sequence[str]) -> DataError:
    """Return the error of a header with names that are empty, by what that is a sign of."""
    empty = [at for at, name in enumerate(header, start=1) if not name]
    first, named = empty[0], len(header) - len(empty)
    if first > named and (named > 1 or len(empty) == 1):  # behind all names
        return DataError(
            f"{path}: column {first} has no name, nor has any after it: lines end with a separator.",
            "Remove the separators at the ends of all lines, or name the columns.",
        )
    if len(empty) > 1:
        return DataError(
            f"{path}, line 1: {len(empty)} of {len(header)} columns have no name, first column {first}: "
            "a title, or the upper one of two lines of names.",
            "Keep one line of names, that of every column, and nothing above it.",
        )
    if first == 1:
        return DataError(
            f"{path}: the first column has no name, as the index that pandas writes.",
            "Write the table without its index: to_csv(PATH, index=False). If it is data, name it.",
        )
    return DataError(f"{path}: column {first} has no name.", "Name it in the header.")


def check_alike(file: Path, own: Sequence[str], first: Path, header: Sequence[str]) -> None:
    """Refuse a folder whose files do not make one table."""
    if sorted(own) != sorted(header):
        odd = ", ".join(f'"{name}"' for name in sorted(set(own) ^ set(header))[:5])
        if _may_be_values([*own, *header]):
            odd = "check that their first lines are headers"
        raise DataError(
            f"{file} and {first.name} have different columns: {odd}.", "Give all files the same columns."
        )


def without_rows(path: Path) -> DataError:
    """Return the error of a file that has nothing but names."""
    return DataError(f"{path}: a header without rows.", "Check that the export is complete.")


def _odd_rows(numbered: Iterator[Record], width: int) -> int:
    """Count the rows that are too short or too long, as far as the file can be read."""
    count = 0
    with suppress(csv.Error, UnicodeError, OSError, EOFError):
        for _, row in numbered:
            count += bool(row) and len(row) != width
    return count


def _rows(path: Path, numbered: Iterator[Record], width: int) -> Iterator[Record]:
    empty = True
    for line, row in numbered:
        if not row:
            continue
        if len(row) != width:
            others = _odd_rows(numbered, width)
            more = f", the first of {others + 1} such rows" if others else ""
            raise DataError(
                f"{path}, line {line}: {len(row)} values under {width} column names{more}.",
                "Remove what stands above the line of names, or quote values that hold a separator."
                if width == 1
                else "Quote values that hold a separator, close every quote, give every row all its values, "
                "and remove lines that are no rows, such as notes.",
            )
        empty = False
        yield line, row
    if empty:
        raise without_rows(path)
