"""Look at a raw file before it is read: that it is a table, in which encoding, with which columns."""

import codecs
import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from federation.data.cms.columns import Kind, find_columns, guess_kind
from federation.errors import CmsColumnError, CmsFormatError, MissingFileError

_CHUNK = 1 << 22
_ASCII = bytes(range(0x80)) + b"?" * 0x80
_LONGEST_HEADER = 1 << 16
_LOOKALIKES = (
    (b"PK\x03\x04", "a ZIP archive or a workbook", "Unpack it, or save it as CSV."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it."),
    (b"<", "a web page", "Download the CSV itself."),
    (b"{", "JSON", "Download the CSV."),
    (b"[", "JSON", "Download the CSV."),
    (b"%PDF", "a PDF", "Download the CSV."),
    (codecs.BOM_UTF16_LE, "in UTF-16", "Save it in UTF-8."),
    (codecs.BOM_UTF16_BE, "in UTF-16", "Save it in UTF-8."),
)


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """A file that can be read.

    Parameters
    ----------
    path : Path
        Where it is.
    bytes : int
        Its size.
    sha256 : str
        Of its bytes.
    utf8 : bool
        Whether its text is UTF-8 throughout; if not it is Latin-1, Windows-1252 or a mixture.
    delimiter : str
        Comma or tab.
    header : tuple of str
        Its columns, in order.
    columns : mapping of str to int
        Position of every column that is read, by our name of it.
    readable : Path
        What to read: the file, or a copy in UTF-8.
    """

    path: Path
    bytes: int
    sha256: str
    utf8: bool
    delimiter: str
    header: tuple[str, ...]
    columns: Mapping[str, int]
    readable: Path


def inspect(path: Path, kind: Kind) -> RawFile:
    """Read a file through once, in pieces, and say what it is.

    Parameters
    ----------
    path : Path
        The file.
    kind : Kind
        What it should be.

    Raises
    ------
    MissingFileError
        If it is not there or cannot be read.
    CmsFormatError
        If it is empty or no table.
    CmsColumnError
        If it lacks a column that its kind has.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST_HEADER)
        delimiter, header = _header(path, kind, start)
        columns = _columns(path, kind, header)
        sha256, utf8, size = _scan(path)
    except OSError as error:
        raise MissingFileError(f"{path}: cannot be read ({error.strerror}).", "Check the path.") from error
    return RawFile(
        path=path,
        bytes=size,
        sha256=sha256,
        utf8=utf8,
        delimiter=delimiter,
        header=header,
        columns=columns,
        readable=path,
    )


def _header(path: Path, kind: Kind, start: bytes) -> tuple[str, tuple[str, ...]]:
    start = start.removeprefix(codecs.BOM_UTF8)
    if not start.strip():
        raise CmsFormatError(f"{path}: empty.", f"Download {kind.title} again.")
    for magic, what, remedy in _LOOKALIKES:
        if start.startswith(magic):
            raise CmsFormatError(f"{path}: is {what}, not CSV.", remedy)
    if b"\0" in start:
        raise CmsFormatError(f"{path}: not a text file.", f"Download {kind.title} as CSV.")
    line = start.decode("latin-1").lstrip("\r\n").splitlines()[0]
    delimiter = max(",\t", key=line.count)
    return delimiter, tuple(next(csv.reader([line], delimiter=delimiter)))


def _columns(path: Path, kind: Kind, header: tuple[str, ...]) -> Mapping[str, int]:
    columns, missing = find_columns(kind, header)
    if not missing:
        return columns
    other = guess_kind(header)
    if other is not None and other != kind:
        raise CmsColumnError(
            f"{path}: was given as --{kind.option}, but its columns are those of --{other.option}.",
            "Swap the options.",
        )
    lacks = "; ".join(f'"{column.spellings[0]}"' for column in missing)
    names = "; ".join(" or ".join(f'"{name}"' for name in column.spellings) for column in missing)
    raise CmsColumnError(
        f"{path}: lacks {len(missing)} of the columns of --{kind.option}: {lacks}.",
        f"Accepted spellings: {names}. Download {kind.title}.",
    )


def _scan(path: Path) -> tuple[str, bool, int]:
    """Return the sha256 of a file, whether it is UTF-8, and its size."""
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    utf8, size = True, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            if b"\0" in chunk:
                raise CmsFormatError(f"{path}: not a text file.", "Download it again.")
            if utf8 and not (chunk.isascii() and not decoder.getstate()[0]):
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    utf8 = False
    return digest.hexdigest(), utf8 and not decoder.getstate()[0], size


def readable(file: RawFile, folder: Path) -> RawFile:
    """Return the file with a copy in ASCII to read, unless it is UTF-8.

    Only names and addresses have other letters, and nobody reads those: each becomes a question mark. That is
    faster than decoding, and a file put together of several encodings is no special case.
    """
    if file.utf8:
        return file
    copy = folder / f"{file.sha256}.csv"
    with file.path.open("rb") as source, copy.open("wb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk.translate(_ASCII))
    return replace(file, readable=copy)
