"""Check tables against a data contract, and find out the contract that a table keeps.

What breaks a contract is decided in `client_code.protocol.contract_check`: each client holds its own files
to it before it joins.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from client_code.protocol.cells import Words
from client_code.protocol.contract import NUMERIC, Contract, Kind, Rule
from client_code.protocol.contract_check import Check, Violation, in_words
from federation.config.contract import contract_beside
from federation.data.columns import Told, reader_of
from federation.data.notation import Decimal, Notation
from federation.data.readers import open_records
from federation.data.table import Table, read_table
from federation.data.unused import unused
from federation.errors import ContractBrokenError, DataError, MissingFileError

_CHUNK = 4096
_HEAD = """\
# What every party's table must be, found out from {rows} rows of {file}. Widen what other parties need wider.
# A type is numeric, boolean, categorical, date or ignored (not used, and need not be there); missing is the
# largest share of missing values. Ranges are rounded outwards. A numeric column may also have log1p = true or
# false (unset: its skewness decides) and impute = "median" (unset: "mean"; needs minimum, maximum, missing).
# A date needs reference = "2020-01-01", the day that becomes 0, and format = "%d/%m/%Y" unless it is written
# like that. missing_values = ["Too Few to Report", "."] declares words for missing values in all columns.
# Check a table with:
#   python -m federation.contract check --contract contract.toml --data TABLE
"""


def types_of(table: Table) -> Contract:
    """Return a contract that tells nothing but what the columns of a table hold."""
    types = {
        name: Rule(type="categorical" if name in table.levels else "numeric", missing=1.0)
        for name in table.features
    }
    return Contract(label=table.label, columns=types, inferred=True)


def read_prepared(path: Path, *, label: str, contract: Contract | None = None) -> Table:
    """Read a prepared table as the contract, or the one beside it, says; errors as in `read_table`."""
    contract = contract or contract_beside(path)
    return read_table(path, label=label, kinds=contract.kinds if contract else None)


def told_by(
    contract: Contract | None, *, missing: Sequence[str] = (), decimal: Decimal | None = None
) -> Told:
    """Return what options and contract together tell of cells."""
    declared, dates = (contract.missing_values, contract.dates) if contract else ((), {})
    return Told(missing=(*declared, *missing), decimal=decimal, dates=dates)


def as_words(columns: Sequence[str]) -> dict[str, Kind]:
    """Return what a user says of columns of words."""
    return dict.fromkeys(columns, "categorical")


def infer(
    table: Table, *, positive: str | None = None, file: str = "a table", missing: Sequence[str] = ()
) -> str:
    """Return the text of a contract that a table keeps.

    Neither a level nor a single row's number is in it: ranges are rounded outwards to one digit, shares of
    missing values upwards to a twentieth. The words for missing values that were declared are in it.
    """
    lines = [_HEAD.format(rows=table.rows, file=file), f"label = {_quoted(table.label)}"]
    lines += [*([] if positive is None else [f"positive = {_quoted(positive)}"])]
    lines += [*([f"missing_values = [{', '.join(map(_quoted, missing))}]"] if missing else []), ""]
    reasons = unused(table)
    for at, name in enumerate(table.features):
        ignored = [f'type = "ignored"  # {reasons[name]}'] if name in reasons else []
        lines += [f"[columns.{_quoted(name)}]", *(ignored or _rule(table, at)), ""]
    return "\n".join(lines)


def _rule(table: Table, at: int) -> list[str]:
    values = table.X[:, at]
    there = values[~np.isnan(values)]
    share = math.ceil(20 * (1 - there.size / table.rows)) / 20
    missing = [f"missing = {share:g}"] if share else []
    if not there.size:
        return ['type = "ignored"  # it is empty']
    if table.features[at] in table.levels:
        return ['type = "categorical"', *missing]
    if set(np.unique(there)) <= {0.0, 1.0}:
        return ['type = "boolean"', *missing]
    low, high = float(there.min()), float(there.max())
    bounds = [f"minimum = {_outwards(min(low, 0.0)):g}", f"maximum = {_outwards(max(high, 0.0)):g}"]
    return ['type = "numeric"', *bounds, *missing]


def _outwards(value: float) -> float:
    """Round away from 0 to one digit."""
    if value == 0:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(abs(value)))
    return math.copysign(math.ceil(abs(value) / unit) * unit, value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def check(contract: Contract, files: list[Path], told: Told | None = None) -> dict[str, list[Violation]]:
    """Return what in each file breaks the contract, by the file's name; files that keep it are left out.

    Numbers in another notation keep it where preparation reads them, see `federation.data.columns.reader_of`.

    Raises
    ------
    ContractBrokenError
        A file cannot be read as a table.
    """
    told = told or told_by(contract)
    contract = replace(contract, missing_values=told.missing)
    found, written = {}, _notations(contract, files, told)
    for path in files:
        try:
            broken = _violations(contract, path, written)
        except (DataError, MissingFileError) as error:
            raise ContractBrokenError(
                f"{path.name} cannot be read as a table: {error.problem}", error.remedy
            ) from error
        if broken:
            found[path.name] = broken
    return found


def _notations(contract: Contract, files: list[Path], told: Told) -> dict[str, Notation]:
    counts = {name: Counter[str]() for name, kind in contract.kinds.items() if kind == NUMERIC}
    words = Words(contract.missing_values)
    for path in files:
        with suppress(DataError, MissingFileError), open_records(path) as (header, rows):
            at = [(header.index(name), counts[name]) for name in header if name in counts]
            while chunk := [row for _, row in islice(rows, _CHUNK)]:
                for position, of_column in at:
                    of_column.update(words.emptied([row[position] for row in chunk]))
    readers = {
        name: reader_of(name, of_column, kind="numeric", decimal=told.decimal)
        for name, of_column in counts.items()
        if name not in told.dates
    }
    return {name: reader.notation for name, reader in readers.items() if reader.notation}


def _violations(contract: Contract, path: Path, written: Mapping[str, Notation]) -> list[Violation]:
    looking = Check(contract)
    with open_records(path) as (header, rows):
        while chunk := [row for _, row in islice(rows, _CHUNK)]:
            cells = dict(zip(header, zip(*chunk, strict=True), strict=True))
            for name, notation in written.items():
                if name in cells:
                    cells[name] = tuple(_plainly(cell, notation) for cell in cells[name])
            looking.add(cells)
    return looking.violations()


def _plainly(cell: str, notation: Notation) -> str:
    found = notation.number(cell)
    return cell if found is None else repr(found)


def require(contract: Contract, files: list[Path], told: Told | None = None) -> None:
    """Refuse files that break the contract.

    Raises
    ------
    ContractBrokenError
        Names file, columns, counts and rows.
    """
    for name, broken in check(contract, files, told).items():
        raise ContractBrokenError(in_words(name, broken), "Correct the table, or widen the contract.")
