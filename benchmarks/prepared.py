"""Write tables as `federation.data_prep` lays them out, for data that a benchmark cuts by itself."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from federation.data.preparation.beside import files_beside
from federation.data.preparation.manifest import NAME, ClientRows, Count, Manifest
from federation.data.table import Table, write_table


def write_prepared(
    folder: Path, clients: Mapping[str, tuple[Table, Table]], *, synthetic: bool
) -> tuple[Table, Table]:
    """Write each client's training and validation rows; the server's test rows are all validation rows.

    Parameters
    ----------
    folder : Path
        A new folder.
    clients : mapping of str to (Table, Table)
        Training and validation rows.
    synthetic : bool
        Whether they are made up.

    Returns
    -------
    tuple of Table
        All training rows, all validation rows.
    """
    train, test = (_together([pair[part] for pair in clients.values()]) for part in (0, 1))
    for name, pair in clients.items():
        (folder / name).mkdir(parents=True)
        for table, file in zip(pair, ("train.csv", "validation.csv"), strict=True):
            write_table(table, folder / name / file)
    (folder / "server").mkdir()
    write_table(test, folder / "server" / "test.csv")
    manifest = Manifest(
        synthetic=synthetic,
        source=None,
        label=train.label,
        features=train.features,
        left_out={},
        positive=None,
        partition="as given",
        resample="none",
        seed=0,
        test_share=0.0,
        validation_share=0.0,
        input=Count(rows=train.rows + test.rows, positives=int(train.y.sum() + test.y.sum())),
        duplicates=Count(rows=0, positives=0),
        drop_duplicates=False,
        test=_count(test),
        clients={
            name: ClientRows(train_before=_count(pair[0]), train=_count(pair[0]), validation=_count(pair[1]))
            for name, pair in clients.items()
        },
        notes=(),
        files={},
        versions={},
    )
    for path, text in files_beside(manifest, None).items():
        (folder / path).write_text(text, encoding="utf-8")
    (folder / NAME).write_text(manifest.to_json(), encoding="utf-8")
    return train, test


def _together(tables: list[Table]) -> Table:
    return Table(
        features=tables[0].features,
        X=np.concatenate([table.X for table in tables]),
        y=np.concatenate([table.y for table in tables]),
        label=tables[0].label,
    )


def _count(table: Table) -> Count:
    return Count(rows=table.rows, positives=int(table.y.sum()))
