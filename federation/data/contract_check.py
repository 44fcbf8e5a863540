"""Check tables against a data contract, and find out the contract that a table keeps.

What breaks a contract is decided in `client_code.protocol.contract_check`: each client holds its own files
to it before it joins.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from client_code.protocol.contract import NUMERIC, Contract, Rule
from client_code.protocol.contract_check import Check, Violation, in_words
from federation.config.contract import contract_beside
from federation.data.readers import AS_WRITTEN
from federation.data.scan import Scan, scan
from federation.data.table import Table, read_table, texts_needed
from federation.data.text import Format
from federation.data.unused import unused
from federation.errors import ContractBrokenError, DataError, MissingFileError

_HEAD = """\
# What every party's table must be, found out from {rows} rows of {file}. Widen what other parties need wider.
# A type is numeric, boolean, categorical or ignored (not used, and need not be there); missing is the largest
# share of missing values. Ranges are rounded outwards. A numeric column may also have log1p = true or false
# (unset: its skewness decides) and impute = "median" (unset: "mean"; needs minimum, maximum and missing).
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


def infer(table: Table, *, positive: str | None = None, file: str = "a table") -> str:
    """Return the text of a contract that a table keeps.

    Neither a level nor a single row's number is in it: ranges are rounded outwards to one digit, shares of
    missing values upwards to a twentieth.
    """
    lines = [_HEAD.format(rows=table.rows, file=file), f"label = {_quoted(table.label)}"]
    lines += ["", *([] if positive is None else [f"positive = {_quoted(positive)}", ""])]
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


def check(contract: Contract, files: list[Path], form: Format = AS_WRITTEN) -> dict[str, list[Violation]]:
    """Return what in each file breaks the contract, by the file's name; files that keep it are left out.

    Raises
    ------
    ContractBrokenError
        A file cannot be read as a table.
    """
    found: dict[str, list[Violation]] = {}
    for path in files:
        found |= violations(contract, scan_for(contract, path, form))
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
        return scan(path, form, texts={*texts, *texts_needed(contract.label, contract.kinds)})
    except (DataError, MissingFileError) as error:
        raise ContractBrokenError(
            f"{path.name} cannot be read as a table: {error.problem}", error.remedy
        ) from error


def violations(contract: Contract, scanned: Scan) -> dict[str, list[Violation]]:
    """Return what in each file of a table breaks the contract, by the file's name; others are left out."""
    cells = {
        name: column.texts() if column.as_texts and contract.kinds.get(name) != NUMERIC else column.numbers()
        for name, column in scanned.columns.items()
    }
    found, start = {}, 0
    for file in scanned.files:
        looking = Check(contract)
        looking.add({name: of_column[start : start + file.rows] for name, of_column in cells.items()})
        if broken := looking.violations():
            inside = scanned.path.is_dir()
            found[str(file.path.relative_to(scanned.path)) if inside else file.path.name] = broken
        start += file.rows
    return found


def refuse(broken: Mapping[str, Sequence[Violation]]) -> None:
    """Refuse files that break a contract.

    Raises
    ------
    ContractBrokenError
        Names file, columns, counts and rows.
    """
    for name, of_file in broken.items():
        raise ContractBrokenError(in_words(name, of_file), "Correct the table, or widen the contract.")


def require(contract: Contract, files: list[Path]) -> None:
    """Refuse files that break the contract; errors as in `refuse`."""
    refuse(check(contract, files))
