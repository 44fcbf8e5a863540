"""EC2's description of one party's half of the path; see `federation.aws.checks.network_path`."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from federation.aws.checks.network_path import Peering, Route, Rule, Side, Subnet
from federation.aws.edge.boto import BotoClient


def look_at(ec2: BotoClient, subnets: Sequence[str], groups: Sequence[str]) -> Side:
    """Return an account's description of the network around some subnets and security groups.

    Parameters
    ----------
    ec2 : BotoClient
        boto3's EC2 client, in the network's region.
    subnets, groups : sequence of str
        Ids of subnets and security groups.
    """
    tables = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": list(subnets)}])
    found = ec2.describe_subnets(SubnetIds=list(subnets))["Subnets"]
    return Side(
        subnets=tuple(map(_subnet, sorted(found, key=lambda subnet: str(subnet["SubnetId"])))),
        tables=tuple(table["RouteTableId"] for table in tables["RouteTables"]),
        routes=tuple(
            Route(
                table=table["RouteTableId"],
                to=route.get("DestinationCidrBlock", ""),
                peering=route["VpcPeeringConnectionId"],
                state=route.get("State", "unknown"),
            )
            for table in tables["RouteTables"]
            for route in table["Routes"]
            if route.get("VpcPeeringConnectionId")
        ),
        rules=tuple(
            rule
            for group in ec2.describe_security_groups(GroupIds=list(groups))["SecurityGroups"]
            for rule in [
                *_rules(group["IpPermissions"], inbound=True),
                *_rules(group["IpPermissionsEgress"], inbound=False),
            ]
        ),
        peerings=tuple(
            Peering(
                id=peering["VpcPeeringConnectionId"],
                requester=peering["RequesterVpcInfo"]["VpcId"],
                accepter=peering["AccepterVpcInfo"]["VpcId"],
                state=peering["Status"]["Code"],
            )
            for peering in ec2.describe_vpc_peering_connections()["VpcPeeringConnections"]
        ),
    )


def _subnet(found: dict[str, Any]) -> Subnet:
    return Subnet(
        id=found["SubnetId"],
        vpc=found["VpcId"],
        zone=found["AvailabilityZone"],
        cidr=IPv4Network(found["CidrBlock"]),
    )


def _rules(permissions: Sequence[dict[str, Any]], *, inbound: bool) -> list[Rule]:
    return [
        Rule(
            inbound=inbound,
            protocol=permission["IpProtocol"],
            first=permission.get("FromPort", 0),
            last=permission.get("ToPort", 65535),
            cidr=addresses["CidrIp"],
        )
        for permission in permissions
        for addresses in permission.get("IpRanges", [])
    ]
