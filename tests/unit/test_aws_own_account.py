"""The edge to a party's own account: stacks, notebook, network, jobs."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws

from federation.aws.edge.networks import look_at
from federation.aws.edge.own_account import OwnAccount
from federation.config.names import ServerNames
from federation.errors import AccessDeniedError, NotDeployedError

OWN = ServerNames(federation="claims", party="server", account="123456789012", region="us-east-1")


@pytest.fixture(scope="module")
def account() -> Iterator[OwnAccount]:
    """Return an account of moto's."""
    with mock_aws():
        yield OwnAccount(OWN, boto3.Session("made-up", "made-up", region_name="us-east-1"))


def client(service: str) -> Any:
    """Return boto3 in that account."""
    keys = {"aws_access_key_id": "made-up", "aws_secret_access_key": "made-up"}
    return boto3.client(service, "us-east-1", **keys)


def test_a_stack_that_is_not_there_is_told_from_one_that_may_not_be_seen() -> None:
    """CloudFormation says the first in words only, as an invalid request."""
    session = boto3.Session("made-up", "made-up", region_name="us-east-1")
    refusal = {"Code": "ValidationError", "Message": "Stack with id Other does not exist"}
    status = AWSResponse("https://cloudformation", 400, {}, None)
    session.events.register(
        "before-call.cloudformation.DescribeStacks", lambda **_: (status, {"Error": refusal})
    )
    with pytest.raises(NotDeployedError, match='stack "Other" of account 123456789012: not there'):
        OwnAccount(OWN, session).stack_status("Other")
    refusal.update({"Code": "AccessDenied", "Message": "no"})
    with pytest.raises(AccessDeniedError, match="refused to describe it"):
        OwnAccount(OWN, session).stack_status("Other")


@pytest.fixture(scope="module")
def network(account: OwnAccount) -> dict[str, str]:
    """Make a notebook in a subnet with a route through a peering, and a group with a rule each way."""
    assert account
    ec2 = client("ec2")
    vpc, other = (ec2.create_vpc(CidrBlock=f"10.0.{n}.0/24")["Vpc"]["VpcId"] for n in range(2))
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/25", AvailabilityZone="us-east-1a")
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet["Subnet"]["SubnetId"])
    peering = ec2.create_vpc_peering_connection(VpcId=other, PeerVpcId=vpc)["VpcPeeringConnection"]
    name = peering["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=name)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.0.1.0/24", VpcPeeringConnectionId=name)
    group = ec2.create_security_group(GroupName="notebook", Description="notebook", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "IpRanges": [{"CidrIp": "10.0.1.0/24"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    client("sagemaker").create_notebook_instance(
        NotebookInstanceName=OWN.notebook,
        InstanceType="ml.t3.medium",
        RoleArn=OWN.notebook_role_arn,
        SubnetId=subnet["Subnet"]["SubnetId"],
        SecurityGroupIds=[group],
    )
    return {
        "subnet": subnet["Subnet"]["SubnetId"],
        "table": table,
        "peering": name,
        "vpc": vpc,
        "other": other,
    }


def test_the_network_is_described_as_ec2_sees_it(account: OwnAccount, network: dict[str, str]) -> None:
    """Subnet, route, rules and peering, as `federation.aws.checks.network_path` takes them."""
    side = account.side()
    assert side.vpc == network["vpc"]
    assert [(it.id, str(it.cidr), it.zone) for it in side.subnets] == [
        (network["subnet"], "10.0.0.0/25", "us-east-1a")
    ]
    assert side.tables == (network["table"],)
    assert [(it.to, it.peering, it.state) for it in side.routes] == [
        ("10.0.1.0/24", network["peering"], "active")
    ]
    assert [(it.inbound, it.protocol, it.first, it.cidr) for it in side.rules if it.inbound] == [
        (True, "tcp", 8080, "10.0.1.0/24")
    ]
    assert [(it.requester, it.accepter, it.state) for it in side.peerings] == [
        (network["other"], network["vpc"], "active")
    ]
    assert look_at(client("ec2"), [network["subnet"]], []).subnets == side.subnets


def test_a_notebook_says_how_it_stands(account: OwnAccount, network: dict[str, str]) -> None:
    """Its status is SageMaker's."""
    assert network
    assert account.notebook_status() == "InService"


def test_jobs_are_listed_by_their_prefix(account: OwnAccount) -> None:
    """Of this federation, of late, whatever else the account runs."""
    sagemaker = client("sagemaker")
    for name in ("claims-a-1", "claims-a-2", "other-claims-a-3"):
        sagemaker.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": "i", "TrainingInputMode": "File"},
            RoleArn=OWN.notebook_role_arn,
            OutputDataConfig={"S3OutputPath": "s3://b/"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
    now = dt.datetime.now(dt.UTC)
    found = account.jobs("claims-a-", now - dt.timedelta(days=1))
    assert list(found) == ["claims-a-1", "claims-a-2"]
    assert account.jobs("claims-a-", now + dt.timedelta(days=1)) == {}


def test_quotas_are_read_page_by_page() -> None:
    """Of SageMaker, by name; a role without the right is told so."""
    session = boto3.Session("made-up", "made-up", region_name="us-east-1")
    asked: list[dict[str, Any]] = []

    def answer(params: dict[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]]:
        asked.append(json.loads(params["body"]))
        quota = {"QuotaName": f"quota {len(asked)}", "Value": float(len(asked))}
        more = {"NextToken": "more"} if len(asked) == 1 else {}
        return AWSResponse("https://servicequotas", 200, {}, None), {"Quotas": [quota], **more}

    session.events.register("before-call.service-quotas.ListServiceQuotas", answer)
    assert OwnAccount(OWN, session).quotas() == {"quota 1": 1.0, "quota 2": 2.0}
    assert asked == [{"ServiceCode": "sagemaker"}, {"ServiceCode": "sagemaker", "NextToken": "more"}]

    denied = boto3.Session("made-up", "made-up", region_name="us-east-1")
    refusal = {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
    denied.events.register(
        "before-call.service-quotas.ListServiceQuotas",
        lambda **_: (AWSResponse("https://servicequotas", 400, {}, None), refusal),
    )
    with pytest.raises(AccessDeniedError, match="quotas of account 123456789012"):
        OwnAccount(OWN, denied).quotas()
