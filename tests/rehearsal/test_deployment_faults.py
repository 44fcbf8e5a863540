"""Deployments that fail, and destructions that must not lose anything."""

import io
from pathlib import Path

import pytest

from federation.rehearse.deployment.cdk import Cdk
from federation.rehearse.deployment.deployment import Deployment
from federation.rehearse.errors import DeployError, DestroyError, LeftoversError
from federation.rehearse.machine.embedded_aws import EmbeddedAws
from federation.rehearse.stage.stage import Stage
from tests.rehearsal.federations import stage

pytestmark = pytest.mark.timeout(600)
DATA = "rehearsal-site-1-data-222222222222"


@pytest.fixture
def on(aws: EmbeddedAws, tmp_path: Path) -> Stage:
    """Return a stage with empty accounts."""
    return stage(aws, tmp_path)


@pytest.fixture
def keeping(aws: EmbeddedAws, tmp_path: Path) -> Stage:
    """Return a stage whose configuration keeps the data."""
    return stage(aws, tmp_path, changes={'removal_policy = "destroy"': 'removal_policy = "retain"'})


def _status(on: Stage, account: int, name: str) -> str:
    found = on.connect("cloudformation", on.accounts[account]).describe_stacks(StackName=name)["Stacks"]
    return str(found[0]["StackStatus"])


def _shown(on: Stage) -> str:
    assert isinstance(on.steps._stream, io.StringIO)
    return on.steps._stream.getvalue()


def test_a_stack_that_fails_half_way_is_rolled_back(on: Stage) -> None:
    """The message names the resource and the cause; nothing of the stack stays."""
    logs = on.connect("logs", on.accounts[1])
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs")
    with pytest.raises(DeployError, match=r"AWS::Logs::LogGroup .*already exists") as failed:
        Deployment(on).deploy()
    assert str(on.logs / "deploy.log") in failed.value.remedy
    assert _status(on, 1, "ClientStack-site-1") == "ROLLBACK_COMPLETE"
    assert on.connect("s3", on.accounts[1]).list_buckets()["Buckets"][0]["Name"].startswith("cdk-")


def test_a_peering_that_is_not_accepted_fails_the_clients_stack(on: Stage, tmp_path: Path) -> None:
    """Without the server's accepter role there is no connection, and no half of one."""
    Deployment(on)  # makes the folders
    cdk = Cdk(on.aws, config=on.config_file, operator=on.accounts[0], scratch=tmp_path, logs=on.logs)
    cdk.bootstrap(on.accounts, on.config.federation.bootstrap_qualifier)
    cdk.deploy(on.steps.part, "ServerNetworkStack")
    iam = on.connect("iam", on.accounts[0])
    role = on.config.server_names.accepter_role("site-1")
    for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
    with pytest.raises(DeployError, match=r"AWS::EC2::VPCPeeringConnection .*accepter-site-1"):
        cdk.deploy(on.steps.part, "ClientStack-site-1")
    assert _status(on, 1, "ClientStack-site-1") == "ROLLBACK_COMPLETE"
    found = on.connect("ec2", on.accounts[0]).describe_vpc_peering_connections()["VpcPeeringConnections"]
    assert [each for each in found if each["Status"]["Code"] == "active"] == []


def test_a_bucket_with_content_is_not_destroyed(on: Stage) -> None:
    """Whoever has not emptied it first loses nothing; the message names the bucket."""
    deployment = Deployment(on)
    deployment.deploy()
    s3 = on.connect("s3", on.accounts[1])
    s3.put_object(Bucket=DATA, Key="data/train.csv", Body=b"rows")
    with pytest.raises(DestroyError, match="AWS::S3::Bucket"):
        deployment._cdk.destroy(on.steps.part)
    assert s3.get_object(Bucket=DATA, Key="data/train.csv")["Body"].read() == b"rows"
    deployment.destroy()
    assert f"{DATA}: 1 versions deleted" in _shown(on)
    assert deployment.prove_nothing_left().startswith("Nothing left in 3 accounts")


def test_with_retain_the_data_stay_and_are_listed(keeping: Stage) -> None:
    """The stacks go, the buckets with all they hold stay, and the rehearsal does not call that nothing."""
    deployment = Deployment(keeping)
    deployment.deploy()
    s3 = keeping.connect("s3", keeping.accounts[1])
    s3.put_object(Bucket=DATA, Key="data/train.csv", Body=b"rows")
    deployment.destroy()
    with pytest.raises(LeftoversError):
        deployment.prove_nothing_left()
    assert f"arn:aws:s3:::{DATA}" in _shown(keeping)
    assert s3.get_object(Bucket=DATA, Key="data/train.csv")["Body"].read() == b"rows"
