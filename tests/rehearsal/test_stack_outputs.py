"""``Fn::GetStackOutput`` across accounts reads what the reader role may read, and nothing else."""

import json
from typing import Any

import pytest

from tests.rehearsal.conftest import CLIENT, SERVER, Connect
from tests.rehearsal.stacks import (
    StackFailedError,
    Template,
    allow,
    delete,
    deploy,
    role,
    trusting,
    trusting_service,
)

READER = f"arn:aws:iam::{SERVER}:role/reader"
DESCRIBE = "cloudformation:DescribeStacks"


def topic_of_stack(stack: str = "Producer", region: str = "us-east-1") -> str:
    """Return the ARN pattern of one stack."""
    return f"arn:aws:cloudformation:{region}:{SERVER}:stack/{stack}/*"


def produce(connect: Connect, reader: Template, region: str = "us-east-1") -> None:
    """Deploy the stack with the output, and its reader role."""
    deploy(
        connect("cloudformation", SERVER, region=region),
        "Producer",
        {"Reader": {**reader, "Properties": {**reader["Properties"], "RoleName": "reader"}}},
        outputs={"Value": "from the server"},
    )


def consume(connect: Connect, *, credentials: Any = None, **arguments: str) -> str:
    """Deploy a stack that reads the output, and return what it read."""
    spec = {"StackName": "Producer", "OutputName": "Value", "RoleArn": READER, **arguments}
    client = connect("cloudformation", CLIENT, credentials=credentials)
    log_group = {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"Tags": [{"Key": "read", "Value": {"Fn::GetStackOutput": spec}}]},
    }
    options = {"RoleARN": arguments.pop("ExecutionRole")} if "ExecutionRole" in arguments else {}
    spec.pop("ExecutionRole", None)
    outputs = deploy(
        client, "Consumer", {"Log": log_group}, outputs={"Read": {"Fn::GetStackOutput": spec}}, **options
    )
    return outputs["Read"]


def execution_role(connect: Connect, name: str) -> str:
    """Make a role that CloudFormation acts as in the client's account, and return its ARN."""
    iam = connect("iam", CLIENT)
    trust = {"Version": "2012-10-17", "Statement": [trusting_service("cloudformation")]}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    policy = {"Version": "2012-10-17", "Statement": [allow("*")]}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(policy))
    return f"arn:aws:iam::{CLIENT}:role/{name}"


def test_reads_another_accounts_output_with_the_reader_role(connect: Connect) -> None:
    """The reader role of the other account is assumed."""
    produce(connect, role(trusting(CLIENT), allow(DESCRIBE, topic_of_stack())))
    assert consume(connect) == "from the server"


def test_reads_from_another_region(connect: Connect) -> None:
    """``Region`` says where the producing stack is."""
    where = "eu-central-1"
    produce(connect, role(trusting(CLIENT), allow(DESCRIBE, topic_of_stack(region=where))), region=where)
    assert consume(connect, Region=where) == "from the server"
    delete(connect("cloudformation", CLIENT), "Consumer")
    with pytest.raises(StackFailedError, match="not authorized to perform: cloudformation:DescribeStacks"):
        consume(connect)


def test_a_reader_role_can_name_the_execution_role_it_trusts(connect: Connect) -> None:
    """``aws:PrincipalArn`` is the role CloudFormation acts as; any other principal is refused."""
    arn = execution_role(connect, "deploys")
    produce(connect, role(trusting(CLIENT, only=arn), allow(DESCRIBE, topic_of_stack())))
    assert consume(connect, ExecutionRole=arn) == "from the server"
    delete(connect("cloudformation", CLIENT), "Consumer")
    other = execution_role(connect, "deploys-too")
    with pytest.raises(StackFailedError, match="not authorized to perform: sts:AssumeRole"):
        consume(connect, ExecutionRole=other)


def test_is_refused_without_the_reader_role(connect: Connect) -> None:
    """The own account has no such stack."""
    produce(connect, role(trusting(CLIENT), allow(DESCRIBE, topic_of_stack())))
    with pytest.raises(StackFailedError, match=f"Producer does not exist in account {CLIENT}"):
        consume(connect, RoleArn="")


def test_is_refused_when_the_reader_role_trusts_somebody_else(connect: Connect) -> None:
    """The message is IAM's."""
    produce(connect, role(trusting("333333333333"), allow(DESCRIBE)))
    with pytest.raises(StackFailedError, match="not authorized to perform: sts:AssumeRole"):
        consume(connect)


def test_is_refused_for_a_stack_the_reader_role_may_not_describe(connect: Connect) -> None:
    """A reader role reads one stack only."""
    produce(connect, role(trusting(CLIENT), allow(DESCRIBE, topic_of_stack("Another"))))
    with pytest.raises(StackFailedError, match="not authorized to perform: cloudformation:DescribeStacks"):
        consume(connect)


def test_an_output_that_does_not_exist_fails_the_stack(connect: Connect) -> None:
    """The name of output, stack and account are in the message."""
    produce(connect, role(trusting(CLIENT), allow(DESCRIBE)))
    with pytest.raises(StackFailedError, match="Output Nothing does not exist in stack Producer"):
        consume(connect, OutputName="Nothing")


def test_an_execution_role_must_trust_cloudformation(connect: Connect) -> None:
    """CloudFormation cannot act as a role of somebody else."""
    connect("iam", CLIENT).create_role(
        RoleName="closed", AssumeRolePolicyDocument=json.dumps({"Statement": [trusting(SERVER)]})
    )
    client = connect("cloudformation", CLIENT)
    with pytest.raises(client.exceptions.ClientError, match="is invalid or cannot be assumed"):
        consume(connect, ExecutionRole=f"arn:aws:iam::{CLIENT}:role/closed")
