"""CloudFormation types of the network: rules, peering across accounts, flow logs, attributes."""

from typing import Any

import pytest

from tests.rehearsal.conftest import CLIENT, SERVER, Connect
from tests.rehearsal.stacks import (
    StackFailedError,
    Template,
    allow,
    await_end,
    delete,
    deploy,
    failures,
    role,
    trusting,
    trusting_service,
)

ACCEPT = "ec2:AcceptVpcPeeringConnection"


def vpc(cidr: str) -> Template:
    """Return a VPC resource."""
    return {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": cidr}}


def peer_vpc(connect: Connect, accepter: Template, cidr: str = "10.1.0.0/16") -> dict[str, str]:
    """Deploy the server's side and return its VPC id and accepter role."""
    return deploy(
        connect("cloudformation", SERVER),
        "ServerNetwork",
        {"Vpc": vpc(cidr), "Accepter": accepter},
        outputs={"VpcId": {"Ref": "Vpc"}, "RoleArn": {"Fn::GetAtt": ["Accepter", "Arn"]}},
    )


def client_side(peer: dict[str, str], **extra: Any) -> Template:
    """Return the client's side: a VPC and the peering connection it requests."""
    return {
        "Vpc": vpc("10.2.0.0/16"),
        "Peering": {
            "Type": "AWS::EC2::VPCPeeringConnection",
            "Properties": {
                "VpcId": {"Ref": "Vpc"},
                "PeerVpcId": peer["VpcId"],
                "PeerOwnerId": SERVER,
                "PeerRoleArn": peer["RoleArn"],
                **extra,
            },
        },
    }


def refused(connect: Connect, resources: Template) -> str:
    """Deploy the client's stack, which must fail, and return the reasons."""
    client = connect("cloudformation", CLIENT)
    with pytest.raises(StackFailedError) as failed:
        deploy(client, "Client", resources)
    assert await_end(client, "Client")["StackStatus"] == "ROLLBACK_COMPLETE"
    return str(failed.value)


def test_peering_is_active_on_both_sides_once_the_accepter_role_accepts(connect: Connect) -> None:
    """Both accounts see one active connection, and both see it deleted."""
    peer = peer_vpc(connect, role(trusting(CLIENT), allow(ACCEPT)))
    stack = connect("cloudformation", CLIENT)
    deploy(stack, "Client", client_side(peer))

    def states() -> list[str]:
        return [
            connection["Status"]["Code"]
            for account in (SERVER, CLIENT)
            for connection in connect("ec2", account).describe_vpc_peering_connections()[
                "VpcPeeringConnections"
            ]
        ]

    assert states() == ["active", "active"]
    delete(stack, "Client")
    assert states() == ["deleted", "deleted"]


def test_peering_fails_when_the_accepter_role_does_not_trust_the_client(connect: Connect) -> None:
    """The stack rolls back with IAM's own words, and the connection stays failed."""
    peer = peer_vpc(connect, role(trusting("333333333333"), allow(ACCEPT)))
    assert "is not authorized to perform: sts:AssumeRole" in refused(connect, client_side(peer))
    [connection] = connect("ec2", SERVER).describe_vpc_peering_connections()["VpcPeeringConnections"]
    assert connection["Status"]["Code"] == "failed"


def test_peering_fails_when_the_accepter_role_may_not_accept(connect: Connect) -> None:
    """Being trusted is not enough: the role needs the one action."""
    peer = peer_vpc(connect, role(trusting(CLIENT), allow("ec2:DescribeVpcs")))
    assert f"is not authorized to perform: {ACCEPT}" in refused(connect, client_side(peer))


def test_peering_is_accepted_for_the_named_requester_only(connect: Connect) -> None:
    """A condition on the requester's VPC is evaluated."""
    foreign = f"arn:aws:ec2:us-east-1:{CLIENT}:vpc/vpc-0another"
    peer = peer_vpc(connect, role(trusting(CLIENT), allow(ACCEPT, ArnEquals={"ec2:RequesterVpc": foreign})))
    assert f"is not authorized to perform: {ACCEPT}" in refused(connect, client_side(peer))


def test_peering_without_a_role_stays_unaccepted(connect: Connect) -> None:
    """Nobody accepts for the other account by himself."""
    peer = peer_vpc(connect, role(trusting(CLIENT), allow(ACCEPT)))
    resources = client_side(peer)
    del resources["Peering"]["Properties"]["PeerRoleArn"]
    assert f"Pending Acceptance by {SERVER}" in refused(connect, resources)


def test_peering_of_overlapping_networks_fails(connect: Connect) -> None:
    """Two networks with one address in common cannot be peered."""
    peer = peer_vpc(connect, role(trusting(CLIENT), allow(ACCEPT)), cidr="10.2.128.0/17")
    assert "overlapping CIDR range" in refused(connect, client_side(peer))


def test_rules_of_their_own_come_and_go_with_their_stack(connect: Connect) -> None:
    """Ingress and egress rules are added to the group, changed, and removed, without touching the others."""
    stack, ec2 = connect("cloudformation"), connect("ec2")
    group = {
        "Vpc": vpc("10.0.0.0/16"),
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {
                "GroupDescription": "test",
                "VpcId": {"Ref": "Vpc"},
                "SecurityGroupEgress": [{"IpProtocol": "tcp", "CidrIp": "10.9.0.0/16"}],
            },
        },
    }

    def rules(description: str) -> Template:
        shared = {"GroupId": {"Ref": "Group"}, "IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080}
        return {
            f"{direction}Rule": {
                "Type": f"AWS::EC2::SecurityGroup{direction}",
                "Properties": {**shared, "CidrIp": "10.2.0.0/16", "Description": description},
            }
            for direction in ("Ingress", "Egress")
        }

    def ranges() -> list[list[Any]]:
        groups = ec2.describe_security_groups()["SecurityGroups"]
        [found] = [group for group in groups if group["Description"] == "test"]
        return [
            [r for rule in found[key] for r in rule["IpRanges"]]
            for key in ("IpPermissions", "IpPermissionsEgress")
        ]

    for description in ("one", "two"):
        deploy(stack, "Group", {**group, **rules(description)})
        rule = {"CidrIp": "10.2.0.0/16", "Description": description}
        assert ranges() == [[rule], [{"CidrIp": "10.9.0.0/16"}, rule]]
    deploy(stack, "Group", group)
    assert ranges() == [[], [{"CidrIp": "10.9.0.0/16"}]]


def test_a_vpc_tells_its_cidr_block(connect: Connect) -> None:
    """``Fn::GetAtt`` of ``CidrBlock`` resolves."""
    outputs = deploy(
        connect("cloudformation"),
        "Vpc",
        {"Vpc": vpc("10.7.0.0/16")},
        outputs={"Cidr": {"Fn::GetAtt": ["Vpc", "CidrBlock"]}},
    )
    assert outputs == {"Cidr": "10.7.0.0/16"}


def flow_log(principal: str) -> Template:
    """Return a VPC with a flow log whose role trusts a service."""
    return {
        "Vpc": vpc("10.7.0.0/16"),
        "Role": role(trusting_service(principal), allow("logs:PutLogEvents")),
        "FlowLog": {
            "Type": "AWS::EC2::FlowLog",
            "Properties": {
                "ResourceId": {"Ref": "Vpc"},
                "ResourceType": "VPC",
                "TrafficType": "REJECT",
                "LogGroupName": "flows",
                "DeliverLogsPermissionArn": {"Fn::GetAtt": ["Role", "Arn"]},
            },
        },
    }


def test_a_flow_log_belongs_to_its_stack(connect: Connect) -> None:
    """It is there after the deploy and gone after the delete."""
    stack, ec2 = connect("cloudformation"), connect("ec2")
    deploy(stack, "Flow", flow_log("vpc-flow-logs"))
    [log] = ec2.describe_flow_logs()["FlowLogs"]
    assert log["TrafficType"] == "REJECT"
    delete(stack, "Flow")
    assert ec2.describe_flow_logs()["FlowLogs"] == []


def test_a_flow_log_needs_a_role_that_trusts_the_service(connect: Connect) -> None:
    """The service that delivers must be able to assume the role."""
    stack = connect("cloudformation")
    with pytest.raises(StackFailedError, match="Unable to assume given IAM role"):
        deploy(stack, "Flow", flow_log("ec2"))
    assert failures(stack, "Flow")


def test_what_is_tagged_is_found_by_the_tagging_api(connect: Connect) -> None:
    """VPCs, rules' groups and log groups too; nothing is found once the stack is gone."""
    tags = {"Tags": [{"Key": "Federation", "Value": "test"}]}
    resources = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16", **tags}},
        "Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24", **tags},
        },
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "GroupDescription": "test", **tags},
        },
        "Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}, **tags}},
        "Endpoint": {
            "Type": "AWS::EC2::VPCEndpoint",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "ServiceName": "com.amazonaws.us-east-1.s3", **tags},
        },
        "Log": {"Type": "AWS::Logs::LogGroup", "Properties": tags},
    }
    stack, tagging = connect("cloudformation"), connect("resourcegroupstaggingapi")

    def kinds() -> set[str]:
        wanted = [{"Key": "Federation", "Values": ["test"]}]
        found = tagging.get_resources(TagFilters=wanted)["ResourceTagMappingList"]
        return {resource["ResourceARN"].split(":", 5)[5].split("/")[0].split(":")[0] for resource in found}

    deploy(stack, "Tagged", resources)
    assert kinds() == {"vpc", "subnet", "security-group", "route-table", "vpc-endpoint", "log-group"}
    delete(stack, "Tagged")
    assert kinds() == set()
