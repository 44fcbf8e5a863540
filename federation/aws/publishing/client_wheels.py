"""Choose the packages of a client's training jobs: pyarrow only if the client's data need it."""

from collections.abc import Mapping
from pathlib import Path

from federation.aws.publishing.source_archive import ARROW_REQUIREMENTS, REQUIREMENTS
from federation.aws.publishing.wheel_lock import LockedWheel, read_lock

LARGE_CSV = 32 << 20
"""Bytes of CSV that any job holds in memory, and reads without pyarrow.

A job leaves rows in their files above 256 MiB of decoded values (``client_code/memory.py``), 8 bytes each;
as text, none takes less than one byte.
"""


def needs_pyarrow(tables: Mapping[str, int]) -> bool:
    """Return whether a job may need pyarrow for tables, given as bytes by name."""
    csv = sum(size for name, size in tables.items() if name.endswith(".csv"))
    return csv > LARGE_CSV or any(name.endswith(".parquet") for name in tables)


def client_locks(
    code: Path, tables: Mapping[str, int]
) -> tuple[list[tuple[LockedWheel, ...]], tuple[LockedWheel, ...]]:
    """Return the locks whose wheels jobs need for some tables, and the wheels that they do not need.

    Raises
    ------
    PublishError
        A lock cannot be read.
    """
    always, arrow = (read_lock(code / name) for name in (REQUIREMENTS, ARROW_REQUIREMENTS))
    return ([always, arrow], ()) if needs_pyarrow(tables) else ([always], arrow)
