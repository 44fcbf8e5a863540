"""Build the views of AWS for a run and its checks, with the credentials of this process."""

import datetime as dt
from collections.abc import Callable
from functools import partial

import boto3

from federation.aws.checks.server import ServerView
from federation.aws.edge.buckets.s3 import Store, stores
from federation.aws.edge.client_account import ClientAccount, client_accounts
from federation.aws.edge.errors import translated
from federation.aws.edge.identity import caller
from federation.aws.edge.own_account import OwnAccount
from federation.aws.jobs.found_jobs import JobFinder
from federation.aws.ports import Caller
from federation.config.names import PartyNames
from federation.config.schema import FederationConfig
from federation.data.table import Table


class OnAws:
    """A federation, as visible to the server's role.

    Parameters
    ----------
    config : FederationConfig
        The federation.
    now : datetime, optional
        The current time.
    """

    def __init__(self, config: FederationConfig, *, now: dt.datetime | None = None) -> None:
        with translated("connect", "AWS", denied=""):
            self._session = boto3.session.Session()
            self.accounts: dict[str, ClientAccount] = client_accounts(config, self._session)
        own = config.server_names
        self._config = config
        self.results: Store = stores(lambda: self._session)(
            bucket=own.results_bucket, account=own.account, region=own.region
        )
        self.own = OwnAccount(own, self._session)
        self.jobs = JobFinder(config, self.results, self.accounts, now=now or dt.datetime.now(dt.UTC))

    def caller(self) -> Caller:
        """Ask for the identity of the current credentials."""
        return caller(self._session, self._config.server.region)

    def view(self, test_rows: Callable[[], Table | tuple[str, ...]]) -> ServerView:
        """Return the view that the server's checks use."""
        return ServerView(
            caller=self.caller,
            own_side=self.own.side,
            accounts=self.accounts,
            results=self.results,
            jobs=self.jobs.of,
            test_rows=test_rows,
        )


def own_account(own: PartyNames) -> OwnAccount:
    """Return a party's account, for the credentials of this process."""
    with translated("connect", "AWS", denied=""):
        return OwnAccount(own, boto3.session.Session())


def caller_in(region: str) -> Callable[[], Caller]:
    """Return a function that identifies this process's credentials, with requests to a region."""
    return partial(_caller_in, region)


def _caller_in(region: str) -> Caller:
    with translated("connect", "AWS", denied=""):
        session = boto3.session.Session()
    return caller(session, region)
