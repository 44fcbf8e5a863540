"""Write down what every party's table must be, and check a table: ``python -m federation.contract --help``.

The rules are evaluated in one place, by the clients' own code (`client_code/contract.py`), which checks a
client's files before it joins: the check here starts it as a program.
"""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from federation.aws.publishing.source_archive import CLIENT_CODE
from federation.cli.command import Debug, run
from federation.cli.tables import open_tables
from federation.config.contract import NAME, ColumnRule, Contract, contract_beside, load_contract
from federation.data.readers import table_files
from federation.data.table import Table, read_table
from federation.errors import ContractBrokenError, SettingError
from federation.files import replacing

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


def main(
    *,
    action: Annotated[Literal["infer", "check"], typer.Argument(help="Write a contract, or check a table.")],
    data: Annotated[
        str, typer.Option(help="CSV or Parquet file, or a folder of them; s3://BUCKET/KEY works too.")
    ],
    contract: Annotated[Path, typer.Option(help="The contract to write or to check against.")] = Path(
        "contract.toml"
    ),
    label: Annotated[str | None, typer.Option(help="infer: name of the label column.")] = None,
    positive: Annotated[
        str | None, typer.Option(help="infer: value of the label that counts as positive, if it is not 0/1.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="check: print the violations as JSON.")] = False,
    debug: Debug = False,  # noqa: ARG001 - read by federation.cli.command
) -> None:
    """Write down what every party's table must be (infer), or check a table against it (check).

    A contract is a commented TOML file: label, columns, types, ranges, largest shares of missing values.
    infer proposes one from a table, without any row's values. check tells what breaks it: columns, counts and
    row numbers, without values. Each client checks its own files before it joins.

    \b
    Examples:
      python -m federation.contract infer --data claims.csv --label fraud
      python -m federation.contract check --data claims.csv
    """  # noqa: D301 - a backspace keeps typer from joining the lines
    if action == "infer":
        if label is None:
            raise SettingError(f"which column of {data} is the label?", "Name it with --label.")
        if contract.exists():
            raise SettingError(f"{contract} exists already.", "Choose another file with --contract.")
        with open_tables(data) as tables:
            assert tables
            table = read_table(tables, label=label, positive=positive)
        text = infer(table, positive=positive, file=tables.name)
        with replacing(contract) as partial:
            partial.write_text(text, encoding="utf-8")
        typer.echo(f"Wrote {contract}. Next:\n  python -m federation.contract check --data {data}", err=True)
        return
    agreed = load_contract(contract)
    with open_tables(data) as tables:
        assert tables
        files = table_files(tables) if tables.is_dir() else [tables]
        if not files:
            raise SettingError(f"{data}: no CSV or Parquet file is there.", "Name a table.")
        found = check(agreed, files)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        for name, broken in found.items():
            typer.echo("\n".join(f"{name}: {describe(violation)}" for violation in broken))
    if found:
        raise ContractBrokenError(f"{', '.join(found)}: broken contract.", "The lines above say where.")
    typer.echo(f"{len(files)} files keep the contract {contract}.", err=True)


if __name__ == "__main__":
    run(main)
