"""Read a data contract from an operator's file, or from beside prepared data, and decide which governs.

What it says is in `client_code.protocol.contract`; tables are checked in `federation.data.contract_check`.
"""

import re
from pathlib import Path

from client_code.protocol.contract import NAME, Contract
from federation.config.toml import read_toml
from federation.errors import ContractFileError, PublishError
from federation.words import meant

_COMPARE = "Compare it with what `python -m federation.contract infer --data TABLE --label COLUMN` writes."
_REMEDIES = {  # by what the problem says, the first that fits
    ".log1p: the minimum is negative": "Remove log1p, or set minimum = 0.",
    ".log1p: true or false": "Write log1p = true or log1p = false, without quotes, or remove it.",
    ".log1p: ": "Remove log1p: it is for numeric columns.",
    "missing_values: ": 'Write missing_values = ["Too Few to Report", "."], above the columns.',
    ".reference: a day": 'Write reference = "2020-01-01".',
    ".reference: a ": 'Remove reference, or set type = "date".',
    ".reference: ": "Choose a day of the calendar.",
    ".format: a ": 'Remove format, or set type = "date".',
    ".format: ": 'Write format = "%d/%m/%Y" for 31/12/2020, or remove it for 2020-12-31.',
    ".impute: a median needs": (
        'Set minimum, maximum above it and missing above 0: impute = "median" needs them.'
    ),
    ".impute: a ": "Remove impute: it is for numeric columns.",
    ".impute: ": 'Write impute = "mean" or impute = "median", or remove it.',
}


def load_contract(path: Path) -> Contract:
    """Read a contract.

    Raises
    ------
    ContractFileError
        It cannot be read, or says something that cannot be.
    """
    try:
        tables = read_toml(path)
    except OSError as error:
        raise ContractFileError(f"{path}: cannot be read ({error.strerror}).", "Check the path.") from error
    except ValueError as error:
        raise ContractFileError(f"{path}: not TOML ({error}).", _COMPARE) from error
    try:
        return Contract.of(tables)
    except ValueError as error:
        raise ContractFileError(f"{path}: {error}.", _remedy(str(error))) from error


def _remedy(problem: str) -> str:
    """Return what mends a contract; infer writes no log1p and no impute, so it is no example of them."""
    if unknown := re.search(r"([^.]*): there is no such key\. The keys are (.*)", problem):
        return meant(unknown[1], unknown[2].split(", ")) or _COMPARE
    return next((remedy for part, remedy in _REMEDIES.items() if part in problem), _COMPARE)


def contract_beside(table: Path) -> Contract | None:
    """Return the contract in the folder of a prepared table, if one is there.

    Raises
    ------
    ContractFileError
        It cannot be read.
    """
    path = table.parent / NAME
    if not path.is_file():
        return None
    try:
        return Contract.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ContractFileError(f"{path}: damaged.", "Prepare the data again.") from error


def governing(configured: Contract | None, carried: Contract | None, place: str) -> Contract | None:
    """Return the contract that data are under: the configuration's, or the one that they carry.

    Parameters
    ----------
    configured, carried : Contract or None
        The configuration's, and what is beside the data; one that nobody wrote gives way.
    place : str
        Where the data are.

    Raises
    ------
    PublishError
        They carry another one than the configuration's.
    """
    if configured and carried and carried.digest not in ("", configured.digest):
        raise PublishError(
            f"{place}: carries another contract ({carried.digest[:12]}) than the configuration names "
            f"({configured.digest[:12]}).",
            "Prepare the data with the configuration's contract (--contract), and publish them again.",
        )
    return configured or carried
