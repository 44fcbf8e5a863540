"""One embedded AWS for all rehearsal tests of a process, emptied between them."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from federation.rehearse.machine.embedded_aws import EmbeddedAws
from federation.rehearse.parties.federated_run import Participants
from federation.rehearse.parties.prepared_data import prepare_data
from tests.local.processes import ROOT, environment
from tests.rehearsal.federations import ClientBucket, Federation, embedded_aws, stage
from tests.rehearsal.watching import Watched

SERVER, CLIENT = "111111111111", "222222222222"
REGION = "us-east-1"
Connect = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_aws_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the machine's own AWS settings."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def running_aws() -> Iterator[EmbeddedAws]:
    """Start the emulator once."""
    with embedded_aws() as aws:
        yield aws


@pytest.fixture
def aws(running_aws: EmbeddedAws) -> EmbeddedAws:
    """Return an emulator whose accounts are empty."""
    running_aws.reset()
    return running_aws


@pytest.fixture
def connect(aws: EmbeddedAws) -> Connect:
    """Return a maker of boto3 clients: as the root of an account, or with given credentials."""
    return connector(aws)


def connector(aws: EmbeddedAws) -> Connect:
    """Return a maker of boto3 clients of one emulator."""

    def make(service: str, account: str = SERVER, *, region: str = REGION, credentials: Any = None) -> Any:
        keys = credentials or {"AccessKeyId": account, "SecretAccessKey": "test", "SessionToken": None}
        return boto3.client(
            service,
            endpoint_url=aws.endpoint_url,
            region_name=region,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    return make


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Deploy and publish once, for all tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("federation")
    data = prepare_data(None, folder / "data", ("site-1", "site-2"))
    with embedded_aws() as aws:
        deployed = Federation(stage(aws, folder), data=folder / "data", label=data.label)
        deployed.deployment.deploy()
        participants = Participants(deployed.stage)
        for client in deployed.stage.config.clients:
            participants.publish(client, data.clients[client.name])
        yield deployed


@pytest.fixture
def bucket(federation: Federation) -> Iterator[ClientBucket]:
    """Return a client's code bucket, whose objects are as before in the end."""
    kept = federation.bucket("site-2", "code")
    yield kept
    kept.restore()


@pytest.fixture
def rows(federation: Federation) -> Iterator[ClientBucket]:
    """Return a client's data bucket, whose objects are as before in the end."""
    kept = federation.bucket("site-2", "data")
    yield kept
    kept.restore()


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The README's first command, run once.

    Parameters
    ----------
    watched : Watched
        How it went.
    out : pathlib.Path
        The rehearsal's folder.
    temporary : set of str
        Temporary folders of its own that it left.
    """

    watched: Watched
    out: Path
    temporary: set[str]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run ``make demo`` as the README says; its folder is removed in the end."""
    temporary = tmp_path_factory.mktemp("tmp")
    watched = Watched(["make", "demo"], ROOT, {**environment(), "TMPDIR": str(temporary)})
    assert watched.code == 0, watched.err
    report = ROOT / watched.out.splitlines()[-1].removeprefix("Report: ")
    out = report.parent.parent
    yield Demo(watched=watched, out=out, temporary=temporary_folders(temporary))
    shutil.rmtree(out)


def temporary_folders(below: Path) -> set[str]:
    """Return the temporary folders of rehearsals that are there."""
    return {path.name for path in below.glob("federation-rehearsal-*")}
