"""Prepare a table for a federation from the command line: ``python -m federation.data_prep --help``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from federation.cli.cms import cms, cms_sample
from federation.cli.command import Debug, run
from federation.cli.options import DATA, OUTPUT, preparation_options
from federation.cli.tables import open_tables
from federation.data.preparation.manifest import Count, Manifest


@preparation_options()
def main(
    *,
    out: Annotated[
        Path, typer.Option(help="Folder to write; new or empty.", metavar="FOLDER", rich_help_panel=OUTPUT)
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--input",
            "--data",
            help="Table (CSV, Parquet, JSON lines, Excel, SAS, Stata, SPSS), or a folder of them; also "
            "s3://BUCKET/KEY. [default: synthetic data]",
            metavar="PATH",
            rich_help_panel=DATA,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed; the same seed gives the same bytes.", rich_help_panel=DATA)
    ] = 0,
    test_share: Annotated[
        float,
        typer.Option(
            help="Share of all rows for the server's test set.", metavar="SHARE", rich_help_panel=DATA
        ),
    ] = 0.1,
    validation_share: Annotated[
        float,
        typer.Option(
            help="Share of a client's rows for its validation set.", metavar="SHARE", rich_help_panel=DATA
        ),
    ] = 0.2,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the manifest instead of a table.", rich_help_panel=OUTPUT),
    ] = False,
    debug: Debug = False,
    **preparation: object,
) -> None:
    """Prepare a table for a federation: one folder for each client, and one for the server.

    Leaves out columns that cannot be used as they stand (identifiers, dates, prose), holds back the server's
    test rows, divides the rest among the clients, holds back their validation rows, and resamples the
    training rows if --resample says so. Identical rows are kept, all on one side of every split unless most
    rows repeat. To make the table from the public CMS files, see python -m federation.data_prep cms --help.

    \b
    Examples:
      python -m federation.data_prep --out prepared
      python -m federation.data_prep --out prepared --input claims.csv --label fraud --clients 4
      python -m federation.data_prep --out prepared --input claims.csv --label fraud --partition column:site
    """
    # Imported here: scikit-learn and pandas take a second, in which Ctrl-C and --help should work already.
    from federation.data.preparation.options import settings_of
    from federation.data.preparation.prepare import prepare

    with open_tables(source) as tables:
        settings = settings_of(
            tables, seed, test_share=test_share, validation_share=validation_share, **preparation
        )
        typer.echo(f"Preparing {source or 'synthetic data'} ...", err=True)
        manifest = prepare(tables, out, settings)
    typer.echo(manifest.to_json() if as_json else _summary(manifest), nl=not as_json)
    typer.echo(f"Wrote {out}. Next:\n  python -m federation.local --data {shlex.quote(str(out))}", err=True)


def _summary(manifest: Manifest) -> str:
    def cell(count: Count) -> str:
        return f"{count.rows:,} ({count.positives:,})"

    resampled = manifest.resample == "smote"  # the only one that changes how many rows there are
    lines = [("rows (positive)", "train", *(["after smote"] if resampled else []), "validation", "test")]
    lines += [
        (name, cell(rows.train_before), *([cell(rows.train)] if resampled else []), cell(rows.validation), "")
        for name, rows in manifest.clients.items()
    ]
    lines += [("server", *[""] * (len(lines[0]) - 2), cell(manifest.test))]
    width = max(len(line[0]) for line in lines)
    table = [
        (f"{first:<{width}}" + "".join(f"{text:>16}" for text in rest)).rstrip() for first, *rest in lines
    ]
    origin = "SYNTHETIC data" if manifest.source is None else manifest.source.name
    head = f"{origin}: {cell(manifest.input)} rows read, {cell(manifest.duplicates)} duplicates "
    head += "dropped" if manifest.drop_duplicates else "kept"
    return "\n".join([head, *table, *(f"note: {note}" for note in manifest.told)])


if __name__ == "__main__":
    run(main, subcommands={"cms": cms, "cms-sample": cms_sample})
