"""Endpoints for the few AWS services that the server calls."""

from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct


@dataclass(frozen=True, kw_only=True)
class Door:
    """One service in one region, and the requests that its endpoint allows.

    Parameters
    ----------
    service : str
        The last part of the service's endpoint name, such as ``sagemaker.api``.
    region : str
        The region of the service; if it is not the VPC's region, the endpoint crosses regions.
    statements : tuple of (list of str, list of str)
        Actions and resources that the endpoint's policy allows.
    """

    service: str
    region: str
    statements: tuple[tuple[list[str], list[str]], ...]


class InterfaceEndpoints(Construct):
    """Interface endpoints that only the given group reaches, each with a policy of the allowed requests.

    A process on the notebook cannot use foreign credentials with these endpoints: their policies allow only
    the parties' accounts.

    Parameters
    ----------
    vpc : Vpc
        The network of the endpoints' interfaces.
    region : str
        The VPC's region.
    caller : SecurityGroup
        The only group that reaches them.
    accounts : list of str
        Accounts whose principals are allowed.
    doors : list of Door
        The endpoints to create.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.Vpc,
        region: str,
        caller: ec2.SecurityGroup,
        accounts: list[str],
        doors: list[Door],
    ) -> None:
        super().__init__(scope, construct_id)
        self.security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=vpc, description="Interface endpoints", allow_all_outbound=False
        )
        self.security_group.connections.allow_from(caller, ec2.Port.tcp(443), "AWS services")
        for door in doors:
            endpoint = ec2.InterfaceVpcEndpoint(
                self,
                _construct_id(door, region),
                vpc=vpc,
                service=ec2.InterfaceVpcEndpointService(f"com.amazonaws.{door.region}.{door.service}", 443),
                service_region=None if door.region == region else door.region,
                private_dns_enabled=True,
                security_groups=[self.security_group],
                open=False,
            )
            for actions, resources in door.statements:
                endpoint.add_to_policy(_statement(actions, resources, accounts))


def _construct_id(door: Door, region: str) -> str:
    service = door.service.replace(".", "").capitalize()
    return service if door.region == region else f"{service}-{door.region}"


def _statement(actions: list[str], resources: list[str], accounts: list[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        principals=[iam.StarPrincipal()],
        actions=actions,
        resources=resources,
        conditions={"StringEquals": {"aws:PrincipalAccount": accounts}},
    )
