"""Bring a table that a user holds in Python to where the product reads tables: a file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from federation.errors import DataError


@contextmanager
def as_file(table: pd.DataFrame | Path | str | None) -> Iterator[Path | str | None]:
    """Yield a path to read a table from; that of a frame is removed in the end.

    A frame is read as the CSV file that ``to_csv(index=False)`` makes of it: the same rows give the same
    model from Python as from the command line.

    Parameters
    ----------
    table : DataFrame, Path, str or None
        The rows; a path may also be a folder, or begin with ``s3://``.

    Raises
    ------
    DataError
        The frame has no rows.
    """
    if not isinstance(table, pd.DataFrame):
        yield table
        return
    if table.empty:
        raise DataError("the frame has no rows.", "Give a frame with rows and columns.")
    with tempfile.TemporaryDirectory(prefix="federation-") as folder:
        path = Path(folder) / "frame.csv"
        table.to_csv(path, index=False)
        yield path
