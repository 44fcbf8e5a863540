"""Tell what kind of table a file holds, by its name, and whether its first bytes agree."""

import re
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from federation.errors import DataError, MissingFileError

Kind = Literal["csv", "parquet", "jsonl", "xlsx", "sas7bdat", "xpt", "dta", "sav"]

SUFFIXES: MappingProxyType[str, Kind] = MappingProxyType(
    {
        ".csv": "csv",
        ".tsv": "csv",
        ".parquet": "parquet",
        ".parq": "parquet",
        ".pq": "parquet",
        ".jsonl": "jsonl",
        ".ndjson": "jsonl",
        ".xlsx": "xlsx",
        ".sas7bdat": "sas7bdat",
        ".xpt": "xpt",
        ".dta": "dta",
        ".sav": "sav",
    }
)
"""What kind of table a file holds, by the end of its name in lower case."""
COMPRESSED = (".gz", ".zip")
"""Ends of names of files in which a CSV or a JSON lines file is compressed."""
TEXTS = ("csv", "jsonl")

_HEAD = 128
_MAGIC = (
    (b"PAR1", "Parquet", ("parquet",)),
    (b"PK\x03\x04", "a ZIP archive, as Excel's and Numbers' files are", ("xlsx", "zip")),
    (b"\x1f\x8b", "compressed by gzip", ("gz",)),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office file", ()),
    (b"%PDF", "PDF", ()),
    (b"BZh", "compressed by bzip2", ()),
    (b"\xfd7zXZ", "compressed by xz", ()),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard", ()),
    (b"7z\xbc\xaf", "a 7z archive", ()),
    (b"ARROW1", "an Arrow or Feather file", ()),
    (b"Obj\x01", "an Avro file", ()),
    (b"\x89HDF", "an HDF5 file", ()),
    (b"RDX2\n", "data of R", ()),
    (b"RDX3\n", "data of R", ()),
    (b"SQLite format 3", "an SQLite database", ()),
    (b"HEADER RECORD*******LIB", "a SAS transport file", ("xpt",)),
    (b"\0" * 12 + b"\xc2\xea\x81\x60", "a SAS data set", ("sas7bdat",)),
    (b"<stata_dta>", "a Stata file", ("dta",)),
    (b"$FL2", "an SPSS file", ("sav",)),
    (b"$FL3", "an SPSS file", ("sav",)),
    (b"<!DOCTYPE", "HTML", ()),
    (b"<html", "HTML", ()),
    (b"<?xml", "XML", ()),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", ()),
)
_JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*"')
_TAR = (".tar", ".tar.gz", ".tgz")
_MUST = MappingProxyType(
    {
        "parquet": "Parquet",
        "xlsx": "an Excel workbook",
        "sas7bdat": "a SAS data set",
        "xpt": "a SAS transport file",
        "sav": "an SPSS file",
        "gz": "compressed by gzip",
        "zip": "a ZIP archive",
    }
)


def kind_of_name(name: str) -> Kind | None:
    """Return the kind of table that a file's name promises, whatever its case; None if it promises none."""
    path = Path(name.lower())
    if path.suffix in COMPRESSED:
        kind = SUFFIXES.get(path.with_suffix("").suffix, "csv" if path.suffix == ".zip" else None)
        return kind if kind in TEXTS else None
    return SUFFIXES.get(path.suffix)


def kind_of(path: Path) -> Kind:
    """Return the kind of a table: by its name, else CSV or Parquet by its first bytes."""
    if (kind := kind_of_name(path.name)) is not None:
        return kind
    return "parquet" if _head(path).startswith(b"PAR1") else "csv"


def refuse_other_content(path: Path) -> None:
    """Refuse a file whose content is not what its name says.

    Raises
    ------
    DataError
        Says what it is, as far as its first bytes tell.
    MissingFileError
        It cannot be read.
    """
    if path.name.lower().endswith(_TAR):
        raise DataError(f"{path}: a TAR archive.", "Unpack it, and name the folder or one of the files.")
    suffix = path.suffix.lower()
    expected = suffix[1:] if suffix in COMPRESSED else kind_of(path)
    head = _head(path)
    for magic, what, kinds in _MAGIC:
        if head.startswith(magic) and expected not in kinds:
            raise DataError(
                f"{path}: by its content it is {what}, whatever its name says.",
                "Give it the name of what it is, or export it as CSV in UTF-8.",
            )
    if expected == "csv" and _JSON.match(head):
        raise DataError(
            f"{path}: by its content it is JSON, whatever its name says.",
            "Write one object a line, and let its name end with .jsonl; or export it as CSV in UTF-8.",
        )
    if expected in _MUST and not any(
        head.startswith(magic) and expected in kinds for magic, _, kinds in _MAGIC
    ):
        what = "empty" if not head else f"not {_MUST[expected]}"
        raise DataError(
            f"{path}: by its content it is {what}, whatever its name says, or it is cut off.",
            "Check that the export is complete, or give the file the name of what it is.",
        )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError as error:
        raise MissingFileError(
            f"{path}: cannot be read ({error.strerror or error}).",
            "Check its permissions, and that it is complete.",
        ) from error
