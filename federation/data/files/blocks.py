"""Read a file of rows as blocks of Arrow arrays, as fast as pyarrow reads it; every cell as it stands there.

A block of CSV is split by pyarrow only where that is sure to give what the `csv` module gives. Whatever is
unusual is left to `federation.data.files.records`, which reads row by row and says what is wrong.
"""

import codecs
import csv
import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

BYTES = 4 << 20
"""Of CSV in a block."""
LONGEST_ROW = 16 << 20
"""Bytes that a row may have: more of them are a quote that is never closed."""
ROWS = 16_384
"""Of Parquet in a block."""

Block = Callable[[], "list[pa.Array]"]
"""What makes the columns of a block, to be called in any thread."""


class Digest:
    """SHA-256 of files one after the other, of which one may have to be read again from its beginning."""

    def __init__(self) -> None:
        self._before = self._now = hashlib.sha256()
        self._path = Path()

    def begin(self, path: Path) -> None:
        """Go on with a file."""
        self._path, self._before = path, self._now.copy()

    @property
    def taking(self) -> "hashlib._Hash":
        """What takes the bytes of the file as they are read."""
        return self._now

    def whole(self) -> None:
        """Read all of the file, whatever was taken of it."""
        self._now = self._before.copy()
        with self._path.open("rb") as file:
            while part := file.read(BYTES):
                self._now.update(part)

    @property
    def hexadecimal(self) -> str:
        """The digest."""
        return self._now.hexdigest()


class UnusualError(Exception):
    """A file, or a block of it, is not written plainly enough to be read by pyarrow."""


def csv_header(file: io.BufferedReader, separator: str) -> list[str]:
    """Read the names of the columns from the beginning of a file, and leave it at its first row.

    Raises
    ------
    UnusualError
        It is not UTF-8, its quotes are not in order, or its lines do not end as usual.
    """

    def lines() -> Iterator[str]:
        encoding = "utf-8-sig"
        while line := file.readline(LONGEST_ROW + 1):
            if len(line) > LONGEST_ROW or b"\r" in line.rstrip(b"\r\n"):  # no end, or that of old Macs
                raise UnusualError
            yield line.decode(encoding)
            encoding = "utf-8"

    try:
        return next(csv.reader(lines(), delimiter=separator, strict=True, skipinitialspace=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnusualError from error


def csv_blocks(file: io.BufferedReader, width: int, separator: str) -> Iterator[Block]:
    """Yield the blocks of a CSV file from where it stands.

    Parameters
    ----------
    file : file
        Open, at the beginning of a row.
    width : int
        Number of columns.
    separator : str
        What stands between values.

    Raises
    ------
    UnusualError
        Also by the blocks. What was yielded before is read right.
    """
    if width == 1:  # a blank line is no row, and nothing else tells it from an empty cell
        raise UnusualError
    rest = b""
    while part := file.read(BYTES):
        data = rest + part
        if len(data) > LONGEST_ROW:
            raise UnusualError
        end, quoted = _last_row_end(data, separator)
        rest = data[end:]
        if end:
            yield _Parsing(data[:end], width, separator, quoted=quoted)
    if rest:
        end, quoted = _last_row_end(rest + b"\n", separator)
        if end != len(rest) + 1:
            raise UnusualError
        yield _Parsing(rest, width, separator, quoted=quoted)


class _Parsing:
    """A block of CSV to be split into columns of texts."""

    def __init__(self, data: bytes, width: int, separator: str, *, quoted: bool) -> None:
        self._data, self._width, self._separator, self._quoted = data, width, separator, quoted

    def __call__(self) -> "list[pa.Array]":
        import pyarrow as pa  # noqa: PLC0415 - a tenth of a second that commands without tables do not need
        import pyarrow.csv as reader  # noqa: PLC0415

        names = [str(at) for at in range(self._width)]
        try:
            table = reader.read_csv(
                pa.BufferReader(self._data),
                reader.ReadOptions(column_names=names, use_threads=False, block_size=len(self._data) + 1),
                reader.ParseOptions(
                    delimiter=self._separator,
                    quote_char='"' if self._quoted else False,
                    newlines_in_values=self._quoted,
                ),
                reader.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, null_values=[]
                ),
            )
        except pa.ArrowException:
            if self._data.strip(b"\r\n"):
                raise UnusualError from None
            return [pa.array([], pa.string())] * self._width  # blank lines alone
        return [column.combine_chunks() for column in table.columns]


def _last_row_end(data: bytes, separator: str) -> tuple[int, bool]:
    """Return where the last whole row ends, 0 if none does, and whether there are quotes.

    Raises
    ------
    UnusualError
        A quote stands neither around a whole cell nor doubled within one; or there is a byte-order mark.
    """
    if data.startswith(codecs.BOM_UTF8):  # pyarrow would leave it out, as at the beginning of a file
        raise UnusualError
    if b'"' not in data:
        return data.rfind(b"\n") + 1, False
    codes = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(codes == ord('"'))
    _check_quotes(codes, quotes, separator)
    ends = np.flatnonzero(codes == ord("\n"))
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(outside[-1]) + 1 if outside.size else 0, True


def _check_quotes(codes: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64], separator: str) -> None:
    """Require that quotes open where a cell begins and close where it ends, or are doubled."""
    around = np.frombuffer(f'{separator}"\n\r'.encode(), dtype=np.uint8)
    opening, closing = quotes[::2], quotes[1::2]
    before = codes[opening[opening > 0] - 1]
    after = codes[closing[closing < len(codes) - 1] + 1]
    if not np.isin(np.concatenate([before, after]), around).all():
        raise UnusualError
