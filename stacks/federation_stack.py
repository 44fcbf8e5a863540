"""The base class of all stacks of a federation."""

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from constructs import Construct

from federation.config import names
from federation.config.schema import Client, FederationConfig, Server


class FederationStack(cdk.Stack):
    """A stack in one party's account and region, tagged, that synthesises without credentials.

    Parameters
    ----------
    scope : Construct
        The app.
    construct_id : str
        The stack's name.
    config : FederationConfig
        The whole federation.
    party : Server or Client
        The party that owns the stack.
    description : str
        The description in CloudFormation's console.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: FederationConfig,
        party: Server | Client,
        description: str,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            description=description,
            env=cdk.Environment(account=party.account, region=party.region),
            synthesizer=cdk.DefaultStackSynthesizer(qualifier=config.federation.bootstrap_qualifier),
        )
        self.config = config
        self.party = party
        self.removal_policy = (
            cdk.RemovalPolicy.RETAIN
            if config.federation.removal_policy == "retain"
            else cdk.RemovalPolicy.DESTROY
        )
        cdk.Tags.of(self).add(names.FEDERATION_TAG, config.federation.name)
        cdk.Tags.of(self).add(names.PARTY_TAG, party.name)
        cdk.Tags.of(self).add(names.MANAGED_BY_TAG, "cdk")

    @property
    def availability_zones(self) -> list[str]:
        """The zones of the configuration; without this, the CDK would look them up with credentials."""
        return list(self.party.availability_zones)

    def add_log_group(self, construct_id: str, name: str) -> None:
        """Create one of SageMaker's log groups, with retention, unless the account already has it."""
        if self.party.log_groups == "existing":
            return
        group = logs.CfnLogGroup(
            self,
            construct_id,
            log_group_name=name,
            retention_in_days=self.config.federation.log_retention_days,
        )
        group.apply_removal_policy(self.removal_policy)

    def add_output(self, name: str, value: str, description: str) -> None:
        """Add an output that is shown after the deployment."""
        cdk.CfnOutput(self, name, value=value, description=description)
