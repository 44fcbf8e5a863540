"""Memory that a client's rows need, free memory, and whether a fit of the rows is possible."""

import os
from pathlib import Path

from errors import TooLargeError
from parquet import need_pyarrow

COPIES = 4  # of the rows that a fit in memory holds at most: raw, prepared, scikit-learn's, temporary
SAMPLE_BYTES = 1 << 20


def decoded_bytes(path: Path) -> int:
    """Return the approximate memory of a file's rows in bytes, from its metadata or its first lines."""
    if path.suffix == ".parquet":
        need_pyarrow(path.name)
        import pyarrow.parquet  # noqa: PLC0415 - small tables do not need it

        metadata = pyarrow.parquet.read_metadata(path)
        return int(8 * metadata.num_rows * metadata.num_columns)
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
    values = sample.count(b"\n") + sample.count(b",")
    return int(8 * values * path.stat().st_size / max(len(sample), 1))


def check_fits(size: int, file: str) -> None:
    """Raise TooLargeError unless a fit of rows of this size fits into memory."""
    needed, free = COPIES * size, available_bytes()
    if needed > free:
        raise TooLargeError(
            f"{file} needs about {needed / 1e9:.1f} GB of memory for this strategy, and {free / 1e9:.1f} GB "
            "are free. Use --strategy fednewton, which reads rows in blocks, or a larger instance."
        )


def available_bytes(root: Path = Path("/")) -> int:
    """Return the free memory of this process in bytes: the machine's, or its container's if less."""
    if not (root / "proc/meminfo").exists():  # macOS, which only tells how much there is in all
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    group = root / "sys/fs/cgroup"
    for limit, used, parts in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        try:
            told = dict(line.split() for line in (group / parts).read_text().splitlines())
            cache = int(told["active_file"]) + int(told["inactive_file"])  # the kernel gives it back
            free = min(free, int((group / limit).read_text()) - int((group / used).read_text()) + cache)
        except (OSError, ValueError, KeyError):  # no such file, or "max"
            continue
    return max(0, free)
