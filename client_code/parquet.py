"""Parquet files: where one stands in for a CSV file, and pyarrow, which reads them.

The wheel of pyarrow is as large as all others together, and most tables never need it. So script mode does
not install it with ``requirements.txt``; the job does, from its own wheels, when it first needs it.
"""

import importlib
import importlib.util
import logging
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from errors import PyarrowMissingError
from protocol.cells import text_of

if TYPE_CHECKING:
    import pyarrow as pa

LOCK = "requirements-arrow.txt"

log = logging.getLogger("client.parquet")


def stand_in(path: Path) -> Path:
    """Return a table's file, or the one of that name with ``.parquet`` if only that is there."""
    parquet = path.with_suffix(".parquet")
    return parquet if parquet.is_file() and not path.is_file() else path


def has_pyarrow() -> bool:
    """Return whether pyarrow can be imported, without importing it."""
    importlib.invalidate_caches()
    return importlib.util.find_spec("pyarrow") is not None


def pip_install(lock: Path | None = None) -> bool:
    """Install what a lock pins as script mode does it, and return whether that worked; pip says why not."""
    locked = str(lock or Path(__file__).with_name(LOCK))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", locked]
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - our own command


def read_parquet(path: Path, words: Collection[str] = ()) -> pd.DataFrame:
    """Read a Parquet file as `as_frame`."""
    need_pyarrow(path.name)
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - only where there is such a file

    with ParquetFile(path) as file:
        return as_frame(file.read(), words)


def as_frame(table: "pa.Table | pa.RecordBatch", words: Collection[str] = ()) -> pd.DataFrame:
    """Return a table as a frame of numbers, and of texts as a CSV file has them.

    Parameters
    ----------
    table : pyarrow.Table or pyarrow.RecordBatch
        Columns of any types.
    words : collection of str
        Names of columns whose numbers are texts too.
    """
    import pyarrow as pa  # noqa: PLC0415 - as above

    columns = {}
    for name, values in zip(map(str, table.schema.names), table.columns, strict=True):
        is_number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
        if (is_number or pa.types.is_decimal(values.type)) and name not in words:
            columns[name] = pd.Series(as_floats(values).to_numpy(zero_copy_only=False))
        else:
            columns[name] = pd.Series(list(map(text_of, values.to_pylist())), dtype=object)
    return pd.DataFrame(columns)


def as_floats(values: "pa.Array | pa.ChunkedArray") -> "pa.Array | pa.ChunkedArray":
    """Return numbers of any type as float64, each the nearest one; large integers lose their last digits."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    if pa.types.is_decimal(values.type):
        values = values.cast(pa.string())
    return values.cast(pa.float64(), safe=False)


def need_pyarrow(
    file: str, *, available: Callable[[], bool] = has_pyarrow, install: Callable[[], bool] = pip_install
) -> None:
    """Let pyarrow be importable, installing it if it is not.

    Parameters
    ----------
    file : str
        What needs it.
    available, install : callable
        Tell whether it can be imported; and install it, and tell whether that worked.

    Raises
    ------
    PyarrowMissingError
        It cannot be had.
    """
    if available():
        return
    log.info("%s needs pyarrow, which is not installed: installing it from this job's wheels", file)
    if not (install() and available()):
        raise PyarrowMissingError(
            f"{file} needs pyarrow, which is neither installed nor among this job's wheels. Publish again "
            "with the data where they are, then start a new run: "
            "`python -m federation.publish --config FILE --client NAME`"
        )
