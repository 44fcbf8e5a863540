"""One embedded AWS for all rehearsal tests, emptied between them."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from federation.rehearse.embedded_aws import EmbeddedAws

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
    with EmbeddedAws(stop_grace=0.5) as aws:
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
