"""Read tables that are no CSV, as blocks of Arrow arrays: Parquet, JSON lines, Excel, SAS, Stata, SPSS.

What reads them keeps what stands there: codes are no labels, ``02139`` is no number, and the missing values
that a survey declared are missing.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from client_code.protocol.cells import text_of
from federation.data.files.blocks import ROWS, Block
from federation.data.files.kinds import Kind
from federation.data.files.text import Text, opened
from federation.errors import DataError, ExtraMissingError

if TYPE_CHECKING:
    import pyarrow as pa

_BYTES = 1 << 16  # of each column, read at a time

Opened = tuple[list[str], Iterator[Block]]
"""The names of the columns, and the blocks."""


def typed_blocks(path: Path, kind: Kind, text: Text) -> Opened:
    """Return the names of a table's columns as they stand there, and its blocks.

    Raises
    ------
    DataError
        It is no such table, or is cut off; also while the blocks are made.
    ExtraMissingError
        What reads it is not installed.
    """
    return _OPEN[kind](path, text)


def _parquet(path: Path, _text: Text) -> Opened:
    from pyarrow import ArrowException  # noqa: PLC0415 - a tenth of a second that commands without tables do not need
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
            return [str(name) for name in file.schema_arrow.names], blocks()
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
    return list(columns), _blocks_of_texts(list(columns.values()))


def _records(path: Path, text: Text) -> Iterator[dict[str, str]]:
    number = 0
    try:
        with opened(path, text) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _record(path, number, line.decode("utf-8-sig"))
    except UnicodeError as error:
        raise DataError(
            f"{path}, line {number + 1}: not {text.encoding} text.", "Save it in UTF-8, all of it."
        ) from error
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read to its end.", "Check that the file is complete.") from error


def _record(path: Path, number: int, line: str) -> dict[str, str]:
    """Return the texts of a line; no error shows the line, as those of the library do."""
    try:
        record = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
        if isinstance(record, dict):
            texts = {name: _json_text(value) for name, value in record.items()}
            "".join(chain(texts, texts.values())).encode()
            return texts
    except json.JSONDecodeError:
        problem, remedy = "not JSON", "Give every line one whole JSON object."
    except UnicodeEncodeError:
        problem, remedy = "holds half of a character (\\ud800 to \\udfff)", "Write both halves, or none."
    except RecursionError:
        problem, remedy = "nested too deeply", "Give every row names and values."
    else:
        problem, remedy = "not a JSON object", "Give every row names and values."
    raise DataError(f"{path}, line {number}: {problem}.", remedy)


def _json_text(value: object) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return text_of(value)


def _excel(path: Path, _text: Text) -> Opened:
    workbooks = _library("openpyxl", path)
    try:
        book, formulas = (workbooks.load_workbook(path, read_only=True, data_only=it) for it in (True, False))
        both = [_sheet(*pair) for pair in zip(book.worksheets, formulas.worksheets, strict=True)]
        book.close()
        formulas.close()
    except Exception as error:  # the library raises whatever its parts raise
        raise DataError(
            f"{path}: not an Excel workbook, or damaged.", "Check that it opens in Excel, and save it again."
        ) from error
    if unknown := sum(count for _, count in both):
        raise DataError(
            f"{path}: formulas that were never calculated: {unknown}.",
            "Open it in Excel and save it again, or write values in the place of formulas.",
        )
    sheets = [rows for rows, _ in both if rows]
    if len(sheets) > 1:
        raise DataError(
            f"{path}: {len(sheets)} of its sheets hold cells.",
            "Keep the sheet of the table only, or save it as CSV.",
        )
    if not sheets:
        return [], iter(())
    header, *rows = sheets[0]
    texts = [[text_of(row[at]) for row in rows] for at in range(len(header))]
    return [text_of(name).strip() for name in header], _blocks_of_texts(texts)


def _sheet(sheet: Any, formulas: Any) -> tuple[list[tuple[Any, ...]], int]:  # noqa: ANN401 - openpyxl has no types
    """Return the rows of a sheet, without what is empty around them; and how many formulas have no result.

    A formula whose result is an empty text has one.
    """
    rows, unknown = [], 0
    for one in (sheet, formulas):
        one.reset_dimensions()  # the file may tell fewer than it holds
    for cells, written in zip(sheet.iter_rows(), formulas.iter_rows(), strict=True):
        row = tuple(cell.value for cell in cells)
        unknown += sum(
            cell.value is None and cell.data_type == "n" and formula.data_type == "f"
            for cell, formula in zip(cells, written, strict=True)
        )
        if any(value is not None for value in row):
            rows.append(row)
    width = max((at + 1 for row in rows for at, value in enumerate(row) if value is not None), default=0)
    return [(*row[:width], *[None] * (width - len(row))) for row in rows], unknown


def _statistical(path: Path, _text: Text, *, function: str) -> Opened:
    """Read a file of a statistics package: codes without their labels, declared missing values as missing."""
    library = _library("pyreadstat", path)
    try:
        data, _ = getattr(library, function)(
            str(path), output_format="dict", disable_datetime_conversion=False
        )
    except Exception as error:  # as above
        raise DataError(
            f"{path}: cannot be read as what its name says.", "Check that the export is complete."
        ) from error
    return [str(name) for name in data], _blocks_of_texts(
        [[_plain_text(v) for v in c] for c in data.values()]
    )


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
        "xpt": partial(_statistical, function="read_xport"),
        "dta": partial(_statistical, function="read_dta"),
        "sav": partial(_statistical, function="read_sav"),
    }
)
