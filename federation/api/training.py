"""Train from Python what ``federation local`` trains from a command line."""

import datetime as dt
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from federation.api.frames import as_file
from federation.api.run import Run
from federation.cli.progress import Progress
from federation.cli.tables import open_tables
from federation.data.preparation.options import choose_preparation
from federation.errors import SettingError
from federation.learning.settings import TrainingSettings, settings_of_training
from federation.runs.local.training import LocalRun, train_locally
from federation.runs.record.lock import folder_of


def train(  # noqa: PLR0913 - as many as the command has options
    data: pd.DataFrame | Path | str | None = None,
    *,
    label: str | None = None,
    positive: str | None = None,
    clients: int | None = None,
    partition: str | None = None,
    resample: str | None = None,
    contract: Path | str | None = None,
    drop_duplicates: bool = False,
    ignore: Sequence[str] = (),
    keep: Sequence[str] = (),
    missing: Sequence[str] = (),
    categorical: Sequence[str] = (),
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    strategy: str = "fedavg",
    parameters: dict[str, object] | None = None,
    rounds: int | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Train one model across several clients on this machine, each a process with its own rows.

    Parameters
    ----------
    data : DataFrame, Path or str, optional
        The table, or a file or folder of it, ``s3://…`` too; by default synthetic rows for three clients.
    label : str, optional
        The column to predict; needed with a table.
    positive : str, optional
        The value of the label that counts as positive, if not 1, true or yes.
    clients : int, optional
        How many; 3, or as many as `partition` has values.
    partition : str, optional
        How rows become clients: ``iid``, ``quantile:COLUMN`` or ``column:COLUMN``.
    resample : {"none", "smote", "balanced"}, optional
        What evens out the classes in training rows; by default nothing.
    contract : Path or str, optional
        A data contract that the table must keep.
    drop_duplicates : bool
        Drop rows that are identical to an earlier row, label included.
    ignore, keep : sequence of str
        Columns not to train on, and columns to train on that would be left out, as identifiers are.
    missing : sequence of str
        Words that stand for a missing value, besides NA, N/A, NaN and null.
    categorical : sequence of str
        Columns whose values are words, also where they look like numbers.
    separator, decimal, encoding : str, optional
        How CSV files are written: what stands between values (``","``, ``";"``, ``"|"`` or ``"tab"``), the
        decimal mark, and the encoding; by default each file tells.
    strategy : str
        How updates are aggregated, see :mod:`federation.strategies`.
    parameters : dict, optional
        The strategy's parameters.
    rounds : int, optional
        The maximum number of rounds.
    seed : int
        Of everything random: the same seed gives the same model.
    out : Path or str, optional
        The run's folder, new or empty; by default ``runs/<date>-<time>-<hexadecimal digits>``.
    progress : bool
        Show each step on standard error.
    **settings
        Other fields of `TrainingSettings`, such as ``quorum=2`` or ``penalty="none"``.

    Returns
    -------
    Run
        With its figures, its model and its report.

    Raises
    ------
    FederationError
        What the command would print, with its ``exit_code`` and ``remedy``.
    """
    started = dt.datetime.now(dt.UTC)
    folder = folder_of(started) if out is None else Path(out)
    known = [setting.flag for setting in settings_of_training()]
    if unknown := sorted(set(settings) - set(known)):
        near = difflib.get_close_matches(unknown[0], known, n=1) or known
        raise SettingError(f'there is no setting "{unknown[0]}".', f"Use {', '.join(near)}, or leave it out.")
    training = TrainingSettings.from_options(
        {"strategy": strategy, "rounds": rounds, "seed": seed, **settings}
        | {"param": [f"{name}={value}" for name, value in (parameters or {}).items()]}
    )
    how = {
        "label": label,
        "positive": positive,
        "clients": clients,
        "partition": partition,
        "resample": resample,
        "drop_duplicates": drop_duplicates,
        "ignore": list(ignore),
        "keep": list(keep),
        "missing": list(missing),
        "categorical": list(categorical),
        "separator": separator,
        "decimal": decimal,
        "encoding": encoding,
    }
    agreed = None if contract is None else Path(contract)
    with as_file(data) as path, open_tables(None if path is None else str(path)) as source:
        # Kept in the run's folder: `federation local --resume` goes on with a run that was cut short.
        options = {
            **training.as_options(),
            **how,
            "contract": None if agreed is None else str(agreed),
            "data": None if source is None else str(source),
            "out": str(folder),
            "port": 0,
            "join_timeout": None,
            "started": started.isoformat(),
        }
        run = LocalRun(
            source=source,
            preparation=choose_preparation(source, seed, **how, contract=agreed),
            training=training,
            out=folder,
            started=started,
            options=options,
        )
        train_locally(run, Progress(quiet=not progress))
    return Run.load(folder)
