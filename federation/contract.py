"""Write a data contract, or check a table against it: ``python -m federation.contract --help``.

How a table is checked is in `federation.data.contract_check`.
"""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from federation.cli.command import Debug, run
from federation.cli.options import Categorical, Decimal, Encoding, Missing, Separator
from federation.cli.tables import open_tables
from federation.config.contract import load_contract
from federation.data.contract_check import advice, as_words, infer, scan_for, told_by, violations
from federation.data.folder import find_tables
from federation.data.scan import scan
from federation.data.table import table_of
from federation.data.text import Format
from federation.errors import ContractBrokenError, SettingError
from federation.files import replacing

_CONTRACT = Path("contract.toml")


def main(  # noqa: PLR0913 - a parameter for each option
    *,
    action: Annotated[
        Literal["infer", "check"], typer.Argument(help="infer writes a contract; check checks a table.")
    ],
    data: Annotated[
        str,
        typer.Option(
            help="Table (CSV, Parquet, JSON lines, Excel, SAS, Stata, SPSS), or a folder of them; also "
            "s3://BUCKET/KEY.",
            metavar="PATH",
        ),
    ],
    contract: Annotated[
        Path, typer.Option(help="Contract to write, or to check against.", metavar="FILE")
    ] = _CONTRACT,
    label: Annotated[str | None, typer.Option(help="infer: column to predict.", metavar="COLUMN")] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            help="infer: value of the label that counts as positive, if it is not 1, true or yes.",
            metavar="VALUE",
        ),
    ] = None,
    missing: Missing = None,
    categorical: Categorical = None,
    separator: Separator = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    as_json: Annotated[bool, typer.Option("--json", help="check: print JSON instead of text.")] = False,
    debug: Debug = False,
) -> None:
    """Write a data contract for every party's table (infer), or check a table against it (check).

    A contract is a commented TOML file: label, columns, types, ranges, maximum shares of missing values.
    infer proposes one from a table, without the values of any row. check lists the violations: columns,
    counts and row numbers, without values. Each client checks its own files before it joins.

    \b
    Examples:
      python -m federation.contract infer --data claims.csv --label fraud
      python -m federation.contract check --data claims.csv
    """
    form = Format(separator=separator, decimal=decimal, encoding=encoding)
    if action == "infer":
        if label is None:
            raise SettingError("no label column is chosen.", f"Name a column of {data} with --label.")
        if contract.exists():
            raise SettingError(f"{contract} exists already.", "Choose another file with --contract.")
        with open_tables(data) as tables:
            assert tables
            scanned = scan(tables, form, texts={label})
            table = table_of(
                scanned,
                label=label,
                positive=positive,
                kinds=as_words(categorical or ()),
                codes=True,
                told=told_by(None, missing=missing or (), decimal=decimal),
                lenient=True,
            )
        text = infer(table, positive=positive, file=tables.name, missing=missing or ())
        for note in scanned.notes:
            typer.echo(f"note: {note}.", err=True)
        with replacing(contract) as partial:
            partial.write_text(text, encoding="utf-8")
        for note in table.notes:
            typer.echo(f"note: {note}", err=True)
        words = ["check", "--data", data, *([] if contract == _CONTRACT else ["--contract", str(contract)])]
        typer.echo(f"Wrote {contract}. Next:\n  python -m federation.contract {shlex.join(words)}", err=True)
        return
    agreed = load_contract(contract)
    with open_tables(data) as tables:
        assert tables
        files = find_tables(tables).files
        told = told_by(agreed, missing=missing or (), decimal=decimal)
        scanned = scan_for(agreed, tables, form)
        found = violations(agreed, scanned, told)
        hints = advice(agreed, scanned, told) if found else []
    if as_json:
        typer.echo(json.dumps({name: list(map(asdict, broken)) for name, broken in found.items()}))
    else:
        for name, broken in found.items():
            typer.echo("\n".join(f"{name}: {violation}" for violation in broken))
    for hint in hints:
        typer.echo(f"note: {hint}", err=True)
    if found:
        raise ContractBrokenError(f"{', '.join(found)}: broken contract.", "The lines above say where.")
    typer.echo(f"{len(files)} files keep the contract {contract}.", err=True)


if __name__ == "__main__":
    run(main)
