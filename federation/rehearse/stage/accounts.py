"""The accounts of a federation, and a rehearsal's access to them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from federation.aws.edge.boto import BotoClient
from federation.config.schema import FederationConfig
from federation.rehearse.machine.embedded_aws import EmbeddedAws

Connect = Callable[[str, "Account"], Any]


@dataclass(frozen=True, kw_only=True)
class Account:
    """One party's account.

    Parameters
    ----------
    party : str
        The party's name in messages.
    number, region : str
        The number and region of the account.
    """

    party: str
    number: str
    region: str

    def __str__(self) -> str:
        return f"{self.party}, account {self.number}, {self.region}"


def accounts_of(config: FederationConfig) -> list[Account]:
    """Return the accounts of a federation, the server's first."""
    return [
        Account(party=party.label, number=party.account, region=party.region)
        for party in (config.server, *config.clients)
    ]


def connector(aws: EmbeddedAws) -> Connect:
    """Return a maker of boto3 clients that act as an account's root.

    No setting of the machine has an effect: the endpoint and the keys are explicit.
    """
    session = boto3.Session(aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106 (no secret)

    def connect(service: str, account: Account) -> BotoClient:
        keys = aws.root_credentials(account.number)
        return session.client(
            service,
            region_name=account.region,
            endpoint_url=aws.endpoint_url,
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )

    return connect
