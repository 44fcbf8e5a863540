"""Check tables against a data contract, and find out the contract that a table keeps.

The rules are evaluated in one place, by the clients' own code (`client_code/contract.py`), which checks a
client's files before it joins: the check here starts it as a program.
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from federation.checkout import CLIENT_CODE
from federation.config.contract import NAME, ColumnRule, Contract, contract_beside
from federation.data.table import Table, read_table
from federation.errors import ContractBrokenError

IDENTIFIER_SHARE = 0.5
_HEAD = """\
# What every party's table must be, found out from {rows} rows of {file}. Widen what other parties need wider.
# A type is numeric, boolean, categorical or ignored (not used, and need not be there); missing is the largest
# share of missing values. Ranges are rounded outwards. Check a table with:
#   python -m federation.contract check --contract contract.toml --data TABLE
"""


def types_of(table: Table) -> Contract:
    """Return a contract that tells nothing but what the columns of a table hold."""
    types: dict[str, Any] = {
        name: ColumnRule(type="categorical" if name in table.levels else "numeric", missing=1.0)
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
    for at, name in enumerate(table.features):
        lines += [f"[columns.{_quoted(name)}]", *_rule(table, at), ""]
    return "\n".join(lines)


def _rule(table: Table, at: int) -> list[str]:
    values = table.X[:, at]
    there = values[~np.isnan(values)]
    share = math.ceil(20 * (1 - there.size / table.rows)) / 20
    missing = [f"missing = {share:g}"] if share else []
    if not there.size:
        return ['type = "ignored"  # it is empty']
    distinct = np.unique(there).size
    different = distinct > IDENTIFIER_SHARE * table.rows
    if table.features[at] in table.levels:
        if different:
            return ['type = "ignored"  # texts, most of them different: an identifier, or prose']
        return ['type = "categorical"', *missing]
    if set(np.unique(there)) <= {0.0, 1.0}:
        return ['type = "boolean"', *missing]
    remark = ""
    if distinct == table.rows and (there == np.round(there)).all():
        remark = '  # whole numbers, all different: if they identify rows, "ignored"'
    low, high = float(there.min()), float(there.max())
    bounds = [f"minimum = {_outwards(min(low, 0.0)):g}", f"maximum = {_outwards(max(high, 0.0)):g}"]
    return [f'type = "numeric"{remark}', *bounds, *missing]


def _outwards(value: float) -> float:
    """Round away from 0 to one digit."""
    if value == 0:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(abs(value)))
    return math.copysign(math.ceil(abs(value) / unit) * unit, value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def check(contract: Contract, files: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """Return what in each file breaks the contract, by the file's name, as the clients' own code finds it.

    Raises
    ------
    ContractBrokenError
        A file cannot be read as a table.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / NAME
        written.write_text(contract.to_json(), encoding="utf-8")
        program = [sys.executable, str(CLIENT_CODE / "contract.py"), "--contract", str(written)]
        done = subprocess.run(  # noqa: S603 - our own program
            [*program, *map(str, files)], capture_output=True, text=True, check=False
        )
    if not done.stdout:
        problem = (
            done.stderr.strip().splitlines()[-1].removeprefix("error: ") if done.stderr else "no answer."
        )
        raise ContractBrokenError(problem, "Give CSV files in UTF-8, or Parquet files.")
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def require(contract: Contract, files: list[Path]) -> None:
    """Refuse files that break the contract.

    Raises
    ------
    ContractBrokenError
        Names file, columns, counts and rows.
    """
    for name, broken in check(contract, files).items():
        told = "; ".join(map(describe, broken[:5]))
        more = f"; and {len(broken) - 5} more" if len(broken) > 5 else ""  # noqa: PLR2004 - the five above
        raise ContractBrokenError(
            f"{name} breaks the contract: {told}{more}.", "Correct the table, or widen the contract."
        )


def describe(violation: dict[str, Any]) -> str:
    """Say a violation in words."""
    column, problem, count, rows = (violation[key] for key in ("column", "problem", "count", "rows"))
    if not count:
        return f'column "{column}" {problem}'
    more = ", ..." if count > len(rows) else ""
    return f'column "{column}": {count} {problem} (data rows {", ".join(map(str, rows))}{more})'
