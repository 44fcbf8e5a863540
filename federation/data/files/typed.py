"""Read tables that are no CSV, as blocks of Arrow arrays: Parquet, JSON lines, Excel, SAS, Stata, SPSS.

What reads them keeps what stands there: codes are no labels, ``02139`` is no number, and the missing values
that a survey declared are missing.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from importlib import import_module
from itertools import chain
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import ZipFile

from client_code.protocol.cells import text_of
from federation.data.files.blocks import LONGEST_ROW, ROWS, Block
from federation.data.files.kinds import Kind
from federation.data.files.text import Text, opened, undecodable
from federation.errors import DataError, ExtraMissingError

if TYPE_CHECKING:
    import pyarrow as pa

_XML = 1 << 20
_NO_RESULT = re.compile(
    rb"<(\w+:)?f(\s[^>]*)?(/>|>[^<]*</(\w+:)?f>)(?!\s*<(\w+:)?v(\s[^>]*)?>[^<])"  # formula, no value
)
_DIGIT = re.compile(r"\d")
_XPORT, _XPORT_RECORD = "read_xport", 80
_BYTES = 1 << 16  # of each column, read at a time


class Opened(NamedTuple):
    """A table as blocks.

    Parameters
    ----------
    names : list of str
        Of the columns, as they stand there.
    blocks : iterator of Block
        The rows.
    numbers : set of int
        Positions of the columns in which what has digits is a number, and no text: such have no notation.
    """

    names: list[str]
    blocks: Iterator[Block]
    numbers: frozenset[int] = frozenset()


def typed_blocks(path: Path, kind: Kind, text: Text) -> Opened:
    """Return the columns of a table.

    Raises
    ------
    DataError
        It is no such table, or is cut off; also while the blocks are made.
    ExtraMissingError
        What reads it is not installed.
    """
    return _OPEN[kind](path, text)


def _parquet(path: Path, _text: Text) -> Opened:
    from pyarrow import ArrowException, types  # noqa: PLC0415 - a tenth of a second that commands without tables do not need
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    broken = DataError(f"{path}: not a Parquet file, or cut off.", "Check that the export is complete.")

    def blocks() -> Iterator[Block]:
        try:
            with ParquetFile(path, buffer_size=_BYTES) as file:  # else whole row groups, of any size
                for batch in file.iter_batches(batch_size=ROWS):
                    yield partial(_readable, path, batch)
        except (ArrowException, OSError) as error:
            raise broken from error

    try:
        with ParquetFile(path) as file:
            schema = file.schema_arrow
            tests = (types.is_integer, types.is_floating, types.is_decimal)
            numbers = [at for at, one in enumerate(schema.types) if any(test(one) for test in tests)]
            return Opened([str(name) for name in schema.names], blocks(), frozenset(numbers))
    except (ArrowException, OSError, UnicodeError) as error:
        raise broken from error


def _readable(path: Path, batch: "pa.RecordBatch") -> "list[pa.Array]":
    """Return the columns of a batch, if Python has all their values."""
    import pyarrow as pa  # noqa: PLC0415 - as above
    import pyarrow.compute as pc  # noqa: PLC0415

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
            if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
                pc.min_max(column).as_py()
            elif pa.types.is_nested(column.type) or pa.types.is_duration(column.type):
                column.to_pylist()
        except (pa.ArrowException, UnicodeError, OverflowError):  # they may show a value
            raise DataError(
                f'{path}: column "{name}" holds texts that are not UTF-8, or times outside years 1 to 9999.',
                "Correct these values, or leave the column out.",
            ) from None
    columns: list[pa.Array] = batch.columns
    return columns


def _json_lines(path: Path, text: Text) -> Opened:
    columns: dict[str, list[str]] = {}
    for before, record in enumerate(_records(path, text)):
        for name, value in record.items():
            columns.setdefault(name, [""] * before).append(value)
        for cells in columns.values():
            if len(cells) == before:
                cells.append("")
    texts = list(columns.values())
    return Opened(list(columns), _blocks_of_texts(texts), _numbers(texts))


def _records(path: Path, text: Text) -> Iterator[dict[str, str]]:
    number = 1
    try:
        with opened(path, text) as file:
            while line := file.readline(LONGEST_ROW + 1):
                if len(line) > LONGEST_ROW:
                    raise DataError(
                        f"{path}, line {number}: longer than {LONGEST_ROW >> 20} MiB.",
                        "Give every row a line of its own.",
                    )
                if line.strip():
                    yield _record(path, number, line.decode("utf-8-sig"))
                number += 1
    except UnicodeError as error:
        raise undecodable(path, text, number) from error
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read to its end.", "Check that the file is complete.") from error


def _record(path: Path, number: int, line: str) -> dict[str, str]:
    """Return the texts of a line; no error shows the line, as those of the library do."""
    try:
        record = json.loads(
            line,
            parse_float=_JsonNumber,
            parse_int=_JsonNumber,
            parse_constant=_JsonNumber,
            object_pairs_hook=_different,
        )
        if isinstance(record, dict):
            texts = {name: _json_text(value) for name, value in record.items()}
            "".join(chain(texts, texts.values())).encode()
            return texts
    except json.JSONDecodeError:
        problem, remedy = "not JSON", "Give every line one whole JSON object, as jq -c does."
    except _TwiceError:
        problem, remedy = "gives a name two values", "Give every name one value."
    except UnicodeEncodeError:
        problem, remedy = "holds half of a character (\\ud800 to \\udfff)", "Write both halves, or none."
    except RecursionError:
        problem, remedy = "nested too deeply", "Give every row names and values."
    else:
        problem, remedy = "not a JSON object", "Give every line one object, with names and values."
        if isinstance(record, list):
            problem, remedy = "a JSON array", "Write each of its objects on a line, as jq -c '.[]' does."
    raise DataError(f"{path}, line {number}: {problem}.", remedy)


class _JsonNumber(str):
    """A number, as it stands there."""

    __slots__ = ()


class _TwiceError(Exception):
    """A name stands twice in an object."""


def _different(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError
    return found


def _json_text(value: object) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, _JsonNumber) else text_of(value)


def _excel(path: Path, _text: Text) -> Opened:
    workbooks = _library("openpyxl", path)
    try:
        with closing(workbooks.load_workbook(path, read_only=True, data_only=True)) as book:
            sheets = [rows for sheet in book.worksheets if (rows := _sheet(sheet))]
            unknown = _unknown_results(workbooks, path, book) if _may_lack_results(path) else 0
    except Exception as error:  # the library raises whatever its parts raise
        raise DataError(
            f"{path}: not an Excel workbook, or damaged.", "Check that it opens in Excel, and save it again."
        ) from error
    if unknown:
        raise DataError(
            f"{path}: formulas that were never calculated: {unknown}.",
            "Open it in Excel and save it again, or write values in the place of formulas.",
        )
    if len(sheets) > 1:
        raise DataError(
            f"{path}: {len(sheets)} of its sheets hold cells.",
            "Keep the sheet of the table only, or save it as CSV.",
        )
    if not sheets:
        return Opened([], iter(()))
    header, *rows = sheets[0]
    _refuse_beyond(path, header, rows)
    cells = [[row[at] for row in rows] for at in range(len(header))]
    texts = [list(map(text_of, column)) for column in cells]
    return Opened([text_of(name).strip() for name in header], _blocks_of_texts(texts), _numbers(cells))


def _refuse_beyond(path: Path, header: tuple[Any, ...], rows: list[tuple[Any, ...]]) -> None:
    """Refuse rows that are longer than a line of names: in a sheet all of them have its width."""
    named = [at for at, name in enumerate(header, start=1) if text_of(name).strip()]
    if len(named) < 2 or named[-1] == len(header):  # noqa: PLR2004 - one name is a title
        return
    odd = [at for at, row in enumerate(rows, start=1) if any(map(text_of, row[named[-1] :]))]
    if odd:
        more = f", the first of {len(odd)} such rows" if odd[1:] else ""
        raise DataError(
            f"{path}, data row {odd[0]}: a value to the right of the last name, in column {named[-1]}{more}.",
            "Name its column in the first row, or remove what stands there.",
        )


def _sheet(sheet: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - openpyxl has no types
    """Return the rows of a sheet, without what is empty around them."""
    sheet.reset_dimensions()  # the file may tell fewer than it holds
    rows = [row for row in sheet.iter_rows(values_only=True) if any(value is not None for value in row)]
    width = max((at + 1 for row in rows for at, value in enumerate(row) if value is not None), default=0)
    return [(*row[:width], *[None] * (width - len(row))) for row in rows]


def _may_lack_results(path: Path) -> bool:
    """Return whether a formula in a workbook is not followed by a result that is not empty."""
    with ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                rest = b""
                while part := file.read(_XML):
                    rest += part
                    end = rest.rfind(b"row>") + 1  # of a row of cells, whatever the prefix of its element
                    if _NO_RESULT.search(rest, 0, end):
                        return True
                    rest = rest[end:]
    return False


def _unknown_results(workbooks: Any, path: Path, book: Any) -> int:  # noqa: ANN401 - as above
    """Count the formulas without a result; an empty text is one."""
    unknown = 0
    with closing(workbooks.load_workbook(path, read_only=True)) as formulas:
        for sheet, written in zip(book.worksheets, formulas.worksheets, strict=True):
            for one in (sheet, written):
                one.reset_dimensions()
            for row in zip(sheet.iter_rows(), written.iter_rows(), strict=True):
                unknown += sum(
                    cell.value is None and cell.data_type == "n" and formula.data_type == "f"
                    for cell, formula in zip(*row, strict=True)
                )
    return unknown


def _statistical(path: Path, _text: Text, *, function: str) -> Opened:
    """Read a file of a statistics package: codes without their labels, declared missing values as missing."""
    library = _library("pyreadstat", path)
    if function == _XPORT and path.stat().st_size % _XPORT_RECORD:  # the library reads what is left
        raise DataError(f"{path}: cut off.", "Check that the export is complete.")
    try:
        data, _ = getattr(library, function)(
            str(path), output_format="dict", disable_datetime_conversion=False
        )
    except Exception as error:  # as above
        raise DataError(
            f"{path}: cannot be read as what its name says.", "Check that the export is complete."
        ) from error
    cells = list(data.values())
    texts = [list(map(_plain_text, column)) for column in cells]
    return Opened([str(name) for name in data], _blocks_of_texts(texts), _numbers(cells))


def _plain_text(value: Any) -> str:  # noqa: ANN401 - pyreadstat has no types
    """Return a value as a cell: packages hold whole numbers as floats, and gaps as NaN or NaT."""
    if value is None or value != value:  # noqa: PLR0124 - how NaN is known, of whatever type
        return ""
    return text_of(float(value)).removesuffix(".0") if isinstance(value, float) else text_of(value)


def _library(name: str, path: Path) -> Any:  # noqa: ANN401 - a module
    try:
        return import_module(name)
    except ImportError as error:
        raise ExtraMissingError(
            f"{path}: reading it needs {name}, which is not installed.",
            "Install it: pip install 'federation[formats]', or save the table as CSV.",
        ) from error


def _numbers(columns: list[list[Any]]) -> frozenset[int]:
    """Return the positions of the columns of which no text has a digit."""
    return frozenset(
        at
        for at, cells in enumerate(columns)
        if all(isinstance(one, Real | _JsonNumber) or not _DIGIT.search(text_of(one)) for one in cells)
    )


def _blocks_of_texts(columns: list[list[str]]) -> Iterator[Block]:
    import pyarrow as pa  # noqa: PLC0415 - as above

    arrays = [pa.array(column, pa.string()) for column in columns]
    yield partial(list, arrays)


_OPEN: MappingProxyType[Kind, Callable[[Path, Text], Opened]] = MappingProxyType(
    {
        "parquet": _parquet,
        "jsonl": _json_lines,
        "xlsx": _excel,
        "sas7bdat": partial(_statistical, function="read_sas7bdat"),
        "xpt": partial(_statistical, function=_XPORT),
        "dta": partial(_statistical, function="read_dta"),
        "sav": partial(_statistical, function="read_sav"),
    }
)
