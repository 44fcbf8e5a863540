"""Trust across accounts is enforced as the kickoff role needs it."""

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest

from federation.rehearse.machine.embedded_aws import EmbeddedAws
from tests.rehearsal.conftest import CLIENT, SERVER, Connect
from tests.rehearsal.jobs import role_session
from tests.rehearsal.stacks import allow, deploy, role, trusting, trusting_service

KICKOFF = f"arn:aws:iam::{CLIENT}:role/kickoff"


def notebook_session(connect: Connect, name: str = "notebook") -> Any:
    """Return the credentials of a role in the server's account that may assume the kickoff role."""
    resources = {"Role": role(trusting(SERVER), allow("sts:AssumeRole", KICKOFF), name=name)}
    deploy(connect("cloudformation", SERVER), f"Server-{name}", resources)
    arn = f"arn:aws:iam::{SERVER}:role/{name}"
    return connect("sts", SERVER).assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]


@pytest.fixture
def kickoff_role(connect: Connect) -> None:
    """Make the client's role, which trusts the notebook role with an external id."""
    trust = trusting(SERVER, only=f"arn:aws:iam::{SERVER}:role/notebook", external_id="agreed")
    deploy(connect("cloudformation", CLIENT), "Client", {"Role": role(trust, name="kickoff")})


def assume(connect: Connect, credentials: Any, external_id: str = "agreed") -> str:
    """Assume the kickoff role and return the session's account."""
    sts = connect("sts", SERVER, credentials=credentials)
    session = sts.assume_role(RoleArn=KICKOFF, RoleSessionName="run", ExternalId=external_id)
    identity = connect("sts", credentials=session["Credentials"]).get_caller_identity()
    return str(identity["Account"])


@pytest.mark.usefixtures("kickoff_role")
def test_the_named_role_with_the_external_id_is_let_in(connect: Connect) -> None:
    """The session belongs to the client's account."""
    assert assume(connect, notebook_session(connect)) == CLIENT


@pytest.mark.usefixtures("kickoff_role")
def test_a_wrong_external_id_is_refused(connect: Connect) -> None:
    """The confused deputy stays outside."""
    credentials = notebook_session(connect)
    with pytest.raises(connect("sts").exceptions.ClientError, match="AccessDenied"):
        assume(connect, credentials, external_id="guessed")


@pytest.mark.usefixtures("kickoff_role")
def test_another_role_of_the_trusted_account_is_refused(connect: Connect) -> None:
    """The account is trusted for one role only."""
    credentials = notebook_session(connect, name="other")
    with pytest.raises(connect("sts").exceptions.ClientError, match="AccessDenied"):
        assume(connect, credentials)


def test_a_role_that_trusts_a_service_is_closed_to_the_root(connect: Connect) -> None:
    """Nobody becomes the notebook or the job but they themselves."""
    resources = {"Role": role(trusting_service("sagemaker"), name="notebook")}
    deploy(connect("cloudformation", SERVER), "Server", resources)
    sts = connect("sts", SERVER)
    arn = f"arn:aws:iam::{SERVER}:role/notebook"
    with pytest.raises(sts.exceptions.ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=arn, RoleSessionName="test")


def test_an_unsigned_request_is_nobodys(aws: EmbeddedAws) -> None:
    """Who sends no credentials gets nothing, from SageMaker either."""
    headers = {"X-Amz-Target": "SageMaker.ListTrainingJobs", "Content-Type": "application/x-amz-json-1.1"}
    request = urllib.request.Request(aws.endpoint_url, data=b"{}", headers=headers)
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    with refused.value:
        assert b"MissingAuthenticationToken" in refused.value.read()


def test_a_forged_signature_is_refused(connect: Connect) -> None:
    """A session's key without its secret is worth nothing."""
    credentials = {**notebook_session(connect), "SecretAccessKey": "guessed"}
    sts = connect("sts", credentials=credentials)
    with pytest.raises(sts.exceptions.ClientError, match="SignatureDoesNotMatch"):
        sts.get_caller_identity()


def test_logs_are_read_by_the_stream(connect: Connect) -> None:
    """A role for some streams of a group sees those and no others."""
    group = "/aws/sagemaker/TrainingJobs"
    logs = connect("logs")
    logs.create_log_group(logGroupName=group)
    streams = f"arn:aws:logs:us-east-1:{SERVER}:log-group:{group}:log-stream:fl-*"
    reader = role_session(connect, "logs", allow(["logs:CreateLogStream", "logs:GetLogEvents"], streams))
    reader.create_log_stream(logGroupName=group, logStreamName="fl-1")
    assert reader.get_log_events(logGroupName=group, logStreamName="fl-1")["events"] == []
    with pytest.raises(reader.exceptions.ClientError, match="AccessDenied"):
        reader.create_log_stream(logGroupName=group, logStreamName="other")


def test_the_region_is_a_condition_key_of_ec2(connect: Connect) -> None:
    """``ec2:Region`` is in every EC2 request."""
    ec2 = role_session(connect, "ec2", allow("ec2:DescribeVpcs", StringEquals={"ec2:Region": "us-east-1"}))
    assert ec2.describe_vpcs()["Vpcs"]


def test_a_key_policy_is_stored_as_written(connect: Connect) -> None:
    """The policy of a KMS key is what the template says."""
    policy = {"Version": "2012-10-17", "Statement": [{**allow("kms:*"), "Principal": {"AWS": "*"}}]}
    key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}}
    outputs = deploy(connect("cloudformation"), "Key", {"Key": key}, outputs={"Id": {"Ref": "Key"}})
    stored = connect("kms").get_key_policy(KeyId=outputs["Id"], PolicyName="default")["Policy"]
    assert json.loads(stored) == policy
