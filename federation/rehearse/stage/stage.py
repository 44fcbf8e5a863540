"""The environment that all phases of a rehearsal share."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from federation.checkout import PROJECT
from federation.config.schema import FederationConfig
from federation.rehearse.machine.embedded_aws import EmbeddedAws
from federation.rehearse.stage.accounts import Account, Connect, accounts_of, connector
from federation.rehearse.stage.steps import Steps


@dataclass(frozen=True, kw_only=True)
class Stage:
    """An embedded AWS, and the federation that the rehearsal deploys in it.

    Parameters
    ----------
    aws : EmbeddedAws
        It runs.
    config : FederationConfig
        The federation.
    config_file : pathlib.Path
        The file that every party has of it.
    logs : pathlib.Path
        A folder for the output of commands.
    steps : Steps
        Shows the progress.
    checkout : pathlib.Path
        The operators' checkout; see `federation.rehearse.machine.image.stand_in.StandIn.checkout`.
    """

    aws: EmbeddedAws
    config: FederationConfig
    config_file: Path
    logs: Path
    steps: Steps
    checkout: Path = PROJECT

    @property
    def accounts(self) -> list[Account]:
        """The parties' accounts, the server's first."""
        return accounts_of(self.config)

    @cached_property
    def connect(self) -> Connect:
        """A maker of boto3 clients that act as an account's root."""
        return connector(self.aws)
