"""Run the federation on AWS: ``python -m federation.server --help``.

On the server's notebook, or wherever its role's credentials are.
"""

import datetime as dt
import logging
import secrets
from pathlib import Path
from typing import Annotated

import typer

from federation.command import Debug, run
from federation.options import (
    AsJson,
    JoinTimeout,
    MaxIter,
    Out,
    Penalty,
    Quorum,
    Rounds,
    RoundTimeout,
    Seed,
    StrategyName,
    StrategyParameters,
    penalty_name,
    strategy_parameters,
)


def main(  # noqa: PLR0913 - a command's options
    *,
    config: Annotated[Path, typer.Option(help="The federation's configuration file.")],
    label: Annotated[str, typer.Option(help="Column to predict.")],
    test_data: Annotated[
        Path | None,
        typer.Option(help="The server's held-back rows, CSV. [default: test.csv beside the configuration]"),
    ] = None,
    rounds: Rounds = None,
    strategy: StrategyName = "fedavg",
    param: StrategyParameters = None,
    penalty: Penalty = "l2",
    max_iter: MaxIter = 10,
    balanced: Annotated[bool, typer.Option("--balanced", help="Weight both classes equally.")] = False,
    quorum: Quorum = None,
    round_timeout: RoundTimeout = 600.0,
    join_timeout: JoinTimeout = 1800.0,
    spot: Annotated[bool, typer.Option("--spot", help="Use managed Spot capacity.")] = False,
    keep_alive: Annotated[
        int, typer.Option(help="Seconds to keep the instances for the next run.", min=0, max=3600)
    ] = 0,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [default: this machine's, towards the clients]")
    ] = None,
    poll_seconds: Annotated[
        float, typer.Option(help="How often to ask for the jobs' status.", min=0.1)
    ] = 5.0,
    seed: Seed = 0,
    out: Out = None,
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
    """  # noqa: D301 - a backspace keeps typer from joining the lines
    # Imported here, so that --help answers at once and Ctrl-C while they load is only "interrupted".
    from federation.aws.client_account import client_accounts  # noqa: PLC0415
    from federation.aws.identity import sts_of  # noqa: PLC0415
    from federation.aws.s3 import stores  # noqa: PLC0415
    from federation.config import load_config  # noqa: PLC0415
    from federation.errors import OutputExistsError  # noqa: PLC0415
    from federation.job_request import JobSettings  # noqa: PLC0415
    from federation.progress import Progress, show_metrics  # noqa: PLC0415
    from federation.server_app import TrainingSettings  # noqa: PLC0415
    from federation.server_run import ServerRun, keep_in_bucket, run_on_aws  # noqa: PLC0415
    from federation.source_archive import source_archive  # noqa: PLC0415
    from federation.strategies import default_rounds  # noqa: PLC0415
    from federation.tables import read_table  # noqa: PLC0415

    logging.getLogger("flwr").setLevel(logging.ERROR)  # Flower's account of every round; ours is shorter
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("federation").setLevel(logging.WARNING)  # who was refused, and why
    started = dt.datetime.now(dt.UTC)
    run_id = f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = out or Path("runs") / run_id
    if folder.exists():
        raise OutputExistsError(f"{folder} exists already.", "Choose another folder with --out.")
    federation = load_config(config)
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
        ),
        jobs=JobSettings(
            label=label,
            source_key=source_archive().key,
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
    )
    progress = Progress()
    test = read_table(test_data or config.parent / "test.csv", label=label)
    accounts, ask_sts = client_accounts(federation), sts_of(federation.server.region)
    metrics = run_on_aws(settings, test, accounts, progress, ask_sts=ask_sts)
    own = federation.server_names
    results = stores()(bucket=own.results_bucket, account=own.account, region=own.region)
    progress.step(f"Keeping the run in {keep_in_bucket(results, folder, run_id)}")
    if as_json:
        typer.echo((folder / "metrics.json").read_text(encoding="utf-8"), nl=False)
    else:
        show_metrics(metrics, folder)


if __name__ == "__main__":
    run(main)
