"""Find the files that a table is made of: one, or all in a folder and below it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from client_code.protocol.preparation import NAME as PREPARED
from federation.data.files.kinds import kind_of_name
from federation.errors import DataError, MissingFileError
from federation.words import some

KINDS = "CSV, Parquet, JSON lines, Excel, SAS, Stata or SPSS"
_HIDDEN = (".", "_", "~$")
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
    """The files of a table, in the order of their rows; and files and links beside them that are not read."""

    files: Sequence[TableFile]
    others: Sequence[str]
    linked: Sequence[str] = ()

    @property
    def notes(self) -> list[str]:
        """Say what was not read, if anything."""
        notes = []
        if self.others:
            notes.append(f"not read, as the name is not that of a table: {some(self.others)}")
        if self.linked:
            notes.append(f"not read, as links to folders are not followed: {some(self.linked)}")
        return notes


def find_tables(path: Path) -> Found:
    """Find the files of a table.

    What begins with a dot, an underscore or ``~$`` (``_SUCCESS``, ``.DS_Store``, and ``~$rows.xlsx``, which
    Excel writes beside a workbook that is open) does not count.

    Parameters
    ----------
    path : Path
        A file, or a folder: the files in it and in the folders below are parts of one table.

    Raises
    ------
    MissingFileError
        There is none, or a folder cannot be read.
    DataError
        Some files lie in folders that name columns (``site=A``) and others do not, or in others; or the
        folder holds the parties' prepared files.
    """
    try:
        if not path.is_dir():
            if not path.is_file():
                raise MissingFileError(f"{path}: no such file.", "Check the path.")
            return Found([TableFile(path, {})], [])
        below, links = _below(path)
    except OSError as error:
        raise MissingFileError(
            f"{error.filename or path}: cannot be read ({error.strerror}).",
            "Check the path, and the permissions of its folders.",
        ) from error
    tables = [file for file in below if kind_of_name(file.name)]
    others = [str(file.relative_to(path)) for file in below if not kind_of_name(file.name)]
    linked = [str(folder.relative_to(path)) for folder in links]
    if prepared := [file for file in below if file.name == PREPARED]:
        raise DataError(
            f"{path}: {prepared[0].relative_to(path)} says that these files were prepared for parties.",
            "Name the table that they were made of, or the whole folder with its manifest.json.",
        )
    if not tables:
        there = f"holds {some([*others, *linked])}, but no table" if others or linked else "is empty"
        raise MissingFileError(f"{path} {there}.", f"Name a table, or a folder of them: {KINDS}.")
    files = [TableFile(file, _partition(file.relative_to(path).parent)) for file in tables]
    for file in files:
        if list(file.partition) != list(files[0].partition):
            raise DataError(
                f"{file.path} and {tables[0].relative_to(path)}: their folders name different columns "
                "(NAME=VALUE).",
                "Put all files below folders that name the same columns, in the same order.",
            )
    return Found(files, others, linked)


def _below(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the files in a folder and below it, and the links to other folders, which are not followed."""

    def refuse(error: OSError) -> None:
        raise error

    files, links = list[Path](), list[Path]()
    for folder, folders, names in os.walk(path, onerror=refuse):
        here = Path(folder)
        folders[:] = [name for name in folders if not name.startswith(_HIDDEN)]
        links += [here / name for name in folders if (here / name).is_symlink()]
        shown = [here / name for name in names if not name.startswith(_HIDDEN)]
        files += [file for file in shown if file.is_file() or file.is_symlink()]
    return sorted(files), sorted(links)


def _partition(folder: Path) -> dict[str, str]:
    """Return what Hive's folders say: ``site=A/year=2024``; values are texts, as they stand there."""
    pairs = [part.split("=", 1) for part in folder.parts if "=" in part]
    return {unquote(name): "" if value == _NULL else unquote(value) for name, value in pairs}
