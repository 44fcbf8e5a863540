"""The edge to a client's account: what is asked through the kickoff role, and what the answers become."""

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from moto import mock_aws

from federation.aws.edge.client_account import LOG_LINES, ClientAccount, client_accounts
from federation.aws.jobs.request import JobSettings, RunIdentity, build_job_request
from federation.aws.jobs.run_jobs import TrainingJobs
from federation.config.names import TRAINING_JOB_LOG_GROUP, TRAINING_KEY_TAG
from federation.config.schema import parse_config
from federation.errors import ClientNetworkError, KickoffRefusedError, TrainingJobError

CLIENT = "222222222222"
REGION = "eu-west-1"  # not the server's
KEY = f"arn:aws:kms:{REGION}:{CLIENT}:key/k"
PARTY = {"region": "us-east-1", "availability_zones": ["us-east-1a"]}
CONFIG = parse_config(
    {
        "federation": {"name": "claims"},
        "server": PARTY | {"account": "123456789012", "cidr": "10.0.0.0/24"},  # moto's account
        "clients": [
            {
                "name": "a",
                "account": CLIENT,
                "region": REGION,
                "availability_zones": [f"{REGION}a"],
                "cidr": "10.0.1.0/24",
                "external_id": "the-external-id-of-a",
            }
        ],
    }
)
NAMES = CONFIG.client_names(CONFIG.clients[0])
JOB = "claims-a-20260101-000000-abcd"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = dt.datetime.now(dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now


class Witness:
    """Sees every AssumeRole request, and with which key requests in the client's account are signed.

    Sessions last an hour by the test's clock; moto has none of its own to set.
    """

    def __init__(self, session: boto3.Session, clock: Clock) -> None:
        self.assumed: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self._clock = clock
        session.events.register("before-parameter-build.sts.AssumeRole", self._note)
        session.events.register("after-call.sts.AssumeRole", self._set_expiry)

    def _note(self, params: dict[str, Any], **_: object) -> None:
        self.assumed.append(params)

    def _set_expiry(self, parsed: dict[str, Any], **_: object) -> None:
        parsed["Credentials"]["Expiration"] = self._clock() + dt.timedelta(hours=1)

    def watch(self, account: ClientAccount) -> None:
        """Note the keys that requests to SageMaker are signed with."""
        account._sagemaker.meta.events.register("before-send.sagemaker", self._note_key)

    def _note_key(self, request: Any, **_: object) -> None:
        authorization = request.headers["Authorization"]
        authorization = authorization.decode() if isinstance(authorization, bytes) else authorization
        (key,) = re.findall("Credential=([^/]+)/", authorization)
        self.keys.append(key)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands."""
    return Clock()


@pytest.fixture
def session() -> Iterator[boto3.Session]:
    """Return the server's own session, in an AWS of moto's."""
    with mock_aws():
        session = boto3.Session("made-up", "made-up", region_name="us-east-1")
        yield session


@pytest.fixture
def witness(session: boto3.Session, clock: Clock) -> Witness:
    """Return who sees which roles are assumed."""
    return Witness(session, clock)


@pytest.fixture
def account(session: boto3.Session, witness: Witness, clock: Clock) -> ClientAccount:
    """Return the client's account, seen by the server."""
    account = ClientAccount(CONFIG, CONFIG.clients[0], session, now=clock)
    witness.watch(account)
    return account


def in_the_account(service: str) -> Any:
    """Return boto3 with rights of its own in the client's account."""
    keys = boto3.client("sts", region_name=REGION).assume_role(
        RoleArn=f"arn:aws:iam::{CLIENT}:role/admin", RoleSessionName="test"
    )["Credentials"]
    return boto3.client(
        service,
        region_name=REGION,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def tags(resource: str, **more: str) -> list[dict[str, Any]]:
    """Return a request's tags for a resource of the training network."""
    pairs = {**NAMES.training_tags, **more}
    return [{"ResourceType": resource, "Tags": [{"Key": key, "Value": pairs[key]} for key in pairs]}]


def deploy_network() -> tuple[str, str]:
    """Make a training subnet and group, and others beside them; return the ids of the first."""
    ec2 = in_the_account("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.1.0/24")["Vpc"]["VpcId"]
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.128/25")
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/25", TagSpecifications=tags("subnet"))
    ec2.create_security_group(GroupName="other", Description="other", VpcId=vpc)
    group = ec2.create_security_group(
        GroupName="training",
        Description="training",
        VpcId=vpc,
        TagSpecifications=tags("security-group", **{TRAINING_KEY_TAG: KEY}),
    )
    return subnet["Subnet"]["SubnetId"], group["GroupId"]


def request(account: ClientAccount) -> dict[str, Any]:
    """Return the request of a job."""
    run = RunIdentity(run_id="20260101-000000-abcd", server_address="h:1", certificate="c")
    settings = JobSettings(label="l", source_key="source/0/source.tar.gz")
    return build_job_request(CONFIG, CONFIG.clients[0], account.network(), run, settings)


def test_the_kickoff_role_is_assumed_with_its_external_id(session: boto3.Session, witness: Witness) -> None:
    """When it is first needed, for every client by name."""
    accounts = client_accounts(CONFIG, session)
    assert witness.assumed == []
    accounts["a"].logged_jobs(dt.datetime.now(dt.UTC))
    assert witness.assumed == [
        {
            "RoleArn": NAMES.kickoff_role_arn,
            "RoleSessionName": "claims-server",
            "ExternalId": "the-external-id-of-a",
        }
    ]


def test_the_session_is_renewed_before_it_expires(
    account: ClientAccount, witness: Witness, clock: Clock
) -> None:
    """A session lasts an hour, a federation up to a day: seen by the keys that requests are signed with."""
    deploy_network()
    account.create_job(request(account))
    assert len(witness.assumed) == 1
    clock.now += dt.timedelta(minutes=40)
    account.job_status(JOB)
    assert len(witness.assumed) == 1
    clock.now += dt.timedelta(minutes=10)  # 10 minutes before it expires
    account.job_status(JOB)
    assert len(witness.assumed) == 2
    first, second, third = witness.keys
    assert first == second != third


def test_a_federation_of_a_day_goes_on(account: ClientAccount, witness: Witness, clock: Clock) -> None:
    """Even if nothing was asked for many hours."""
    deploy_network()
    account.create_job(request(account))
    clock.now += dt.timedelta(hours=20)
    account.job_status(JOB)
    assert len(witness.assumed) == 2


def test_the_training_network_is_found_by_its_tags(account: ClientAccount) -> None:
    """In the client's account and region, and nothing else that is there."""
    subnet, group = deploy_network()
    found = account.network()
    assert (found.subnets, found.security_group, found.key_arn) == ((subnet,), group, KEY)
    side = account.side(found)
    assert [(it.id, str(it.cidr)) for it in side.subnets] == [(subnet, "10.0.1.0/25")]


def test_without_a_training_network_the_stack_is_named(account: ClientAccount) -> None:
    """The remedy is to deploy it."""
    with pytest.raises(ClientNetworkError, match=r"0 subnets and 0 security groups.*Deploy ClientStack-a"):
        account.network()


def test_a_job_is_started_seen_and_stopped(account: ClientAccount) -> None:
    """With the very request that was decided; stopping it again does no harm."""
    deploy_network()
    asked = request(account)
    account.create_job(asked)
    made = in_the_account("sagemaker").describe_training_job(TrainingJobName=JOB)
    assert made["VpcConfig"] == asked["VpcConfig"]
    assert made["RoleArn"] == NAMES.training_role_arn
    assert account.find_job(JOB) is not None
    account.stop_job(JOB)
    account.stop_job(JOB)


def _answering(account: ClientAccount, **job: str) -> Stubber:
    stubber = Stubber(account._sagemaker)
    answer = {
        "TrainingJobName": JOB,
        "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:{CLIENT}:training-job/{JOB}",
    }
    needed = {
        "ModelArtifacts": {"S3ModelArtifacts": ""},
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "ResourceConfig": {"VolumeSizeInGB": 1},
        "StoppingCondition": {},
        "CreationTime": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    }
    stubber.add_response("describe_training_job", {**answer, **needed, **job}, {"TrainingJobName": JOB})
    stubber.activate()
    return stubber


@pytest.mark.parametrize(
    ("status", "ended"),
    [("InProgress", False), ("Stopping", False), ("Completed", True), ("Failed", True), ("Stopped", True)],
)
def test_a_status_says_whether_anything_more_will_happen(
    account: ClientAccount,
    status: str,
    ended: bool,  # noqa: FBT001 - a table's column
) -> None:
    """With SageMaker's reason, if there is one."""
    with _answering(account, TrainingJobStatus=status, SecondaryStatus="Training", FailureReason="why"):
        found = account.job_status(JOB)
    assert (found.status, found.secondary, found.failure, found.ended) == (status, "Training", "why", ended)


@pytest.mark.parametrize("status", ["Stopping", "Stopped", "Completed", "Failed"])
def test_a_job_that_does_not_run_is_not_stopped(account: ClientAccount, status: str) -> None:
    """SageMaker refuses to stop it; nothing is asked, so nothing fails."""
    with _answering(account, TrainingJobStatus=status, SecondaryStatus=status) as stubber:
        account.stop_job(JOB)
        stubber.assert_no_pending_responses()


def test_a_job_that_never_was_is_none(account: ClientAccount) -> None:
    """SageMaker says so in words only, and every other refusal stays an error."""
    for words, known in [("Requested resource not found.", True), ("Rate exceeded", False)]:
        with Stubber(account._sagemaker) as stubber:
            stubber.add_client_error("describe_training_job", "ValidationException", words)
            if known:
                assert account.find_job(JOB) is None
            else:
                with pytest.raises(TrainingJobError, match=words):
                    account.find_job(JOB)


def test_the_last_lines_of_a_jobs_log_are_read(account: ClientAccount) -> None:
    """Of that job only, in order, at most so many; none before it began to print."""
    logs = in_the_account("logs")
    logs.create_log_group(logGroupName=TRAINING_JOB_LOG_GROUP)
    assert account.last_log_lines(JOB) == []
    now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    for name, lines in [(f"{JOB}/algo-1-1", LOG_LINES + 5), (f"{JOB}-other/algo-1-1", 1)]:
        logs.create_log_stream(logGroupName=TRAINING_JOB_LOG_GROUP, logStreamName=name)
        events = [{"timestamp": now + number, "message": f"line {number}\n"} for number in range(lines)]
        logs.put_log_events(logGroupName=TRAINING_JOB_LOG_GROUP, logStreamName=name, logEvents=events)
    read = account.last_log_lines(JOB)
    assert read == [f"line {number}" for number in range(5, LOG_LINES + 5)]


STAMP = "2026-11-28 09:00:00,000"
TRAINING_TOOLKIT = f"""{STAMP} sagemaker-training-toolkit INFO     Waiting for the process to finish.
{STAMP} sagemaker-training-toolkit ERROR    Reporting training FAILURE
{STAMP} sagemaker-training-toolkit ERROR    ExecuteUserScriptError:
ExitCode 52
ErrorMessage ""
Command "/opt/venv/bin/python client.py --label fraud"
{STAMP} sagemaker-training-toolkit ERROR    Encountered exit_code 52"""
CONTAINERS = "\n".join(
    [
        f"{STAMP} sagemaker-containers ERROR    ExecuteUserScriptError:",
        'Command "/opt/venv/bin/python client.py --label fraud"',
        "Traceback (most recent call last):",
        *(f'  File "/opt/venv/lib/python3.12/module_{at // 2}.py", line 8, in main' for at in range(20)),
        "subprocess.CalledProcessError: Command returned non-zero exit status 52",
        "sagemaker_containers._errors.ExecuteUserScriptError: ExecuteUserScriptError:",
        'Command "/opt/venv/bin/python client.py --label fraud"',
    ]
)


@pytest.mark.parametrize("tail", [TRAINING_TOOLKIT, CONTAINERS], ids=["sagemaker-training", "-containers"])
def test_the_clients_own_words_are_found_before_either_toolkits(tail: str, account: ClientAccount) -> None:
    """AWS's image holds two programs that run the client; one writes 26 lines after its last."""
    said = "no answer from 10.0.0.5:8080 within 600 s. Check the peering."
    logs = in_the_account("logs")
    logs.create_log_group(logGroupName=TRAINING_JOB_LOG_GROUP)
    stream, now = f"{JOB}/algo-1-1", int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    logs.create_log_stream(logGroupName=TRAINING_JOB_LOG_GROUP, logStreamName=stream)
    lines = ["error: an earlier one", *["pip is busy"] * 30, f"error: {said}", *tail.splitlines()]
    events = [{"timestamp": now + at, "message": line} for at, line in enumerate(lines)]
    logs.put_log_events(logGroupName=TRAINING_JOB_LOG_GROUP, logStreamName=stream, logEvents=events)
    jobs = TrainingJobs({"a": account}, poll_seconds=0.01, on_status=lambda _name, _status: None)
    jobs._jobs["a"] = JOB
    assert jobs._last_error("a") == said


def test_jobs_are_found_by_their_logs(account: ClientAccount) -> None:
    """The federation's own, of late; without a log group there are none."""
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    assert account.logged_jobs(long_ago) == []
    logs = in_the_account("logs")
    logs.create_log_group(logGroupName=TRAINING_JOB_LOG_GROUP)
    for stream in (f"{JOB}/algo-1-1", f"{JOB}/algo-1-2", "payroll/algo-1-1", "claims-b-1/algo-1-1"):
        logs.create_log_stream(logGroupName=TRAINING_JOB_LOG_GROUP, logStreamName=stream)
    assert account.logged_jobs(long_ago) == [JOB]
    assert account.logged_jobs(dt.datetime.now(dt.UTC) + dt.timedelta(days=1)) == []


@pytest.mark.parametrize(
    ("code", "expected", "said"),
    [
        (
            "AccessDeniedException",
            KickoffRefusedError,
            r'client "a": the kickoff role may not start a training',
        ),
        (
            "ResourceLimitExceeded",
            TrainingJobError,
            r'client "a": AWS could not start .*ResourceLimitExceeded',
        ),
    ],
)
def test_a_refused_job_says_who_refused_what(
    account: ClientAccount, code: str, expected: type[Exception], said: str
) -> None:
    """The client, the action and AWS's reason."""
    deploy_network()
    asked = request(account)
    with Stubber(account._sagemaker) as stubber:
        stubber.add_client_error("create_training_job", code, "why")
        with pytest.raises(expected, match=said):
            account.create_job(asked)


def test_a_role_that_refuses_is_told_from_one_that_may_not(session: boto3.Session, clock: Clock) -> None:
    """AssumeRole itself failed: the ExternalId or the trust, not the role's rights."""

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")

    session.events.register("before-call.sts.AssumeRole", refuse)
    with pytest.raises(KickoffRefusedError, match=r"FL-kickoff-client-job refused the server .*external_id"):
        ClientAccount(CONFIG, CONFIG.clients[0], session, now=clock).network()


def test_an_aws_that_does_not_answer_is_an_error_of_ours(session: boto3.Session, clock: Clock) -> None:
    """No route, no endpoint: one line, no traceback of botocore's."""

    def lost(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://sts.us-east-1.amazonaws.com/")

    session.events.register("before-call.sts.AssumeRole", lost)
    account = ClientAccount(CONFIG, CONFIG.clients[0], session, now=clock)
    with pytest.raises(TrainingJobError, match=r'client "a": could not look up its training network'):
        account.network()
