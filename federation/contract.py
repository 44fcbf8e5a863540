"""Write a data contract, or check a table against it: ``python -m federation.contract --help``.

How a table is checked is in `federation.data.contract_check`.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from client_code.protocol.contract import Contract
from federation.cli.command import Debug, run
from federation.cli.options import Decimal, Encoding, Missing, Separator
from federation.cli.tables import open_tables
from federation.config.contract import load_contract
from federation.data.columns.reader import Told
from federation.data.columns.scan import scan
from federation.data.contract_check import advice, as_words, infer, scan_for, told_by, violations
from federation.data.files.folder import find_tables
from federation.data.files.records import near
from federation.data.files.text import Format
from federation.data.table import table_of
from federation.errors import ContractBrokenError, SettingError
from federation.files import replacing
from federation.words import some

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
    categorical: Annotated[
        list[str] | None,
        typer.Option(
            help="infer: column whose values are words, also where they look like numbers; may be repeated.",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
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
        _refuse(action, "check", {"--json": as_json})
        if label is None:
            raise SettingError("no label column is chosen.", f"Name a column of {data} with --label.")
        told = told_by(None, missing=missing or (), decimal=decimal)
        _infer(data, contract, form, told, label=label, positive=positive, categorical=categorical or ())
    else:
        _refuse(action, "infer", {"--categorical": categorical, "--label": label, "--positive": positive})
        agreed = load_contract(contract)
        told = told_by(agreed, missing=missing or (), decimal=decimal)
        files = _check(data, agreed, form, told, as_json=as_json)
        kept = "1 file keeps" if files == 1 else f"{files} files keep"
        typer.echo(f"{kept} the contract {contract}.", err=True)


def _refuse(action: str, other: str, options: Mapping[str, object]) -> None:
    if given := [name for name, value in options.items() if value]:
        belong = "belongs" if len(given) == 1 else "belong"
        raise SettingError(f"{action}: {', '.join(given)} {belong} to {other}.", f"Leave out {some(given)}.")


def _infer(
    data: str,
    contract: Path,
    form: Format,
    told: Told,
    *,
    label: str,
    positive: str | None,
    categorical: Sequence[str],
) -> None:
    if contract.exists():
        raise SettingError(f"{contract} exists already.", "Choose another file with --contract.")
    with open_tables(data) as tables:
        assert tables
        scanned = scan(tables, form, texts={label})
        for name in categorical:
            if name not in scanned.header:
                raise SettingError(f'--categorical "{name}": no such column.', near(name, scanned.header))
        kinds = as_words(categorical)
        table = table_of(
            scanned, label=label, positive=positive, kinds=kinds, codes=True, told=told, lenient=True
        )
    for note in scanned.notes:
        typer.echo(f"note: {note}.", err=True)
    _write(contract, infer(table, positive=positive, file=tables.name, missing=told.missing))
    for note in table.notes:
        typer.echo(f"note: {note}", err=True)
    again = {
        "--contract": None if contract == _CONTRACT else str(contract),
        "--separator": form.separator,
        "--decimal": form.decimal,
        "--encoding": form.encoding,
    }
    words = ["check", "--data", data, *(it for name, value in again.items() if value for it in (name, value))]
    typer.echo(f"Wrote {contract}. Next:\n  python -m federation.contract {shlex.join(words)}", err=True)


def _write(contract: Path, text: str) -> None:
    try:
        with replacing(contract) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingError(
            f"{contract}: cannot be written ({error.strerror}).", "Choose another file with --contract."
        ) from error


def _check(data: str, contract: Contract, form: Format, told: Told, *, as_json: bool) -> int:
    """Print what breaks a contract, or return how many files keep it."""
    with open_tables(data) as tables:
        assert tables
        files = find_tables(tables).files
        scanned = scan_for(contract, tables, form)
        found = violations(contract, scanned, told)
        hints = advice(contract, scanned, told) if found else []
    if as_json:
        typer.echo(json.dumps({name: list(map(asdict, broken)) for name, broken in found.items()}))
    else:
        for name, broken in found.items():
            typer.echo("\n".join(f"{name}: {violation}" for violation in broken))
    for hint in hints:
        typer.echo(f"note: {hint}", err=True)
    if found:
        raise ContractBrokenError(f"{', '.join(found)}: broken contract.", "The lines above say where.")
    return len(files)


if __name__ == "__main__":
    run(main)
