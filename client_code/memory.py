"""Whether a client's rows fit into memory, and what to do where they do not."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import utils
from contract import Kept
from link import ClientError
from parquet import need_pyarrow, stand_in

if TYPE_CHECKING:
    from streamed import StreamedTask

IN_MEMORY_BYTES = 256 << 20  # of decoded rows: below this a table is simply loaded
COPIES = 4  # of the rows that a fit in memory holds at most: raw, prepared, scikit-learn's, temporary
SAMPLE_BYTES = 1 << 20

log = logging.getLogger("client.memory")


class TooLargeError(ClientError):
    """The rows do not fit into this machine's memory, and the strategy needs them there."""

    exit_code = 55


def open_task(
    train: Path,
    validation: Path,
    *,
    name: str,
    label: str,
    terms: Kept | None = None,
    **settings: Any,
) -> "utils.Task | StreamedTask":
    """Return the task of one client: its rows in memory if they are few, else left in their files.

    Parameters
    ----------
    train, validation : Path
        Parquet or CSV files; where one is not there, its name with ``.parquet`` is tried.
    name, label : str
        The client, and its label column.
    terms : Kept, optional
        What the columns hold. Texts and gaps are not read in blocks: such rows must fit into memory.
    **settings
        The other fields of :class:`utils.Task`.

    Raises
    ------
    TableError
        A file cannot be used.
    PyarrowMissingError
        A file needs pyarrow, which cannot be had.
    """
    train, validation = stand_in(train), stand_in(validation)
    sizes = {path.name: decoded_bytes(path) for path in (train, validation) if path.is_file()}
    terms = terms or Kept()
    if sum(sizes.values()) <= IN_MEMORY_BYTES or not terms.plain:
        if sum(sizes.values()) > IN_MEMORY_BYTES:
            check_fits(sum(sizes.values()), train.name)
        table = utils.load_table(train, label, terms.kinds)
        held_back = utils.load_table(validation, label, terms.kinds)
        held_back = held_back.reordered(table.features, whose=train.name)
        return utils.Task(name=name, label=label, train=table, validation=held_back, **settings)
    needed, free = COPIES * sum(sizes.values()), available_bytes()
    log.info(
        "%s will be read in blocks, not loaded: fednewton needs no more. "
        "Other strategies would need about %.1f GB of memory; %.1f GB are free.",
        " and ".join(sizes),
        needed / 1e9,
        free / 1e9,
    )
    need_pyarrow(train.name)
    from rows import Rows  # noqa: PLC0415 - pyarrow's readers, which small tables do not need
    from streamed import StreamedTable, StreamedTask  # noqa: PLC0415

    rows = Rows(train, label)
    return StreamedTask(
        name=name,
        label=label,
        train=StreamedTable(source=rows),
        validation=StreamedTable(source=Rows(validation, label, rows.features)),
        **settings,
    )


def decoded_bytes(path: Path) -> int:
    """Return about how many bytes the rows of a file take in memory, by its metadata or its first lines."""
    if path.suffix == ".parquet":
        need_pyarrow(path.name)
        import pyarrow.parquet  # noqa: PLC0415 - as above

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
    """Return how much memory this process may still take: the machine's, or its container's if less."""
    if not (root / "proc/meminfo").exists():  # macOS, which only tells how much there is in all
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    group = root / "sys/fs/cgroup"
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            free = min(free, int((group / limit).read_text()) - int((group / used).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return free
