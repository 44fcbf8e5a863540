"""How a text file is written: encoding, separator, decimal mark; and its bytes in UTF-8."""

import codecs
import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from federation.data.files.kinds import kind_of_name
from federation.errors import DataError, SettingError

if TYPE_CHECKING:
    import hashlib

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
TAB = "tab"

_SAMPLE = 1 << 16
_ROWS = 50
_COMMA = re.compile(r"[-+]?\d+,\d+")
_POINT = re.compile(r"[-+]?\d+\.\d+")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, kw_only=True)
class Format:
    """How text files are written; what is None, each file tells.

    Parameters
    ----------
    separator : str, optional
        What stands between values: a comma, a semicolon, a tab (also by that name) or a vertical bar.
    decimal : str, optional
        What stands before the fraction of a number: a point or a comma.
    encoding : str, optional
        A name that Python's `codecs` know, such as ``cp1252``.

    Raises
    ------
    SettingError
        A part is none of these.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be, and call a tab by its character."""
        if self.separator in (TAB, "\\t"):
            object.__setattr__(self, "separator", "\t")
        if self.separator not in (None, *SEPARATORS):
            raise SettingError(
                f'separator "{self.separator}": no such separator.', 'Choose ",", ";", "|" or tab.'
            )
        if self.decimal not in (None, ".", ","):
            raise SettingError(f'decimal "{self.decimal}": no such mark.', 'Choose "." or ",".')
        if self.separator is not None and self.separator == self.decimal:
            raise SettingError(
                "a comma cannot separate values and fractions too.", "Choose another separator."
            )
        if self.encoding is not None and not _is_encoding(self.encoding):
            raise SettingError(
                f'encoding "{self.encoding}": no such encoding.', "Choose utf-8, utf-16, cp1252 or latin-1."
            )


def _is_encoding(name: str) -> bool:
    try:
        return codecs.lookup(name)._is_text_encoding  # noqa: SLF001 - base64 is none
    except LookupError:
        return False


@dataclass(frozen=True, kw_only=True)
class Text:
    """How one file is written.

    Parameters
    ----------
    separator, decimal, encoding : str
        As in `Format`, found out where it does not say.
    """

    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"

    @property
    def is_utf8(self) -> bool:
        """Whether its bytes need no translation."""
        return codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig", "ascii")

    @property
    def told(self) -> str | None:
        """What a user should know, as it is not what every CSV file is; None if there is nothing."""
        parts = []
        if self.separator != ",":
            parts.append(f"{SEPARATORS[self.separator]} between values")
        if self.decimal == ",":
            parts.append("decimal commas")
        if not self.is_utf8:
            parts.append(f"the encoding {self.encoding}")
        return " and ".join(parts) or None


def text_of_file(path: Path, given: Format) -> Text:
    """Find out how a file is written, CSV from its first rows; what is given holds.

    Values are separated by what gives all of these rows as many values as there are names; by commas if
    several do. Numbers have decimal commas if some have one, none has a point, and commas separate nothing.
    Of JSON lines only the encoding is open; other kinds are no texts.

    Raises
    ------
    DataError
        It is UTF-16 without a byte-order mark that says so, or UTF-8 and not in the encoding that is given.
    """
    if (kind := kind_of_name(path.name)) not in ("csv", "jsonl"):
        return Text()
    text = Text(encoding=given.encoding or _encoding(path))
    refuse_utf8(path, text)
    if kind == "jsonl":
        return text
    try:
        with opened(path, text) as file:
            sample = file.read(_SAMPLE)
    except (UnicodeError, OSError, EOFError):
        sample = b""  # who reads it says why
    lines = codecs.getincrementaldecoder("utf-8-sig")("replace").decode(sample).splitlines(keepends=True)
    whole = lines[:-1] if len(sample) == _SAMPLE else lines
    separator = given.separator or _separator(whole)
    rows = _rows(whole, separator)
    return replace(text, separator=separator, decimal=given.decimal or _decimal(rows[1:], separator))


def _encoding(path: Path) -> str:
    try:
        with _uncompressed(path) as file:
            head = file.read(4)
    except (OSError, EOFError, zipfile.BadZipFile):
        return "utf-8"
    if head.startswith(_UTF16):
        return "utf-16"
    if b"\0" in head[:4] and len(head.replace(b"\0", b"")) in (1, 2):
        order = "be" if head[:1] == b"\0" else "le"
        raise DataError(
            f"{path}: looks like UTF-16 without a byte-order mark.", f"Say --encoding utf-16-{order}."
        )
    return "utf-8"


def _separator(lines: Sequence[str]) -> str:
    widths = {separator: [len(row) for row in _rows(lines, separator) if row] for separator in SEPARATORS}
    several = [separator for separator, found in widths.items() if found and found[0] > 1]
    alike = [separator for separator in several if len(set(widths[separator])) == 1]
    return next(iter(alike or several), ",")


def _decimal(rows: Sequence[Sequence[str]], separator: str) -> str:
    cells = [cell.strip() for row in rows for cell in row]
    points = any(map(_POINT.fullmatch, cells))
    return "," if separator != "," and not points and any(map(_COMMA.fullmatch, cells)) else "."


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    rows = []
    try:
        for row in csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True):
            rows.append(row)
            if len(rows) > _ROWS:
                break
    except csv.Error:
        pass
    return rows


@contextmanager
def opened(path: Path, text: Text, digest: "hashlib._Hash | None" = None) -> Iterator[io.BufferedReader]:
    """Open a text file, compressed or not, to read its bytes in UTF-8.

    Parameters
    ----------
    path : Path
        The file.
    text : Text
        How it is written.
    digest : hashlib's object, optional
        Takes each byte of an uncompressed file that is read.

    Raises
    ------
    UnicodeError
        Also while it is read: its encoding is another one.
    OSError, EOFError
        Also while it is read: it cannot be.
    DataError
        It is an archive of anything but one table.
    """
    with _uncompressed(path, digest) as file:
        if text.is_utf8:
            yield file
        else:
            decoded = io.TextIOWrapper(file, text.encoding, newline="")
            yield io.BufferedReader(_Utf8(decoded), _SAMPLE)
            decoded.detach()


def refuse_utf8(path: Path, text: Text) -> None:
    """Refuse a file that is not in a given encoding but in UTF-8: each accent would become two characters.

    Raises
    ------
    DataError
        It is no ASCII, and all of it is UTF-8, which in another encoding would be a rare chance.
    """
    if text.is_utf8:
        return
    beyond, decoder = False, codecs.getincrementaldecoder("utf-8")()
    try:
        with _uncompressed(path) as file:
            while part := file.read(_SAMPLE):
                beyond = beyond or not part.isascii()
                decoder.decode(part)
            decoder.decode(b"", final=True)
    except (UnicodeError, OSError, EOFError):
        return  # the last two: who reads it says why
    if beyond:
        raise DataError(
            f"{path}: UTF-8 text, not {text.encoding.upper()}.",
            "Leave out --encoding; files in another encoding beside it are to be saved in UTF-8.",
        )


def undecodable(path: Path, text: Text, begins: int) -> DataError:
    """Return the error of a file that is not of its encoding, with the lines if they can be told.

    Parameters
    ----------
    path : Path
        The file.
    text : Text
        How it is written.
    begins : int
        The line that was being read.
    """
    bad = _undecodable(path, text) if text.is_utf8 else []
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    where = f"line {bad[0]}{more}" if bad else f"at or after line {begins}"
    return DataError(
        f"{path}, {where}: not {text.encoding.upper()} text.",
        "Save it in UTF-8, all of it; or say which encoding all files have, --encoding cp1252 for example.",
    )


def _undecodable(path: Path, text: Text) -> list[int]:
    """Return the lines of a file that are not UTF-8; none is held whole."""
    bad, number, decoder = dict[int, None](), 1, codecs.getincrementaldecoder("utf-8")()
    with opened(path, text) as file:
        while True:
            part = file.readline(_SAMPLE)
            ended = part.endswith(b"\n") or not part
            try:
                decoder.decode(part, ended)
            except UnicodeDecodeError:
                bad[number] = None
                decoder.reset()
            if not part:
                return list(bad)
            number += ended


@contextmanager
def _uncompressed(path: Path, digest: "hashlib._Hash | None" = None) -> Iterator[io.BufferedReader]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        try:
            with gzip.open(path) as file:
                yield io.BufferedReader(file, _SAMPLE)
        except zlib.error as error:
            raise EOFError from error
    elif suffix == ".zip":
        try:
            with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive)) as member:
                yield io.BufferedReader(member, _SAMPLE)  # type: ignore[arg-type] # as good as raw
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error) as error:
            raise DataError(
                f"{path}: not a ZIP archive, cut off, or encrypted.", "Check that the export is complete."
            ) from error
    else:
        with path.open("rb", buffering=0) as raw:
            yield io.BufferedReader(_Told(raw, digest) if digest else raw, _SAMPLE)


def _member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the one table of an archive."""
    files = [one for one in archive.infolist() if not one.is_dir() and not _hidden(one.filename)]
    tables = [one for one in files if kind_of_name(one.filename) == kind_of_name(path.name)]
    if len(tables) == 1:
        return tables[0]
    what = f"{len(tables)} tables" if tables else f"no table among {len(files)} files"
    raise DataError(
        f"{path}: the archive holds {what}.", "Unpack it, and name the folder or one of the files."
    )


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


class _Utf8(io.RawIOBase):
    """The characters of a text as bytes in UTF-8."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text, self._rest = text, b""

    def readable(self) -> bool:
        """Say so."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Fill a buffer; 0 at the end."""
        if not self._rest:
            self._rest = self._text.read(_SAMPLE).encode("utf-8", "surrogatepass")
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


class _Told(io.RawIOBase):
    """A file, of which a digest takes each byte that is read."""

    def __init__(self, file: io.FileIO, digest: "hashlib._Hash") -> None:
        self._file, self._digest = file, digest

    def readable(self) -> bool:
        """Say so."""
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        """Fill a buffer; 0 at the end."""
        count: int = self._file.readinto(buffer)
        self._digest.update(buffer[:count])
        return count
