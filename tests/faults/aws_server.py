"""The server of a federation on AWS, where AWS is a stand-in of the test's.

The environment variable FAULTS says more, in JSON: ``federation`` (the configuration), ``sts`` (the URL of
the STS that says who joins, if it is another), ``clock`` (start and speed of the clock that the kickoff
roles' sessions go by).
"""

import datetime as dt
import json
import os
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer

from federation.aws.edge.client_account import ClientAccount
from federation.aws.edge.sts import sts_of
from federation.aws.jobs.request import ClientNetwork, JobSettings
from federation.cli.command import run
from federation.cli.progress import Progress
from federation.config.schema import parse_config
from federation.data.synthetic import LABEL
from federation.data.table import read_table
from federation.learning.settings import TrainingSettings
from federation.runs.on_aws import ServerRun, run_on_aws
from tests.faults.aws_standin import fast_clock

PLAN: dict[str, Any] = json.loads(os.environ["FAULTS"])


class Account(ClientAccount):
    """A client's account, whose network needs no looking up: the stand-in has none."""

    def network(self) -> ClientNetwork:
        """Return a network."""
        return ClientNetwork(subnets=("subnet-1",), security_group="sg-1", key_arn="arn:aws:kms:::key/k")


def main(
    data: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    rounds: Annotated[int, typer.Option()] = 3,
    quorum: Annotated[int | None, typer.Option()] = None,
    join_timeout: Annotated[float, typer.Option()] = 90.0,
) -> None:
    """Run the federation as ``federation.server`` does once it has its configuration and rows."""
    config = parse_config(PLAN["federation"])
    elsewhere = {"AWS_ENDPOINT_URL_STS": PLAN["sts"]} if "sts" in PLAN else {}
    os.environ.update(elsewhere)
    ask_sts = sts_of(config.server.region)
    for name in elsewhere:
        del os.environ[name]
    now = fast_clock(*PLAN["clock"])
    session = boto3.Session(region_name=config.server.region)
    accounts = {client.name: Account(config, client, session, now=now) for client in config.clients}
    settings = ServerRun(
        config=config,
        training=TrainingSettings(rounds=rounds, quorum=quorum),
        jobs=JobSettings(label=LABEL, source_key="source/abc/source.tar.gz", patience=30),
        host="127.0.0.1",
        join_timeout=join_timeout,
        poll_seconds=0.2,
        out=out,
        run_id="r1",
        started=dt.datetime.now(dt.UTC),
    )
    test = read_table(data / "server" / "test.csv", label=LABEL)
    run_on_aws(settings, test, accounts, Progress(), ask_sts=ask_sts)


if __name__ == "__main__":
    run(main)
