"""Who can open which port to whom, in a federation of two clients."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.infrastructure.deployed import Deployment, Template
from tests.infrastructure.reachability import Network

HTTPS = {("tcp", 443, 443)}
FEDERATION = {("tcp", 8080, 8080)}
US_S3, EU_S3 = "S3 pl-63a5400a", "S3 pl-6da54004"
SERVER = "notebook ServerStack"
JOBS = [
    ("job ClientStack us-east-1a", US_S3),
    ("job ClientStack-hospital-b eu-west-1a", EU_S3),
    ("job ClientStack-hospital-b eu-west-1b", EU_S3),
]
EXPECTED = {
    **{(job, SERVER): FEDERATION for job, _ in JOBS},
    **dict.fromkeys(JOBS, HTTPS),
    ("notebook ClientStack", US_S3): HTTPS,
    (SERVER, US_S3): HTTPS,
    ("notebook ClientStack-hospital-b", EU_S3): HTTPS,
    **{
        (SERVER, f"endpoint com.amazonaws.{service}"): HTTPS
        for service in (
            "us-east-1.sts",
            "us-east-1.monitoring",
            "us-east-1.sagemaker.api",
            "us-east-1.ec2",
            "us-east-1.logs",
            "eu-west-1.sagemaker.api",
            "eu-west-1.ec2",
            "eu-west-1.logs",
        )
    },
}
"""Everything that can connect. What is not here cannot: above all nothing to or from the internet, nothing
from the server to a client, nothing between clients, nothing from a client's notebook to the server."""

Tamper = Callable[[dict[str, Any]], None]


def test_exactly_the_declared_connections_are_possible(deployment: Deployment) -> None:
    """A client's job reaches the server's port; all else across accounts, and the internet, is closed."""
    assert Network(deployment).table() == EXPECTED


def _internet_route(resources: dict[str, Any]) -> None:
    table = next(key for key, it in resources.items() if it["Type"] == "AWS::EC2::RouteTable")
    resources["Hole"] = {
        "Type": "AWS::EC2::Route",
        "Properties": {
            "RouteTableId": {"Ref": table},
            "DestinationCidrBlock": "0.0.0.0/0",
            "GatewayId": "igw-1",
        },
    }
    for group in _groups(resources):
        group.setdefault("SecurityGroupEgress", []).append({"CidrIp": "0.0.0.0/0", "IpProtocol": "-1"})


def _internet_may_come_in(resources: dict[str, Any]) -> None:
    _internet_route(resources)
    for group in _groups(resources):
        group.pop("SecurityGroupEgress", None)
        group["SecurityGroupIngress"] = [{"CidrIp": "0.0.0.0/0", "IpProtocol": "-1"}]


def _notebook_may_call_the_server(resources: dict[str, Any]) -> None:
    for group in _groups(resources):
        group.setdefault("SecurityGroupEgress", []).append(
            {"CidrIp": "10.0.0.0/8", "IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535}
        )


def _jobs_accept_the_server(resources: dict[str, Any]) -> None:
    for group in _groups(resources):
        group["SecurityGroupIngress"] = [{"CidrIp": "10.0.0.0/8", "IpProtocol": "-1"}]


def _no_route_back(resources: dict[str, Any]) -> None:
    for key in [key for key, it in resources.items() if it["Type"] == "AWS::EC2::Route"]:
        del resources[key]


def _groups(resources: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [it["Properties"] for it in resources.values() if it["Type"] == "AWS::EC2::SecurityGroup"]


def _server_may_call_jobs(resources: dict[str, Any]) -> None:
    _jobs_accept_the_server(resources)
    _notebook_may_call_the_server(resources)


@pytest.mark.parametrize(
    ("stacks", "tamper"),
    [
        (["ClientStack"], _internet_route),
        (["ServerNetworkStack"], _internet_may_come_in),
        (["ClientStack"], _notebook_may_call_the_server),
        (["ClientStack", "ServerNetworkStack"], _server_may_call_jobs),
        (["ServerStack"], _no_route_back),
    ],
    ids=["to-internet", "from-internet", "notebook-to-server", "server-to-job", "no-route-back"],
)
def test_a_hole_in_a_template_shows(
    deployment: Deployment, two_templates: dict[str, Template], stacks: list[str], tamper: Tamper
) -> None:
    """The derivation itself can fail: each kind of tampering changes the table."""
    tampered = copy.deepcopy(two_templates)
    for stack in stacks:
        tamper(tampered[stack]["Resources"])
    assert Network(deployment.of(tampered)).table() != EXPECTED
