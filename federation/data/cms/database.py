"""Run SQL on raw files in bounded memory, and say which line of which file is broken."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import duckdb

from federation.data.cms.raw_file import RawFile
from federation.errors import CmsFormatError, SettingError

Say = Callable[[str], None]

_SAY_EVERY = 3.0
MEMORY = "512MB"
"""Most that DuckDB keeps in memory; the rest goes to a folder beside the result while it works."""


def connect(spill: str) -> duckdb.DuckDBPyConnection:
    """Open a database in memory that spills into a folder, and fetches nothing from anywhere."""
    database = duckdb.connect(
        config={
            "memory_limit": MEMORY,
            "temp_directory": spill,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    # So that progress is counted, and nothing but us shows it.
    database.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
    return database


def create(
    database: duckdb.DuckDBPyConnection, table: str, query: str, files: Sequence[RawFile], say: Say
) -> None:
    """Make a table of what a query reads from files, or say which line of which file is broken.

    Says every few seconds how far it is, and ends within a moment of Ctrl-C.

    DuckDB's message quotes the line, which has names in it: it goes no further, not even into a traceback.
    """
    try:
        _run(database, f"CREATE TABLE {table} AS {query}", say)
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise SettingError(
            f"the disk or the memory is not enough ({type(error).__name__}).",
            "Write the result to a folder with more room: what exceeds the memory is kept beside it.",
        ) from None
    except duckdb.Error as error:
        problem, remedy = _explain(str(error), files)
    else:
        return
    raise CmsFormatError(problem, remedy)


def _run(database: duckdb.DuckDBPyConnection, statement: str, say: Say) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(database.execute, statement)
        try:
            while not wait([running], _SAY_EVERY).done:
                if (percent := database.query_progress()) > 0:
                    say(f"  {percent:.0f} %")
        except BaseException:  # also Ctrl-C and `kill`
            database.interrupt()
            raise
    running.result()


def _explain(message: str, files: Sequence[RawFile]) -> tuple[str, str]:
    where = re.search(r"^\s*file = (.+)$", message, re.MULTILINE)
    file = next((file for file in files if where and str(file.readable) == where[1].strip()), files[0])
    line = re.search(r"CSV Error on Line: (\d+)", message)
    at = f"{file.path}, line {int(line[1]):,}" if line else str(file.path)
    if re.search(r"^\s*Value with unterminated quote", message, re.MULTILINE):
        return f"{at}: a stray quote.", "Mend the line, or download the file again."
    if found := re.search(r'Error when converting column "c(\d+)"', message):
        return (
            f'{at}: column "{file.header[int(found[1])]}" is not a number.',
            "Mend the line, or download the file again: a shifted row looks like this too.",
        )
    if found := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message):
        return (
            f"{at}: {found[2]} columns, expected {found[1]}.",
            "Mend the line, or download the file again: an interrupted download looks like this.",
        )
    return f"{at}: cannot be read as CSV.", "Download the file again."


def one_row(database: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """Return the one row of an aggregate."""
    row = database.execute(query).fetchone()
    assert row is not None, "an aggregate has one row"
    return row
