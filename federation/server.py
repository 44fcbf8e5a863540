"""Run the federation on AWS: ``python -m federation.server --help``.

On the server's notebook, or wherever its role's credentials are.
"""

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from federation.cli.command import Debug, run
from federation.cli.options import (
    DATA,
    OUTPUT,
    RUN,
    AsJson,
    Config,
    Host,
    Out,
    Resume,
    TestData,
    finite,
    join_timeout,
    log_refusals_only,
    training_options,
)
from federation.learning.settings import TrainingSettings
from federation.stream.handshakes import log_failed_handshakes

if TYPE_CHECKING:
    from federation.aws.edge.views import OnAws
    from federation.cli.progress import Progress
    from federation.config.schema import FederationConfig
    from federation.data.table import Table
    from federation.report.facts import RunMetrics
    from federation.runs.on_aws import ServerRun


@training_options()
def main(  # noqa: PLR0913 - a command's options
    *,
    context: typer.Context,
    config: Config,
    label: Annotated[str, typer.Option(help="Column to predict.", metavar="COLUMN", rich_help_panel=DATA)],
    test_data: TestData = None,
    join_timeout: Annotated[float, join_timeout("1800")] = 1800.0,
    spot: Annotated[
        bool, typer.Option("--spot", help="Use managed Spot capacity.", rich_help_panel=RUN)
    ] = False,
    keep_alive: Annotated[
        int,
        typer.Option(
            help="Time to keep the instances for the next run, as far as max_keep_alive_seconds allows.",
            metavar="SECONDS",
            min=0,
            max=3600,
            rich_help_panel=RUN,
        ),
    ] = 0,
    host: Host = None,
    poll_seconds: Annotated[
        float,
        typer.Option(
            help="Interval between two queries of the jobs' status.",
            metavar="SECONDS",
            min=0.1,
            callback=finite,
            rich_help_panel=RUN,
        ),
    ] = 5.0,
    resume: Resume = None,
    note: Annotated[
        str | None,
        typer.Option(
            help="Remark for the run's record and its report.", show_default=False, rich_help_panel=OUTPUT
        ),
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
    debug: Debug = False,
    **training: object,
) -> None:
    """Start a training job in every client's account, train one model with them, and save it.

    Each client must have published its code and data (python -m federation.publish). The run folder contains
    the model, its metrics and report.html; the results bucket keeps a copy.

    \b
    Examples:
      python -m federation.server --config federation.toml --label fraudulent_provider
      python -m federation.server --config federation.toml --label fraud --rounds 10 --quorum 2 --spot
      python -m federation.server --config federation.toml --label fraud --resume runs/20261122-155228-3f46
    """
    carry_out(context)


def carry_out(context: typer.Context) -> None:
    """Run what the command line asks for."""
    log_failed_handshakes()
    # Imported here, so that --help answers at once and Ctrl-C while they load is only "interrupted".
    from federation.runs.record.lock import exclusive

    log_refusals_only()
    options = _options(context)
    with exclusive(Path(options["out"]), new=not context.params["resume"]):
        _carry_out(context, options)


def _carry_out(context: typer.Context, options: Mapping[str, Any]) -> None:
    from federation.aws.checks.checks import first_error, run_checks
    from federation.aws.checks.server import server_checks
    from federation.aws.edge.views import OnAws
    from federation.aws.jobs.found_jobs import note_jobs, stop_former_jobs
    from federation.aws.publishing.source_archive import source_archive
    from federation.cli.progress import Progress, show_metrics
    from federation.config.contract import contract_beside, governing
    from federation.config.schema import contract_of, load_own_config
    from federation.data.contract_check import read_prepared
    from federation.data.preparation.prepared import manifest_beside
    from federation.learning.preprocessing.prepared import Prepared
    from federation.runs.record.settings import attempts, remember

    folder, run_id = Path(options["out"]), options["run_id"]
    resumed = run_id if context.params["resume"] else None
    config_file = Path(options["config"])
    config, archive = load_own_config(config_file), source_archive()
    held_back = Path(options["test_data"] or config_file.parent / "test.csv")
    contract = governing(contract_of(config, config_file), contract_beside(held_back), str(held_back))
    manifest = manifest_beside(held_back)
    settings = replace(
        _settings(options, config, archive.key),
        attempt=attempts(folder) + 1,
        prepared=Prepared.of(manifest, contract) if manifest else Prepared(contract=contract),
    )
    progress = Progress()
    test = read_prepared(held_back, label=options["label"], contract=contract)
    aws = OnAws(config)
    progress.step("Checking what the run needs")
    view = aws.view(lambda: test)
    checks = run_checks(
        server_checks(
            config,
            view,
            host=settings.host,
            digest=archive.digest,
            config_file=config_file,
            resumed=resumed,
        )
    )
    progress.checked(checks)
    if error := first_error(checks):
        raise error
    if resumed:
        progress.step(f"Going on with run {run_id}")
        stop_former_jobs(config, aws.results, aws.accounts, run_id, now=dt.datetime.now(dt.UTC))
    note_jobs(aws.results, config, settings.jobs_id)
    remember(folder, options)
    metrics = _run(settings, test, aws, progress, options)
    if context.params["as_json"]:
        typer.echo((folder / "metrics.json").read_text(encoding="utf-8"), nl=False)
    else:
        show_metrics(metrics, folder)


def _run(
    settings: "ServerRun", test: "Table", aws: "OnAws", progress: "Progress", options: Mapping[str, Any]
) -> "RunMetrics":
    """Run, and keep what there is in the results bucket, also of a run that fails."""
    from federation.aws.edge.sts import sts_of
    from federation.config.names import RUNS_PREFIX
    from federation.runs.on_aws import keep_in_bucket, run_on_aws
    from federation.runs.record.bucket_copy import BucketCopy
    from federation.runs.record.record import RunRecord

    folder, prefix = settings.out, f"{RUNS_PREFIX}{settings.run_id}/"
    record = RunRecord(folder, options=options)
    copy = BucketCopy(aws.results, prefix, folder, event=record.event, say=progress.step)
    try:
        with copy:
            record.copy = copy
            sts = sts_of(settings.config.server.region)
            return run_on_aws(settings, test, aws.accounts, progress, ask_sts=sts, record=record)
    finally:
        if folder.exists():  # also if a job failed after the model was saved
            progress.step(f"Keeping the run in {keep_in_bucket(aws.results, folder, settings.run_id)}")


def _options(context: typer.Context) -> dict[str, Any]:
    """Return the options of this run, or those of the one to go on with, and what names the run.

    Raises
    ------
    ResumeError
        There is no such run, it has ended, or an option differs from the run's.
    """
    from federation.aws.jobs.found_jobs import new_run_id
    from federation.cli.options import all_options, given_options
    from federation.runs.record.settings import recall

    if resume := context.params["resume"]:
        kept = recall(Path(resume), given_options(context), all_options(context), named=("started", "run_id"))
        return kept | {"out": str(resume)}
    started = dt.datetime.now(dt.UTC)
    run_id = new_run_id(started, secrets.token_hex(2))
    folder = context.params["out"] or Path("runs") / run_id
    named = {"out": str(folder), "run_id": run_id, "started": started.isoformat()}
    return all_options(context) | named


def _settings(options: Mapping[str, Any], config: "FederationConfig", source_key: str) -> "ServerRun":
    """Return what to run, from the options of this command or of the one that is resumed."""
    from federation.aws.jobs.request import JobSettings
    from federation.runs.on_aws import ServerRun

    training = TrainingSettings.from_options(options)
    of_jobs = ("label", "spot", "keep_alive")
    plain = ("host", "join_timeout", "poll_seconds", "run_id")
    return ServerRun(
        config=config,
        training=training,
        jobs=JobSettings(
            source_key=source_key,
            max_iter=training.max_iter,
            **{name: options[name] for name in of_jobs},
        ),
        out=Path(options["out"]),
        started=dt.datetime.fromisoformat(options["started"]),
        note=options["note"] or "",
        **{name: options[name] for name in plain},
    )


if __name__ == "__main__":
    run(main)
