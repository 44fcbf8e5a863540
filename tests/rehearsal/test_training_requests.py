"""Requests AWS would refuse are refused with its words, and by the permissions of who sends them."""

from typing import Any

import pytest

from tests.rehearsal.conftest import CLIENT, REGION, Connect
from tests.rehearsal.jobs import IMAGE, TRAIN, Account, channel, permissions, session
from tests.rehearsal.stacks import Template, allow, deploy, role, trusting, trusting_service

JOBS = f"arn:aws:sagemaker:{REGION}:{CLIENT}:training-job/fl-*"
TRAINING_ROLE = f"arn:aws:iam::{CLIENT}:role/training"
PASS = allow("iam:PassRole", TRAINING_ROLE, StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"})


@pytest.fixture
def account(connect: Connect) -> Account:
    """Return a client account whose code is published."""
    account = Account(connect)
    account.publish(TRAIN)
    return account


def refusal(sagemaker: Any, request: dict[str, Any]) -> tuple[str, str]:
    """Send a request that must be refused, and return the error's code and message."""
    with pytest.raises(sagemaker.exceptions.ClientError) as refused:
        sagemaker.create_training_job(**request)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def create(**pins: Any) -> Template:
    """Return the statement of a kickoff role."""
    return allow("sagemaker:CreateTrainingJob", JOBS, **pins)


def test_a_kickoff_role_starts_what_it_is_pinned_to(account: Account) -> None:
    """Job names, subnets, groups and instance types as pinned: accepted."""
    pins = {
        "ForAllValues:StringEquals": {
            "sagemaker:VpcSubnets": [account.ids["Subnet"]],
            "sagemaker:VpcSecurityGroupIds": [account.ids["Group"]],
            "sagemaker:InstanceTypes": ["ml.m5.large"],
        },
        "Null": {"sagemaker:VpcSubnets": "false", "sagemaker:VpcSecurityGroupIds": "false"},
    }
    tagging = allow("sagemaker:AddTags", JOBS, StringEquals={"sagemaker:TaggingAction": "CreateTrainingJob"})
    kickoff = session(account.connect, create(**pins), tagging, PASS)
    kickoff.create_training_job(**account.request(Tags=[{"Key": "Federation", "Value": "f"}]))
    [tag] = account.sagemaker.list_tags(ResourceArn=JOBS.replace("fl-*", "fl-job-1"))["Tags"]
    assert tag["Value"] == "f"
    for changes in (
        {"VpcConfig": {"Subnets": [account.ids["Other"]], "SecurityGroupIds": [account.ids["Group"]]}},
        {"ResourceConfig": {**account.request()["ResourceConfig"], "InstanceType": "ml.p4d.24xlarge"}},
    ):
        code, message = refusal(kickoff, account.request("fl-job-2", **changes))
        assert code == "AccessDeniedException"
        assert "not authorized to perform: sagemaker:CreateTrainingJob" in message
    without_network = account.request("fl-job-3")
    del without_network["VpcConfig"]
    assert refusal(kickoff, without_network)[0] == "AccessDeniedException"


def test_a_volume_or_output_key_outside_the_pin_is_refused(account: Account) -> None:
    """The two keys of a job are condition keys."""
    pin = {"StringEquals": {"sagemaker:VolumeKmsKeyArn": "mine", "sagemaker:OutputKmsKeyArn": "mine"}}
    kickoff = session(account.connect, create(**pin), PASS)
    request = account.request()
    request["ResourceConfig"]["VolumeKmsKeyId"] = "mine"
    request["OutputDataConfig"]["KmsKeyId"] = "foreign"
    assert refusal(kickoff, request)[0] == "AccessDeniedException"
    request["OutputDataConfig"]["KmsKeyId"] = "mine"
    code, message = refusal(kickoff, request)
    assert (code, "KMS key mine does not exist" in message) == ("ValidationException", True)


def test_a_job_name_outside_the_prefix_is_refused(account: Account) -> None:
    """The resource of the permission is the job's ARN."""
    kickoff = session(account.connect, create(), PASS)
    assert refusal(kickoff, account.request("other-job"))[0] == "AccessDeniedException"


def test_passing_a_role_needs_permission_for_that_role(account: Account) -> None:
    """``iam:PassRole`` is evaluated for exactly the role in the request."""
    deploy(
        account.connect("cloudformation", CLIENT),
        "Other",
        {"Other": role(trusting_service("sagemaker"), *permissions(), name="other")},
    )
    kickoff = session(account.connect, create(), PASS)
    code, message = refusal(kickoff, account.request(RoleArn=TRAINING_ROLE.replace("training", "other")))
    assert code == "AccessDeniedException"
    assert "iam:PassRole" in message


def test_tags_need_permission_of_their_own(account: Account) -> None:
    """Creating with tags is tagging."""
    kickoff = session(account.connect, allow("sagemaker:CreateTrainingJob", JOBS), PASS)
    code, message = refusal(kickoff, account.request(Tags=[{"Key": "k", "Value": "v"}]))
    assert (code, "sagemaker:AddTags" in message) == ("AccessDeniedException", True)


def test_a_role_sagemaker_cannot_assume_is_refused(account: Account) -> None:
    """The training role must trust the service."""
    resources = {"Other": role(trusting(CLIENT), name="other")}
    deploy(account.connect("cloudformation", CLIENT), "Other", resources)
    request = account.request(RoleArn=TRAINING_ROLE.replace("training", "other"))
    assert "allows principal 'sagemaker.amazonaws.com'" in refusal(account.sagemaker, request)[1]


@pytest.mark.parametrize("missing", ["s3:ListBucket", "ecr:BatchGetImage", "ec2:CreateNetworkInterface"])
def test_a_training_role_without_a_permission_the_platform_needs_is_refused(
    connect: Connect, missing: str
) -> None:
    """SageMaker acts as the role before the script does."""
    deny = {**allow(missing), "Effect": "Deny"}
    account = Account(connect, [*permissions(), deny])
    code, message = refusal(account.sagemaker, account.request())
    assert (code, missing in message) == ("ValidationException", True), message


def test_a_name_is_used_once(account: Account) -> None:
    """Not even while the first one is starting."""
    account.sagemaker.create_training_job(**account.request())
    code, message = refusal(account.sagemaker, account.request())
    assert (code, "must be unique" in message) == ("ResourceInUse", True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"InputDataConfig": [channel("train", "s3://data/nothing/")]}, "No S3 objects found under S3 URL"),
        ({"InputDataConfig": [channel("train", "s3://nowhere/")]}, "No S3 objects found under S3 URL"),
        ({"VpcConfig": {"Subnets": ["subnet-0"], "SecurityGroupIds": ["sg-0"]}}, "subnet-0' does not exist"),
        ({"AlgorithmSpecification": {"TrainingImage": IMAGE.replace(REGION, "eu-west-1")}}, "must be in"),
        (
            {"AlgorithmSpecification": {"TrainingImage": IMAGE.replace("6833", "9999")}},
            "Cannot find repository",
        ),
        (
            {"ResourceConfig": {"InstanceType": "ml.none", "InstanceCount": 1, "VolumeSizeInGB": 1}},
            "Value 'ml.none' at 'resourceConfig.instanceType' failed to satisfy constraint",
        ),
        ({"EnableManagedSpotTraining": True}, "MaxWaitTimeInSeconds"),
        ({"RoleArn": f"arn:aws:iam::{'3' * 12}:role/training"}, "Cross-account pass role is not allowed"),
    ],
)
def test_an_impossible_job_is_refused_as_aws_does(
    account: Account, changes: dict[str, Any], words: str
) -> None:
    """Nothing starts, and the message says what is wrong."""
    if "AlgorithmSpecification" in changes:
        changes["AlgorithmSpecification"]["TrainingInputMode"] = "File"
    code, message = refusal(account.sagemaker, account.request(**changes))
    assert (code, words in message) == ("ValidationException", True), message
    assert account.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_a_bad_name_breaks_the_models_pattern(account: Account) -> None:
    """The model's constraints are reported as the service reports them."""
    message = refusal(account.sagemaker, account.request("no_underscores"))[1]
    assert message.startswith(
        "1 validation error detected: Value 'no_underscores' at 'trainingJobName' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern"
    )


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"EnableNetworkIsolation": True}, "EnableNetworkIsolation = True"),
        ({"RetryStrategy": {"MaximumRetryAttempts": 1}}, "RetryStrategy"),
        ({"CheckpointConfig": {"S3Uri": "s3://data/c", "LocalPath": "/opt/ml/../x"}}, "outside /opt/ml"),
        (
            {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}},
            "InstanceCount = 2",
        ),
    ],
)
def test_what_is_not_emulated_is_refused_by_name(
    account: Account, changes: dict[str, Any], feature: str
) -> None:
    """The emulator never pretends."""
    code, message = refusal(account.sagemaker, account.request(**changes))
    assert (code, feature in message) == ("NotEmulatedException", True), message


def test_an_operation_nobody_implements_is_refused_by_name(account: Account) -> None:
    """An operation of AWS that is not emulated is no unknown one."""
    with pytest.raises(account.sagemaker.exceptions.ClientError, match="does not do the SageMaker operation"):
        account.sagemaker.list_models()


def test_the_warm_pool_setting_can_be_changed(account: Account) -> None:
    """Only of a job that has one."""
    resources = {**account.request()["ResourceConfig"], "KeepAlivePeriodInSeconds": 60}
    account.sagemaker.create_training_job(**account.request(ResourceConfig=resources))
    account.sagemaker.update_training_job(
        TrainingJobName="fl-job-1", ResourceConfig={"KeepAlivePeriodInSeconds": 120}
    )
    job = account.sagemaker.describe_training_job(TrainingJobName="fl-job-1")
    assert job["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 120


def test_the_time_that_an_instance_is_kept_can_be_pinned(account: Account) -> None:
    """Of a new job and of a change; a request that keeps none passes."""
    pin = {"NumericLessThanEqualsIfExists": {"sagemaker:KeepAlivePeriod": "60"}}
    kickoff = session(account.connect, create(**pin), allow("sagemaker:UpdateTrainingJob", JOBS, **pin), PASS)
    kickoff.create_training_job(**account.request())
    resources = account.request()["ResourceConfig"]
    longer = {**resources, "KeepAlivePeriodInSeconds": 61}
    assert refusal(kickoff, account.request("fl-job-2", ResourceConfig=longer))[0] == "AccessDeniedException"
    kept = {**resources, "KeepAlivePeriodInSeconds": 60}
    kickoff.create_training_job(**account.request("fl-job-3", ResourceConfig=kept))
    with pytest.raises(kickoff.exceptions.ClientError, match="AccessDenied"):
        kickoff.update_training_job(
            TrainingJobName="fl-job-3", ResourceConfig={"KeepAlivePeriodInSeconds": 3600}
        )


def test_stopping_and_describing_need_permission_for_that_job(account: Account) -> None:
    """A kickoff role sees and stops the federation's jobs, and no others."""
    kickoff = session(account.connect, allow(["sagemaker:DescribeTrainingJob"], JOBS))
    for name in ("fl-job-1", "private-job"):
        account.sagemaker.create_training_job(**account.request(name))
    assert kickoff.describe_training_job(TrainingJobName="fl-job-1")["TrainingJobStatus"] == "InProgress"
    denied = pytest.raises(kickoff.exceptions.ClientError, match="AccessDenied")
    with denied:
        kickoff.describe_training_job(TrainingJobName="private-job")
    with denied:
        kickoff.stop_training_job(TrainingJobName="fl-job-1")
