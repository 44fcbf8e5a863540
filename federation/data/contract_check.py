"""Check tables against a data contract, and find out the contract that a table keeps.

What breaks a contract is decided in `client_code.protocol.contract_check`: each client holds its own files
to it before it joins.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from client_code.protocol.cells import number
from client_code.protocol.contract import NUMERIC, Contract, Kind, Rule
from client_code.protocol.contract_check import Check, Violation, in_words
from federation.config.contract import contract_beside
from federation.data.columns.column import Column
from federation.data.columns.reader import Reader, Told
from federation.data.columns.scan import Scan, scan
from federation.data.columns.settling import settled, settled_readers
from federation.data.files.records import AS_WRITTEN
from federation.data.files.text import Format
from federation.data.table import Table, read_table, texts_needed
from federation.data.unused import unused
from federation.errors import ContractBrokenError, DataError, MissingFileError

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
    kinds, told = (contract.kinds, told_by(contract)) if contract else (None, None)
    return read_table(path, label=label, kinds=kinds, told=told)


def told_by(contract: Contract | None, *, missing: Sequence[str] = (), decimal: str | None = None) -> Told:
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
    if levels := table.levels.get(table.features[at]):
        return [f'type = "categorical"{_like_numbers(levels)}', *missing]
    if set(np.unique(there)) <= {0.0, 1.0}:
        return ['type = "boolean"', *missing]
    low, high = float(there.min()), float(there.max())
    bounds = [f"minimum = {_outwards(min(low, 0.0)):g}", f"maximum = {_outwards(max(high, 0.0)):g}"]
    return ['type = "numeric"', *bounds, *missing]


def _like_numbers(levels: Sequence[str]) -> str:
    """Return a comment where levels look like numbers."""
    numbers = sum(number(level) is not None for level in levels)
    return "" if not numbers else "  # codes" if numbers == len(levels) else "  # numbers and words"


def _outwards(value: float) -> float:
    """Round away from 0 to one digit."""
    if value == 0:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(abs(value)))
    return math.copysign(math.ceil(abs(value) / unit) * unit, value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def check(
    contract: Contract, files: list[Path], form: Format = AS_WRITTEN, *, told: Told | None = None
) -> dict[str, list[Violation]]:
    """Return what in each file breaks the contract, by the file's name; others are left out.

    Parameters
    ----------
    contract : Contract
        What must hold.
    files : list of Path
        The tables.
    form : Format
        How text files are written.
    told : Told, optional
        What the user tells of the cells of their own tables, which preparation will read; None for prepared
        files, which clients read as they stand.

    Raises
    ------
    ContractBrokenError
        A file cannot be read as a table.
    """
    found: dict[str, list[Violation]] = {}
    for path in files:
        found |= violations(contract, scan_for(contract, path, form), told)
    return found


def scan_for(
    contract: Contract, path: Path, form: Format = AS_WRITTEN, *, texts: Collection[str] = ()
) -> Scan:
    """Read a table that must keep a contract; of `texts` the texts, too.

    Raises
    ------
    ContractBrokenError
        It cannot be read.
    """
    try:
        needed = {*texts, *texts_needed(contract.label, contract.kinds), *contract.dates}
        return scan(path, form, texts=needed)
    except (DataError, MissingFileError) as error:
        raise ContractBrokenError(
            f"{path.name} cannot be read as a table: {error.problem}", error.remedy
        ) from error


def violations(contract: Contract, scanned: Scan, told: Told | None = None) -> dict[str, list[Violation]]:
    """Return what in each file of a table breaks the contract, by the file's name, as `check` does."""
    kinds = {name: kind for name, kind in contract.kinds.items() if name in scanned.columns}
    readers = dict[str, Reader]()
    if told:
        scanned = settled(scanned, [contract.label], {}, told, codes=True)
        scanned, readers, _ = settled_readers(scanned, list(kinds), kinds, told, codes=True)
    cells = {name: _cells(contract, name, one, readers.get(name)) for name, one in scanned.columns.items()}
    found, start = {}, 0
    for file in scanned.files:
        looking = Check(contract)
        looking.add({name: of_column[start : start + file.rows] for name, of_column in cells.items()})
        if broken := looking.violations():
            inside = scanned.path.is_dir()
            found[str(file.path.relative_to(scanned.path)) if inside else file.path.name] = broken
        start += file.rows
    return found


def _cells(
    contract: Contract, name: str, column: Column, reader: Reader | None
) -> list[str] | npt.NDArray[np.float64]:
    """Return a column as the check takes it: numbers, also those in another notation, or texts."""
    rule = contract.columns.get(name)
    if rule is None or rule.type != NUMERIC:
        return column.texts() if column.as_texts else column.numbers()
    if reader and reader.notation:
        return column.read(reader)
    return column.numbers()


def advice(contract: Contract, scanned: Scan, told: Told) -> list[str]:
    """Return what to do of columns of numbers that hold something else, a sentence or two for each."""
    numeric = [name for name, rule in contract.columns.items() if rule.type == NUMERIC]
    kinds = {name: contract.kinds[name] for name in numeric if name in scanned.columns}
    _, readers, _ = settled_readers(scanned, list(kinds), kinds, told, codes=True)
    refusals = {name: reader.refusal for name, reader in readers.items() if reader.refusal}
    return [f'"{name}": {one.problem}. {one.by_contract}' for name, one in refusals.items()]


def refuse(broken: Mapping[str, Sequence[Violation]], advice: Sequence[str] = ()) -> None:
    """Refuse files that break a contract, with the advice for their columns.

    Raises
    ------
    ContractBrokenError
        Names file, columns, counts and rows.
    """
    for name, of_file in broken.items():
        remedy = " ".join(advice) or "Correct the table, or widen the contract."
        raise ContractBrokenError(in_words(name, of_file), remedy)


def require(contract: Contract, files: list[Path]) -> None:
    """Refuse prepared files that break the contract; errors as in `refuse`."""
    refuse(check(contract, files))
