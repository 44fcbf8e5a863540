"""Run the federation on AWS: ``python -m federation.server --help``.

On the server's notebook, or wherever its role's credentials are.
"""

import datetime as dt
import logging
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer

from federation.command import Debug, run
from federation.options import (
    AsJson,
    Config,
    Host,
    JoinTimeout,
    MaxIter,
    MaxUpdateNorm,
    MinClients,
    Out,
    Penalty,
    Quorum,
    Rounds,
    RoundTimeout,
    Seed,
    SetAsideAfter,
    StrategyName,
    StrategyParameters,
    TestData,
    penalty_name,
    strategy_parameters,
)


def main(  # noqa: PLR0913, PLR0915 - a command's options, and what becomes of each
    *,
    context: typer.Context,
    config: Config,
    label: Annotated[str, typer.Option(help="Column to predict.")],
    test_data: TestData = None,
    rounds: Rounds = None,
    strategy: StrategyName = "fedavg",
    param: StrategyParameters = None,
    penalty: Penalty = "l2",
    max_iter: MaxIter = 10,
    balanced: Annotated[bool, typer.Option("--balanced", help="Weight both classes equally.")] = False,
    min_clients: MinClients = None,
    quorum: Quorum = None,
    set_aside_after: SetAsideAfter = 3,
    max_update_norm: MaxUpdateNorm = 1e6,
    round_timeout: RoundTimeout = 600.0,
    join_timeout: JoinTimeout = 1800.0,
    spot: Annotated[bool, typer.Option("--spot", help="Use managed Spot capacity.")] = False,
    keep_alive: Annotated[
        int, typer.Option(help="Seconds to keep the instances for the next run.", min=0, max=3600)
    ] = 0,
    host: Host = None,
    poll_seconds: Annotated[
        float, typer.Option(help="How often to ask for the jobs' status.", min=0.1)
    ] = 5.0,
    seed: Seed = 0,
    out: Out = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder of a run that stopped, to go on with.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,  # noqa: ARG001 - read by federation.command
) -> None:
    """Start a training job in every client's account, train with them, save the model.

    Each client must have published its code and data (python -m federation.publish). The run folder holds the
    model, its figures and report.html, and goes to the results bucket too.

    \b
    Examples:
      python -m federation.server --config federation.toml --label fraudulent_provider
      python -m federation.server --config federation.toml --label fraud --rounds 10 --quorum 2 --spot
      python -m federation.server --config federation.toml --label fraud --resume runs/20261122-155228-3f46
    """  # noqa: D301 - a backspace keeps typer from joining the lines
    # Imported here, so that --help answers at once and Ctrl-C while they load is only "interrupted".
    from federation.aws.sts import sts_of  # noqa: PLC0415
    from federation.aws.views import OnAws  # noqa: PLC0415
    from federation.bucket_copy import BucketCopy  # noqa: PLC0415
    from federation.checks import first_error, run_checks  # noqa: PLC0415
    from federation.config import contract_of, load_config  # noqa: PLC0415
    from federation.contract import read_prepared  # noqa: PLC0415
    from federation.contract_file import contract_beside, governing  # noqa: PLC0415
    from federation.errors import OutputExistsError  # noqa: PLC0415
    from federation.job_request import JobSettings  # noqa: PLC0415
    from federation.names import RUNS_PREFIX  # noqa: PLC0415
    from federation.progress import Progress, show_metrics  # noqa: PLC0415
    from federation.resume import all_options, attempts, given_options, recall, remember  # noqa: PLC0415
    from federation.run_record import RunRecord  # noqa: PLC0415
    from federation.server_app import TrainingSettings  # noqa: PLC0415
    from federation.server_checks import server_checks  # noqa: PLC0415
    from federation.server_run import ServerRun, keep_in_bucket, run_on_aws  # noqa: PLC0415
    from federation.source_archive import source_archive  # noqa: PLC0415
    from federation.started_jobs import new_run_id, note_jobs, stop_former_jobs  # noqa: PLC0415
    from federation.strategies import default_rounds  # noqa: PLC0415

    logging.getLogger("flwr").setLevel(logging.ERROR)  # Flower's account of every round; ours is shorter
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("federation").setLevel(logging.WARNING)  # who was refused, and why
    started = dt.datetime.now(dt.UTC)
    run_id = new_run_id(started, secrets.token_hex(2))
    folder = resume or out or Path("runs") / run_id
    attempt, kept = 1, dict[str, Any]()
    if resume:
        kept = recall(resume, given_options(context))
        run_id, started = kept["run_id"], dt.datetime.fromisoformat(kept["started"])
        attempt = attempts(resume) + 1
        rounds, strategy, param, seed = (kept[name] for name in ("rounds", "strategy", "param", "seed"))
        penalty, max_iter, balanced = (kept[name] for name in ("penalty", "max_iter", "balanced"))
        quorum, min_clients = kept["quorum"], kept["min_clients"]
        set_aside_after, max_update_norm = kept["set_aside_after"], kept["max_update_norm"]
    elif folder.exists():
        raise OutputExistsError(f"{folder} exists already.", "Choose another folder with --out.")
    federation, archive = load_config(config), source_archive()
    held_back = test_data or config.parent / "test.csv"
    agreed = governing(contract_of(federation, config), contract_beside(held_back), str(held_back))
    settings = ServerRun(
        config=federation,
        training=TrainingSettings(
            strategy=strategy,
            parameters=strategy_parameters(param),
            rounds=default_rounds(strategy) if rounds is None else rounds,
            balanced=balanced,
            quorum=quorum,
            round_timeout=round_timeout,
            seed=seed,
            penalty=penalty_name(penalty),
            min_clients=min_clients,
            set_aside_after=set_aside_after,
            max_update_norm=max_update_norm,
        ),
        jobs=JobSettings(
            label=label,
            source_key=archive.key,
            penalty=penalty_name(penalty),
            max_iter=max_iter,
            spot=spot,
            keep_alive=keep_alive,
        ),
        host=host,
        join_timeout=join_timeout,
        poll_seconds=poll_seconds,
        out=folder,
        run_id=run_id,
        started=started,
        attempt=attempt,
        contract=agreed.digest if agreed else "",
    )
    progress = Progress()
    test = read_prepared(held_back, label=label, contract=agreed)
    aws = OnAws(federation)
    progress.step("Checking what the run needs")
    view = aws.view(lambda: test)
    going_on = run_id if resume else None
    checks = run_checks(server_checks(federation, view, host=host, digest=archive.digest, resumed=going_on))
    progress.checked(checks)
    if error := first_error(checks):
        raise error
    if resume:
        progress.step(f"Going on with run {run_id}")
        stop_former_jobs(federation, aws.results, aws.accounts, run_id, now=dt.datetime.now(dt.UTC))
    note_jobs(aws.results, federation, settings.jobs_id)
    remember(folder, all_options(context) | {"run_id": run_id, "started": started.isoformat()} | kept)
    record = RunRecord(folder)
    copy = BucketCopy(aws.results, f"{RUNS_PREFIX}{run_id}/", folder, event=record.event, say=progress.step)
    try:
        with copy:
            record.copy = copy
            sts = sts_of(federation.server.region)
            metrics = run_on_aws(settings, test, aws.accounts, progress, ask_sts=sts, record=record)
    finally:
        if folder.exists():  # also if a job failed after the model was saved
            progress.step(f"Keeping the run in {keep_in_bucket(aws.results, folder, run_id)}")
    if as_json:
        typer.echo((folder / "metrics.json").read_text(encoding="utf-8"), nl=False)
    else:
        show_metrics(metrics, folder)


if __name__ == "__main__":
    run(main)
