"""The settings of data preparation: an invalid one cannot exist."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from client_code.protocol.contract import Contract
from federation.data.columns.reader import Told
from federation.data.files.records import AS_WRITTEN
from federation.data.files.text import Format
from federation.data.preparation.partition import Resample
from federation.errors import SettingError

CLIENTS = 3
"""Number of clients where neither the settings nor the table say it."""
MAXIMUM_CLIENTS = 1_000


@dataclass(frozen=True, kw_only=True)
class PreparationSettings:
    """How to prepare a table.

    Parameters
    ----------
    label : str
        Name of the label column.
    positive : str, optional
        The value of the label that counts as 1, if its values do not say so themselves.
    clients : int, optional
        Number of clients, 1 to 1000; by default 3, or as many as a ``column:`` has values.
    partition : str, optional
        ``iid`` (at random, the default for a file), ``quantile:COLUMN`` (by the size of a feature) or
        ``column:COLUMN`` (by the values of a column that is no feature; for synthetic data the default is
        ``column:site``).
    resample : {"none", "smote", "balanced"}
        What evens out the classes in training rows: nothing, made-up rows as in the article, which needs
        numbers without gaps, or class weights (later, at fit).
    seed : int
        Seed of everything random, at least 0.
    contract : Contract, optional
        What the table must be; it goes along with the prepared files, and decides which columns are used.
    drop_duplicates : bool
        Drop rows that equal an earlier one, label included; else they are kept, see `Copies.usual`.
    ignore, keep : sequence of str
        Columns to leave out, and columns to use that would be left out, see `federation.data.unused`.
    missing : sequence of str
        Words that stand for a gap, see `client_code.protocol.cells.Words`.
    categorical : sequence of str
        Columns whose values are words, also where they look like numbers.
    form : Format
        How text files are written.
    test_share, validation_share : float
        Shares of all rows for the server's test set, and of a client's rows for its validation set; each
        between 0 and 1.

    Raises
    ------
    SettingError
        If a value is out of range.
    """

    label: str
    positive: str | None = None
    clients: int | None = None
    partition: str | None = None
    resample: Resample = "none"
    seed: int = 0
    contract: Contract | None = None
    drop_duplicates: bool = False
    ignore: Sequence[str] = ()
    keep: Sequence[str] = ()
    missing: Sequence[str] = ()
    categorical: Sequence[str] = ()
    form: Format = AS_WRITTEN
    test_share: float = 0.1
    validation_share: float = 0.2

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if self.clients is not None and not 1 <= self.clients <= MAXIMUM_CLIENTS:
            raise SettingError(
                f"{self.clients} clients: out of range.", f"Choose between 1 and {MAXIMUM_CLIENTS}."
            )
        if self.partition is not None and not re.fullmatch(r"iid|(quantile|column):.+", self.partition):
            raise SettingError(
                f'partition "{self.partition}": no such partition.',
                "Choose iid, quantile:COLUMN or column:COLUMN.",
            )
        if self.resample not in get_args(Resample):
            raise SettingError(
                f'resample "{self.resample}": no such method.', f"Choose {', '.join(get_args(Resample))}."
            )
        if self.seed < 0:
            raise SettingError(f"seed {self.seed}: negative.", "Choose 0 or more.")
        for name, share in (("test", self.test_share), ("validation", self.validation_share)):
            if not 0 < share < 1:
                raise SettingError(f"{name} share {share}: out of range.", "Choose between 0 and 1.")
        self._check_cells()

    def _check_cells(self) -> None:
        for column in self.ignore:
            for names, what in ((self.keep, "to keep"), (self.categorical, "categorical")):
                if column in names:
                    raise SettingError(f'"{column}" is both {what} and to ignore.', "Choose one of the two.")
        Told(missing=self.missing)  # which refuses what cannot be
