"""Rehearse a federation on this machine: ``python -m federation.rehearse --help``."""

import datetime as dt
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from federation.cli.command import Debug, run
from federation.cli.options import (
    DATA,
    OUTPUT,
    RUN,
    Categorical,
    Decimal,
    Encoding,
    Missing,
    Separator,
    training_options,
)
from federation.learning.settings import TrainingSettings
from federation.rehearse.machine.image.image_python import ImagePython

if TYPE_CHECKING:
    from federation.config.schema import FederationConfig
    from federation.rehearse.machine.embedded_aws import EmbeddedAws


@training_options()
def main(  # noqa: PLR0913 - a command's options
    *,
    config: Annotated[
        Path,
        typer.Option(
            help="Configuration of the federation to rehearse.", metavar="FILE", rich_help_panel=RUN
        ),
    ] = Path("config/rehearsal.toml"),
    data: Annotated[
        Path | None,
        typer.Option(
            help="Table, a folder of them, or a folder from federation.data_prep. [default: synthetic data]",
            metavar="PATH",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="Column to predict; required with a table.",
            metavar="COLUMN",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    separator: Separator = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    clients: Annotated[
        int | None,
        typer.Option(
            help="Number of clients. [default: those of the configuration]",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    missing: Missing = None,
    categorical: Categorical = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Keep everything running until Ctrl-C, then destroy it.",
            rich_help_panel=RUN,
        ),
    ] = False,
    step: Annotated[
        bool, typer.Option("--step", help="Wait for Enter before each step.", rich_help_panel=RUN)
    ] = False,
    image_python: Annotated[
        ImagePython,
        typer.Option(
            envvar="FEDERATION_IMAGE_PYTHON",
            help="Python of the jobs: the image's version, this machine's own, or whichever is available.",
            rich_help_panel=RUN,
        ),
    ] = ImagePython.AUTO,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the rehearsal. [default: rehearsals/<date>-<time>]",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    debug: Debug = False,
    **training: object,
) -> None:
    """Rehearse a whole federation on this machine, without an AWS account.

    Starts an emulated AWS, deploys all stacks into it with the CDK CLI, publishes code and data as every
    party, trains across the accounts, collects the models, destroys everything, and proves it.

    \b
    Examples:
      python -m federation.rehearse
      python -m federation.rehearse --data claims.csv --label fraud --clients 3
      python -m federation.rehearse --strategy fednewton --quorum 2
      python -m federation.rehearse --keep
    """
    # Imported here, so that --help answers at once and Ctrl-C while they load is only "interrupted".
    from federation.data.text import Format
    from federation.rehearse.rehearsal import RehearsalSettings, rehearse
    from federation.rehearse.stage.steps import Steps

    started = time.monotonic()
    settings = RehearsalSettings(
        config=config,
        data=data,
        label=label,
        form=Format(separator=separator, decimal=decimal, encoding=encoding),
        clients=clients,
        cells={"missing": missing or (), "categorical": categorical or ()},
        training=TrainingSettings.from_options(training),
        out=out or Path("rehearsals") / f"{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}",
        image_python=image_python,
        explore=_stay_up if keep else None,
    )
    outcome = rehearse(settings, Steps(pause=_await_enter if step else None), os.environ)
    results = [_without_report(outcome.printed), *map(str, outcome.collected), outcome.nothing_left]
    typer.echo("\n".join(results).replace(str(settings.out.resolve()), str(settings.out)))
    typer.echo(f"All of it took {time.monotonic() - started:.0f} s.", err=True)
    typer.echo(f"Report: {outcome.report}")


def _without_report(printed: str) -> str:
    """Return what the server printed, but where its report is: that line comes last."""
    return "\n".join(line for line in printed.splitlines() if not line.startswith("Report: "))


def _await_enter(text: str) -> None:
    typer.echo(f"Next: {text}. Enter goes on, Ctrl-C ends the rehearsal.", err=True)
    sys.stdin.readline()


def _stay_up(aws: "EmbeddedAws", config: "FederationConfig") -> None:
    from federation.rehearse.rehearsal import how_to_look_around

    with suppress(KeyboardInterrupt):
        typer.echo(how_to_look_around(aws, config), err=True)
        typer.echo("Ctrl-C destroys everything.", err=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    run(main)
