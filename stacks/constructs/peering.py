"""VPC peering between a client's network and the server's network."""

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from stacks.rights import Right, role_with
from stacks.trust import only


class PeeringAccepter(Construct):
    """The role with which CloudFormation, deploying a client's stack, accepts the peering on this side.

    CloudFormation assumes it across accounts (property ``PeerRoleArn``):
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/peer-with-vpc-in-another-account.html

    Parameters
    ----------
    role_name : str
        The name that the client's stack expects.
    vpc : IVpc
        The only VPC it accepts connections to.
    client_account, client_region : str
        The account and the region from which connections are accepted.
    client_deploy_role_arn : str
        The role that deploys the client's stack.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        role_name: str,
        vpc: ec2.IVpc,
        client_account: str,
        client_region: str,
        client_deploy_role_arn: str,
    ) -> None:
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        any_connection = f"arn:aws:ec2:{stack.region}:{stack.account}:vpc-peering-connection/*"
        action = "ec2:AcceptVpcPeeringConnection"
        self.role = role_with(
            self,
            name=role_name,
            description="Accepts this client's peering connection to the server's VPC",
            trusts=only(client_account, client_deploy_role_arn),
            rights={
                "accept-peering": [
                    Right(actions=[action], resources=[vpc.vpc_arn]),
                    Right(
                        actions=[action],
                        resources=[any_connection],
                        conditions={
                            "ArnEquals": {"ec2:AccepterVpc": vpc.vpc_arn},
                            "ArnLike": {
                                "ec2:RequesterVpc": f"arn:aws:ec2:{client_region}:{client_account}:vpc/*"
                            },
                        },
                        because="The connection has no id before the client requests it. The conditions "
                        "admit only connections from the client's account to this one VPC.",
                    ),
                ]
            },
        )


class PeeringRequest(Construct):
    """A client's peering connection to the server's VPC, and the client's routes to it.

    Parameters
    ----------
    vpc : IVpc
        The client's network.
    route_table_ids : list of str
        Which subnets get the route.
    server_vpc_id, server_account, server_region, server_cidr : str
        The other end.
    accepter_role_arn : str
        The role with which the other end accepts.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        route_table_ids: list[str],
        server_vpc_id: str,
        server_account: str,
        server_region: str,
        server_cidr: str,
        accepter_role_arn: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.connection = ec2.CfnVPCPeeringConnection(
            self,
            "Connection",
            vpc_id=vpc.vpc_id,
            peer_vpc_id=server_vpc_id,
            peer_owner_id=server_account,
            peer_region=server_region,
            peer_role_arn=accepter_role_arn,
        )
        PeeringRoutes(
            self,
            "Routes",
            route_table_ids=route_table_ids,
            destination=server_cidr,
            connection_id=self.connection.ref,
        )


class PeeringRoutes(Construct):
    """Routes to exactly the other side's addresses.

    Parameters
    ----------
    route_table_ids : list of str
        Which subnets get the route.
    destination : str
        The other end's CIDR.
    connection_id : str
        The peering connection.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        route_table_ids: list[str],
        destination: str,
        connection_id: str,
    ) -> None:
        super().__init__(scope, construct_id)
        for number, table in enumerate(route_table_ids, start=1):
            ec2.CfnRoute(
                self,
                f"Route{number}",
                route_table_id=table,
                destination_cidr_block=destination,
                vpc_peering_connection_id=connection_id,
            )
