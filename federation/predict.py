"""Score rows with a model.json, in constant memory: ``python -m federation.predict --help``."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from federation.cli.command import Debug, run
from federation.errors import SettingError
from federation.files import replacing
from federation.model.sampling import remark_on
from federation.model.scoring import read_model, score_file

_STDOUT = Path("-")
_MEAN_INTERCEPT = (
    "scores use the mean of the clients' intercepts, for rows of no client: they are not calibrated for the "
    "rows of one client"
)


def main(
    *,
    model: Annotated[Path, typer.Option(help="File model.json of a run.", metavar="FILE")],
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            metavar="FILE",
            help="CSV file of raw rows: the model's columns in any order; others are ignored.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="CSV file to write; - writes to standard output.", metavar="FILE")
    ],
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="COLUMN", help="Column that identifies a row. [default: its number, from 1]"
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Score the rows of a CSV file with a trained model.

    Writes one line per row: its number (or its value in the column --id) and its score, the probability of
    the positive class. The input needs no label. If a row cannot be scored, nothing is written. A note says
    whether the training rows were resampled, or that the model does not know; another, that clients have
    intercepts of their own.

    \b
    Example:
      python -m federation.predict --model run/model.json --input rows.csv --out scores.csv
    """
    linear_model = read_model(model)
    count = 0
    with _writing(out) as sink:
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow([id_column or "row", "score"])
        for ids, scores in score_file(linear_model, source, id_column):
            writer.writerows(zip(ids, scores.tolist(), strict=True))
            count += len(ids)
    if remark := remark_on(linear_model.sampling, linear_model.provenance):
        typer.echo(f"note: {remark}.", err=True)
    if linear_model.site_intercepts:
        typer.echo(f"note: {_MEAN_INTERCEPT}.", err=True)
    typer.echo(f"Scored {count:,} rows{'' if out == _STDOUT else f': {out}'}", err=True)


@contextmanager
def _writing(out: Path) -> Iterator[TextIO]:
    if out == _STDOUT:
        yield sys.stdout
        return
    try:
        with replacing(out) as path, path.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise SettingError(
            f"{out}: cannot be written ({error.strerror}).", "Choose another --out."
        ) from error


if __name__ == "__main__":
    run(main)
