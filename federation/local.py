"""Run a federation on this machine: ``python -m federation.local --help``.

A server and its clients run as processes, over the real encrypted stream; the very ``client_code`` that
SageMaker will run takes part. Nothing of AWS is used.
"""

import datetime as dt
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from federation.cli.command import Debug, run_and_end
from federation.cli.options import (
    DATA,
    PREPARATION,
    RUN,
    AsJson,
    Out,
    Resume,
    join_timeout,
    log_refusals_only,
    preparation_options,
    training_options,
)
from federation.learning.settings import TrainingSettings
from federation.runs.local.forked import fork_server
from federation.stream.handshakes import log_failed_handshakes

if TYPE_CHECKING:
    from federation.report.facts import RunMetrics
    from federation.runs.local.training import LocalRun


@training_options(without=("balanced",))  # the prepared data tell
@preparation_options()
def main(  # noqa: PLR0913 - a command's options
    *,
    context: typer.Context,
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
    join_timeout: Annotated[float | None, join_timeout("120, more for many clients")] = None,
    port: Annotated[
        int,
        typer.Option(help="Port on 127.0.0.1; 0 chooses a free one.", min=0, max=65535, rich_help_panel=RUN),
    ] = 0,
    repeat: Annotated[
        int | None,
        typer.Option(
            help="Number of seeds to run, from --seed on; summarises mean, spread and interval.",
            show_default=False,
            rich_help_panel=RUN,
        ),
    ] = None,
    resume: Resume = None,
    out: Out = None,
    as_json: AsJson = False,
    debug: Debug = False,
    **options: object,
) -> None:
    """Train one model across several clients on this machine, each a process with its own rows.

    Without --data, three clients train on synthetic rows. The run folder contains the model (model.joblib,
    model.json), metrics.json, rounds.jsonl, report.html and each client's own files (clients/*).

    \b
    Examples:
      python -m federation.local
      python -m federation.local --data claims.csv --label fraud --clients 4 --rounds 10
      python -m federation.local --data claims.csv --label fraud --partition column:hospital
      python -m federation.local --strategy fedavgm --param server_momentum=0.5
      python -m federation.local --resume runs/20261122-155228
      python -m federation.local --data claims.csv --label fraud --repeat 10
    """
    carry_out(context)


def carry_out(context: typer.Context, **how: Any) -> None:
    """Run what the command line asks for.

    Parameters
    ----------
    context : typer.Context
        The options, and which of them were given.
    **how
        Fields of `federation.runs.local.training.LocalRun` that no option sets.
    """
    log_failed_handshakes()
    options = _options(context)
    training = TrainingSettings.from_options(options)
    with fork_server() as forks:  # it loads the clients' libraries while this process loads its own
        _train(context.params, options, training, forks=lambda: nullcontext(forks), **how)


def _options(context: typer.Context) -> dict[str, Any]:
    """Return the options of the run: of the command line, or of the command that is resumed."""
    from federation.cli.options import all_options, given_options
    from federation.runs.record.lock import folder_of

    if context.params["resume"]:
        from federation.runs.record.settings import recall

        return recall(Path(context.params["resume"]), given_options(context), all_options(context))
    started = dt.datetime.now(dt.UTC)
    folder = str(context.params["out"] or folder_of(started))
    return all_options(context) | {"out": folder, "started": started.isoformat()}


def _train(
    asked: Mapping[str, Any], options: Mapping[str, Any], training: TrainingSettings, **how: Any
) -> None:
    # Imported here, so that --help answers at once and Ctrl-C while they load is only "interrupted".
    from federation.cli.progress import Progress, show_metrics
    from federation.cli.tables import open_tables
    from federation.runs.local.training import train_locally

    log_refusals_only()
    resume = Path(asked["resume"]) if asked["resume"] else None
    given = options["data"]
    # A run that is resumed has its data already: nothing is fetched again.
    with nullcontext(Path(given) if given else None) if resume else open_tables(given) as data:
        settings = replace(_settings(options, training, data, resume=resume), **how)
        if asked["repeat"] is not None and not resume:
            _repeat(settings, asked["repeat"], as_json=asked["as_json"])
            return
        metrics = train_locally(settings, Progress())
    if asked["as_json"]:
        typer.echo((settings.out / "metrics.json").read_text(encoding="utf-8"), nl=False)
    else:
        show_metrics(metrics, settings.out)


def _settings(
    options: Mapping[str, Any], training: TrainingSettings, data: Path | None, *, resume: Path | None
) -> "LocalRun":
    """Return what to run, from the options of this command or of the one that is resumed."""
    from federation.data.preparation.options import choose_preparation
    from federation.runs.local.training import LocalRun

    given = {name: options[name] for name in PREPARATION}
    preparation = choose_preparation(data, options["seed"], **given)
    return LocalRun(
        source=data,
        preparation=preparation,
        training=training,
        out=resume or Path(options["out"]),
        port=options["port"],
        join_timeout=options["join_timeout"],
        started=dt.datetime.fromisoformat(options["started"]),
        options=options,
        resumed=resume is not None,
    )


def _repeat(settings: "LocalRun", times: int, *, as_json: bool) -> None:
    from federation.cli.progress import Progress, show_spread
    from federation.runs.local.repeat import SUMMARY, repeat
    from federation.runs.local.training import train_locally

    progress = Progress()

    def train(run: "LocalRun") -> "RunMetrics":
        progress.step(f"Seed {run.training.seed}")
        own = {"seed": run.training.seed, "out": str(run.out), "repeat": None}
        return train_locally(
            replace(run, started=dt.datetime.now(dt.UTC), options={**run.options, **own}), progress
        )

    summary = repeat(settings, times, train)
    if as_json:
        typer.echo((settings.out / SUMMARY).read_text(encoding="utf-8"), nl=False)
    else:
        show_spread(summary, settings.out)


if __name__ == "__main__":
    run_and_end(main)
