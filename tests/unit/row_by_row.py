"""Read a table row by row, as what is read in blocks is compared with."""

from pathlib import Path

from federation.data.files.folder import find_tables
from federation.data.files.records import AS_WRITTEN, check_alike, open_file
from federation.data.files.text import Format


def read_rows(path: Path, form: Format = AS_WRITTEN) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns, and the rows of all files."""
    files, header, rows = find_tables(path).files, list[str](), list[list[str]]()
    for file in files:
        with open_file(file, form) as part:
            header = header or part.header
            check_alike(file.path, part.header, files[0].path, header)
            order = [part.header.index(name) for name in header]
            rows += [[row[at] for at in order] for _, row in part.records]
    return header, rows
