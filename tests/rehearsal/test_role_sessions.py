"""Trust across accounts is enforced as the kickoff role needs it."""

import json
from typing import Any

import pytest

from tests.rehearsal.conftest import CLIENT, SERVER, Connect
from tests.rehearsal.stacks import allow, deploy, role, trusting

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


def test_a_forged_signature_is_refused(connect: Connect) -> None:
    """A session's key without its secret is worth nothing."""
    credentials = {**notebook_session(connect), "SecretAccessKey": "guessed"}
    sts = connect("sts", credentials=credentials)
    with pytest.raises(sts.exceptions.ClientError, match="SignatureDoesNotMatch"):
        sts.get_caller_identity()


def test_a_key_policy_is_stored_as_written(connect: Connect) -> None:
    """The policy of a KMS key is what the template says."""
    policy = {"Version": "2012-10-17", "Statement": [{**allow("kms:*"), "Principal": {"AWS": "*"}}]}
    key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}}
    outputs = deploy(connect("cloudformation"), "Key", {"Key": key}, outputs={"Id": {"Ref": "Key"}})
    stored = connect("kms").get_key_policy(KeyId=outputs["Id"], PolicyName="default")["Policy"]
    assert json.loads(stored) == policy
