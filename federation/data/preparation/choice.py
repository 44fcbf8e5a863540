"""Choose a table's columns: which one tells the clients, and which are not used, and why."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from client_code.protocol.contract import Contract
from federation.data.files.records import near
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import Table
from federation.data.unused import ASKED, BY_CONTRACT, IDENTIFIER, lines, unused
from federation.errors import DataError, SettingError


def chosen(settings: PreparationSettings, columns: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """Return the column whose values are the clients, and those that the settings leave out, with the reason.

    Raises
    ------
    SettingError
        A setting names a column that is not there or is the label, or contradicts another or the contract.
    """
    of_clients = _client_column(settings, columns)
    if settings.contract:
        _check_contract(settings, settings.contract, of_clients)
    options = {"--ignore": settings.ignore, "--keep": settings.keep, "--categorical": settings.categorical}
    for option, names in options.items():
        for name in names:
            if name == settings.label:
                raise SettingError(f'{option} "{name}": it is the label.', "Choose another column.")
            if name not in columns:
                raise SettingError(f'{option} "{name}": no such column.', near(name, columns))
    for option in ("--keep", "--categorical"):
        if of_clients in options[option]:
            raise SettingError(f'{option} "{of_clients}": it names the clients.', "Choose another partition.")
    reasons = dict.fromkeys(settings.ignore, ASKED)
    if settings.contract:
        reasons |= dict.fromkeys(settings.contract.ignored, BY_CONTRACT)
    return of_clients, {
        name: reason for name, reason in reasons.items() if name in columns and name != of_clients
    }


def unused_but(keep: Collection[str], table: Table, file: str) -> dict[str, str]:
    """Return the columns that `federation.data.unused` finds but for some, with the reason.

    Raises
    ------
    DataError
        No column would be left.
    """
    found = {name: reason for name, reason in unused(table).items() if name not in keep}
    if set(found) == set(table.features):
        numbers = IDENTIFIER in found.values()
        raise DataError(
            f"{file}: every column is left out. {' '.join(lines(found))}",
            "Use one of the numbers with --keep." if numbers else "Convert columns, or add some that repeat.",
        )
    return found


def sizes(table: Table, column: str) -> npt.NDArray[np.float64]:
    """Return a column's numbers.

    Raises
    ------
    SettingError
        It holds something else too.
    """
    values = table.X[:, table.features.index(column)]
    if column in table.levels or np.isnan(values).any():
        problem = "texts" if column in table.levels else "missing values"
        raise SettingError(
            f'partition by the size of "{column}": it holds {problem}.', "Choose a column of numbers."
        )
    return values


def _client_column(settings: PreparationSettings, columns: Sequence[str]) -> str | None:
    """Check the partition's column, and return it if its values are the clients."""
    kind, _, column = str(settings.partition).partition(":")
    if kind == "iid":
        return None
    if column == settings.label:
        raise SettingError(f'partition by "{column}": it is the label.', "Choose another column.")
    if column not in columns:
        raise SettingError(f'partition by "{column}": no such column.', near(column, columns))
    if kind == "column":
        return column
    if column in settings.ignore or (settings.contract and column in settings.contract.ignored):
        raise SettingError(f'partition by "{column}": it is to be ignored.', "Choose another column.")
    return None


def _check_contract(settings: PreparationSettings, contract: Contract, of_clients: str | None) -> None:
    if contract.label != settings.label:
        raise SettingError(
            f'the label is "{settings.label}", and in the contract "{contract.label}".', "Make them agree."
        )
    if of_clients in contract.kinds:
        raise SettingError(
            f'partition by "{of_clients}": the contract has it for a feature.', 'Say there: type = "ignored".'
        )
    if both := sorted({*settings.keep} & {*contract.ignored}):
        raise SettingError(f'--keep "{both[0]}": the contract ignores it.', "Change its type there.")
    for name in settings.categorical:
        if contract.kinds.get(name, "categorical") != "categorical":
            raise SettingError(
                f'--categorical "{name}": the contract says {contract.columns[name].type}.',
                'Say there: type = "categorical".',
            )
    if both := sorted({*settings.ignore} & {*contract.kinds}):
        raise SettingError(f'--ignore "{both[0]}": the contract uses it.', 'Say there: type = "ignored".')
