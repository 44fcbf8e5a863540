"""Open a client's rows: in memory if they are few, otherwise in their files."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import utils
from capacity import COPIES, available_bytes, check_fits, decoded_bytes
from contract import Kept
from parquet import need_pyarrow, stand_in

if TYPE_CHECKING:
    from streamed import StreamedTask

IN_MEMORY_BYTES = 256 << 20  # of decoded rows: below this a table is simply loaded

log = logging.getLogger("client.memory")


def open_task(
    train: Path,
    validation: Path,
    *,
    name: str,
    label: str,
    terms: Kept | None = None,
    **settings: Any,
) -> "utils.Task | StreamedTask":
    """Return the task of one client: its rows in memory if they are few, otherwise in their files.

    Parameters
    ----------
    train, validation : Path
        Parquet or CSV files; if a file is missing, its name with ``.parquet`` is tried.
    name, label : str
        The client, and its label column.
    terms : Kept, optional
        Contents of the columns. Texts and missing values cannot be read in blocks: such rows must fit into
        memory.
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
        table, held_back = (
            utils.load_table(path, label, terms.kinds, missing=terms.missing, dates=terms.dates)
            for path in (train, validation)
        )
        held_back = held_back.reordered(table.features, whose=train.name)
        return utils.Task(
            name=name, label=label, train=table, validation=held_back, medians=terms.medians, **settings
        )
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
