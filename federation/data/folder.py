"""Find the files that a table is made of: one, or all in a folder and below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from client_code.protocol.preparation import NAME as PREPARED
from federation.data.kinds import kind_of_name
from federation.errors import DataError, MissingFileError
from federation.words import some

KINDS = "CSV, Parquet, JSON lines, Excel, SAS, Stata or SPSS"
_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class TableFile:
    """A file of a table.

    Parameters
    ----------
    path : Path
        Where it is.
    partition : dict of str to str
        Columns that its folders name (``site=A``), and their value in every row of it.
    """

    path: Path
    partition: dict[str, str]


@dataclass(frozen=True)
class Found:
    """The files of a table, in the order of their rows; and those beside them that are not read."""

    files: Sequence[TableFile]
    others: Sequence[str]

    @property
    def notes(self) -> list[str]:
        """Say what was not read, if anything."""
        if not self.others:
            return []
        return [f"not read, as the name is not that of a table: {some(self.others)}"]


def find_tables(path: Path) -> Found:
    """Find the files of a table.

    What begins with a dot or an underscore (``_SUCCESS``, ``.DS_Store``) does not count.

    Parameters
    ----------
    path : Path
        A file, or a folder: the files in it and in the folders below are parts of one table.

    Raises
    ------
    MissingFileError
        There is none.
    DataError
        Some files lie in folders that name columns (``site=A``) and others do not, or in others; or the
        folder holds the parties' prepared files.
    """
    if not path.is_dir():
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file.", "Check the path.")
        return Found([TableFile(path, {})], [])
    below = sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
    )
    tables = [file for file in below if kind_of_name(file.name)]
    others = [str(file.relative_to(path)) for file in below if not kind_of_name(file.name)]
    if prepared := [file for file in below if file.name == PREPARED]:
        raise DataError(
            f"{path}: {prepared[0].relative_to(path)} says that these files were prepared for parties.",
            "Name the table that they were made of, or the whole folder with its manifest.json.",
        )
    if not tables:
        there = f"holds {some(others)}, but no table" if others else "is empty"
        raise MissingFileError(f"{path} {there}.", f"Name a table, or a folder of them: {KINDS}.")
    files = [TableFile(file, _partition(file.relative_to(path).parent)) for file in tables]
    for file in files:
        if list(file.partition) != list(files[0].partition):
            raise DataError(
                f"{file.path} and {tables[0].relative_to(path)}: their folders name different columns "
                "(NAME=VALUE).",
                "Put all files below folders that name the same columns, in the same order.",
            )
    return Found(files, others)


def _partition(folder: Path) -> dict[str, str]:
    """Return what Hive's folders say: ``site=A/year=2024``; values are texts, as they stand there."""
    pairs = [part.split("=", 1) for part in folder.parts if "=" in part]
    return {unquote(name): "" if value == _NULL else unquote(value) for name, value in pairs}
