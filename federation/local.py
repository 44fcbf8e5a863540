"""Train together on one machine: ``python -m federation.local --help``.

A server and its clients run as processes, over the real encrypted stream; the very ``client_code`` that
SageMaker will run takes part. Nothing of AWS is used.
"""

import datetime as dt
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from federation.command import Debug, run
from federation.options import (
    AsJson,
    ContractFile,
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

if TYPE_CHECKING:
    from federation.local_training import LocalRun
    from federation.report import RunMetrics


def main(  # noqa: PLR0913 - a command's options
    *,
    data: Annotated[
        Path | None,
        typer.Option(
            help="CSV file, or a folder from federation.data_prep. [default: synthetic data]",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Column to predict. Needed with a CSV file.", show_default=False)
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="Value of the label that counts as positive, if it is not 0 and 1.")
    ] = None,
    clients: Annotated[
        int | None, typer.Option(help="Number of clients. [default: 3]", show_default=False)
    ] = None,
    partition: Annotated[
        str | None,
        typer.Option(
            help="How rows become clients: iid, quantile:COLUMN or column:COLUMN. [default: iid]",
            show_default=False,
        ),
    ] = None,
    resample: Annotated[
        str | None,
        typer.Option(
            help="Training rows: smote (1:1), balanced (class weights) or none. "
            "[default: smote; balanced if the table has texts or gaps]",
            show_default=False,
        ),
    ] = None,
    contract: ContractFile = None,
    rounds: Rounds = None,
    strategy: StrategyName = "fedavg",
    param: StrategyParameters = None,
    penalty: Penalty = "l2",
    max_iter: MaxIter = 10,
    quorum: Quorum = None,
    round_timeout: RoundTimeout = 600.0,
    join_timeout: JoinTimeout = 120.0,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 0,
    seed: Seed = 0,
    repeat: Annotated[
        int | None,
        typer.Option(
            help="Run this many seeds, from --seed on, and summarise them: mean, spread, interval.",
            show_default=False,
        ),
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
    debug: Debug = False,  # noqa: ARG001 - read by federation.command
) -> None:
    """Train one model across several clients on this machine, each a process with its own rows.

    Without --data it makes up synthetic rows for three clients. The run folder holds the model (model.joblib,
    model.json), metrics.json, rounds.jsonl, what each client kept (clients/*) and report.html.

    \b
    Examples:
      python -m federation.local
      python -m federation.local --data claims.csv --label fraud --clients 4 --rounds 10
      python -m federation.local --data claims.csv --label fraud --partition column:hospital
      python -m federation.local --strategy fedavgm --param server_momentum=0.5
      python -m federation.local --data claims.csv --label fraud --repeat 10
    """  # noqa: D301 - a backspace keeps typer from joining the lines
    # Imported here, so that --help answers at once and Ctrl-C while they load is only "interrupted".
    from federation.local_training import LocalRun, choose_preparation, train_locally  # noqa: PLC0415
    from federation.progress import Progress, show_metrics  # noqa: PLC0415
    from federation.server_app import TrainingSettings  # noqa: PLC0415
    from federation.strategies import default_rounds  # noqa: PLC0415

    logging.getLogger("flwr").setLevel(logging.ERROR)  # Flower's account of every round; ours is shorter
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("federation").setLevel(logging.WARNING)  # who was refused, and why
    started = dt.datetime.now(dt.UTC)
    settings = LocalRun(
        source=data,
        preparation=choose_preparation(
            data,
            seed,
            label=label,
            positive=positive,
            clients=clients,
            partition=partition,
            resample=resample,
            contract=contract,
        ),
        training=TrainingSettings(
            strategy=strategy,
            parameters=strategy_parameters(param),
            rounds=default_rounds(strategy) if rounds is None else rounds,
            quorum=quorum,
            round_timeout=round_timeout,
            seed=seed,
        ),
        out=out or Path("runs") / f"{started:%Y%m%d-%H%M%S}",
        penalty=penalty_name(penalty),
        max_iter=max_iter,
        port=port,
        join_timeout=join_timeout,
        started=started,
    )
    if repeat is not None:
        _repeat(settings, repeat, as_json=as_json)
        return
    metrics = train_locally(settings, Progress())
    if as_json:
        typer.echo((settings.out / "metrics.json").read_text(encoding="utf-8"), nl=False)
    else:
        show_metrics(metrics, settings.out)


def _repeat(settings: "LocalRun", times: int, *, as_json: bool) -> None:
    from federation.local_training import train_locally  # noqa: PLC0415
    from federation.progress import Progress, show_spread  # noqa: PLC0415
    from federation.repeat import SUMMARY, repeat  # noqa: PLC0415

    progress = Progress()

    def train(run: "LocalRun") -> "RunMetrics":
        progress.step(f"Seed {run.training.seed}")
        return train_locally(replace(run, started=dt.datetime.now(dt.UTC)), progress)

    summary = repeat(settings, times, train)
    if as_json:
        typer.echo((settings.out / SUMMARY).read_text(encoding="utf-8"), nl=False)
    else:
        show_spread(summary, settings.out)


if __name__ == "__main__":
    run(main)
