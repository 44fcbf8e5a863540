"""Score rows with a model.json, in constant memory: ``python -m federation.predict --help``."""

import csv
from typing import Annotated

import typer

from federation.cli.command import Debug, run
from federation.cli.options import Decimal, Encoding, Missing, Separator
from federation.cli.places import STDOUT, open_file, writing
from federation.cli.tables import open_tables
from federation.data.files.folder import find_tables
from federation.data.files.text import Format
from federation.model.sampling import remark_on
from federation.model.scoring.findings import OnError
from federation.model.scoring.outcomes import Outcomes
from federation.model.scoring.scorer import Scorer, at_site, read_model

_MEAN_INTERCEPT = (
    "scores use the mean of the clients' intercepts, for rows of no client: they are not calibrated for the "
    "rows of one client. Choose a client's with --site"
)


def main(  # noqa: PLR0913 - its options
    *,
    model: Annotated[
        str,
        typer.Option(
            help="File model.json of a run; also s3://BUCKET/KEY.", rich_help_panel="Data", metavar="FILE"
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--input",
            rich_help_panel="Data",
            metavar="PATH",
            help="Table of raw rows (CSV, Parquet, JSON lines, Excel, SAS, Stata, SPSS), or a folder of "
            "them; also s3://BUCKET/KEY. It has the model's columns, in any order; others are ignored.",
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            help="CSV file to write; also s3://BUCKET/KEY; - writes to standard output.",
            rich_help_panel="Output",
            metavar="FILE",
        ),
    ],
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id",
            rich_help_panel="Data",
            metavar="COLUMN",
            help="Column that identifies a row. [default: its number, from 1]",
        ),
    ] = None,
    on_error: Annotated[
        OnError,
        typer.Option(
            help="What a row that cannot be scored does: stop writes nothing; row writes an empty score, "
            "and the reason in a third column.",
            rich_help_panel="Output",
            metavar="stop|row",
        ),
    ] = "stop",
    allow_unknown: Annotated[
        bool,
        typer.Option(
            "--allow-unknown",
            rich_help_panel="Output",
            help="Score the rows even if a column holds no level that the model knows. [default: refuse]",
        ),
    ] = False,
    label: Annotated[
        str | None,
        typer.Option(
            help="Column of labels in the input, for metrics. [default: the model's label, if it is there]",
            rich_help_panel="Data",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            help="Value of the label that counts as positive, if it is not 1, true, yes or that of training.",
            rich_help_panel="Data",
            metavar="VALUE",
        ),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            help="Client whose intercept is used, of a model with site intercepts. [default: their mean]",
            rich_help_panel="Data",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    missing: Missing = None,
    separator: Separator = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    debug: Debug = False,
) -> None:
    """Score the rows of a table with a trained model.

    Writes one line per row: its number (or its value in the column --id) and its score, the probability of
    the positive class. Everything is written, or nothing. Notes say, in counts per column, which levels the
    model does not know, which numbers are far from those of training, and which values are missing; and what
    resampling and site intercepts mean for the scores. If the input has labels, metrics are printed.

    Words for missing values, notations of numbers, and dates are read as in training, as far as the model
    knows them; --missing and --decimal go before that. Numbers in another notation are counted in a note.

    \b
    Example:
      python -m federation.predict --model run/model.json --input rows.csv --out scores.csv
    """
    form = Format(separator=separator, decimal=decimal, encoding=encoding)
    with open_file(model) as file:
        linear_model = at_site(read_model(file), site)
    with open_tables(source) as path, writing(out) as sink:
        assert path is not None, "typer requires --input"
        unread = find_tables(path).notes
        scorer = Scorer(linear_model, str(path))
        in_training = linear_model.cells.positive if label in (None, linear_model.label) else None
        outcomes = Outcomes(str(path), label or linear_model.label, positive, in_training)
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow([id_column or "row", "score", *(["reason"] if on_error == "row" else [])])
        rows = scorer.of_file(path, id_column=id_column, label=label, form=form, missing=missing or None)
        for scored in rows:
            writer.writerows(scored.lines(with_reasons=on_error == "row"))
            outcomes.add(scored)
        scorer.findings.require(on_error=on_error, allow_unknown=allow_unknown)
        metrics = outcomes.metrics(asked=label is not None or positive is not None)
    remark = remark_on(linear_model.sampling, linear_model.provenance)
    own = [remark, _MEAN_INTERCEPT if linear_model.site_intercepts else ""]
    for note in filter(None, [*unread, *scorer.findings.notes(), *metrics.notes, *own]):
        typer.echo(f"note: {note}.", err=True)
    for line in metrics.lines:
        typer.echo(line, err=out == STDOUT)
    typer.echo(f"Scored {scorer.findings.scored}{'' if out == STDOUT else f': {out}'}", err=True)


if __name__ == "__main__":
    run(main)
