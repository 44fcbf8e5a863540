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
from federation.cli.options import DATA, OUTPUT, PREPARATION, RUN, preparation_options, training_options
from federation.cli.tables import open_tables
from federation.learning.settings import TrainingSettings
from federation.rehearse.machine.image.image_python import ImagePython

if TYPE_CHECKING:
    from federation.config.schema import FederationConfig
    from federation.rehearse.machine.embedded_aws import EmbeddedAws


@training_options(without=("balanced",))  # the prepared data tell
@preparation_options(without=("clients",))
def main(
    *,
    config: Annotated[
        Path,
        typer.Option(
            help="Configuration of the federation to rehearse.", metavar="FILE", rich_help_panel=RUN
        ),
    ] = Path("config/rehearsal.toml"),
    data: Annotated[
        str | None,
        typer.Option(
            help="Table (CSV, Parquet, JSON lines, Excel, SAS, Stata, SPSS), a folder of them, or a folder "
            "from federation.data_prep; also s3://BUCKET/KEY. [default: synthetic data]",
            metavar="PATH",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    clients: Annotated[
        int | None,
        typer.Option(
            help="Number of clients. [default: those of the configuration]",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    stay: Annotated[
        bool,
        typer.Option(
            "--stay",
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
    **options: object,
) -> None:
    """Rehearse a whole federation on this machine, without an AWS account.

    Starts an emulated AWS, deploys all stacks into it with the CDK CLI, publishes code and data as every
    party, trains across the accounts, collects the models, destroys everything, and proves it.

    \b
    Examples:
      python -m federation.rehearse
      python -m federation.rehearse --data claims.parquet --label fraud --clients 3
      python -m federation.rehearse --strategy fednewton --quorum 2
      python -m federation.rehearse --stay
    """
    # Imported here, so that --help answers at once and Ctrl-C while they load is only "interrupted".
    from federation.rehearse.rehearsal import RehearsalSettings, rehearse
    from federation.rehearse.stage.steps import Steps

    started = time.monotonic()
    with open_tables(data) as tables:
        settings = RehearsalSettings(
            config=config,
            data=tables,
            clients=clients,
            preparation={name: options[name] for name in PREPARATION if name in options},
            training=TrainingSettings.from_options(options),
            out=out or Path("rehearsals") / f"{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}",
            image_python=image_python,
            explore=_stay_up if stay else None,
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
