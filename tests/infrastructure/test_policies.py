"""Who may do what, by evaluating the deployed policies as AWS does."""

import pytest

from federation.config import names
from federation.config.names import ClientNames, ServerNames
from federation.config.schema import FederationConfig
from tests.infrastructure.deployed import Deployment, Resource
from tests.infrastructure.iam import Context, Evaluator

JOB: Context = {"sagemaker:InstanceTypes": ["ml.m5.large"], "sagemaker:MaxRuntimeInSeconds": "86400"}
OTHER_KEY = "arn:aws:kms:us-east-1:222222222222:key/00000000-0000-0000-0000-000000000000"
STRANGER = "arn:aws:iam::999999999999:role/stranger"
CLIENT_BUCKETS = ["data_bucket", "code_bucket", "artifacts_bucket"]


@pytest.fixture(scope="module")
def server(two: FederationConfig) -> ServerNames:
    """Return what the server's resources are called."""
    return two.server_names


@pytest.fixture(scope="module")
def client(two: FederationConfig) -> ClientNames:
    """Return what the first client's resources are called."""
    return two.client_names(two.clients[0])


@pytest.fixture(scope="module")
def other(two: FederationConfig) -> ClientNames:
    """Return what the second client's resources are called."""
    return two.client_names(two.clients[1])


@pytest.fixture(scope="module")
def external_id(two: FederationConfig) -> str:
    """Return what the server presents to the first client."""
    return two.clients[0].external_id


@pytest.fixture(scope="module")
def job(deployment: Deployment) -> dict[str, str | list[str]]:
    """Return the condition keys of a training job as the client laid it down."""
    key = deployment.one("ClientStack", "AWS::KMS::Key").arn
    return {
        **JOB,
        "sagemaker:VpcSubnets": [deployment.one("ClientStack", "AWS::EC2::Subnet").id],
        "sagemaker:VpcSecurityGroupIds": [
            deployment.one("ClientStack", "AWS::EC2::SecurityGroup", "NetworkTrainingGroup").id
        ],
        "sagemaker:VolumeKmsKeyArn": key,
        "sagemaker:OutputKmsKeyArn": key,
    }


def job_arn(client: ClientNames, name: str) -> str:
    """Return a training job's ARN in a client's account."""
    return f"arn:aws:sagemaker:{client.region}:{client.account}:training-job/{name}"


def object_arn(bucket: str, key: str) -> str:
    """Return an object's ARN."""
    return f"arn:aws:s3:::{bucket}/{key}"


def door(deployment: Deployment, service: str) -> Resource:
    """Return the server's endpoint of a service in its own region."""
    (found,) = [
        it
        for it in deployment.of_type("AWS::EC2::VPCEndpoint")
        if it.properties["ServiceName"] == f"com.amazonaws.us-east-1.{service}"
        and it.stack == "ServerNetworkStack"
    ]
    return found


def test_the_servers_notebook_assumes_every_kickoff_role(
    iam: Evaluator, two: FederationConfig, server: ServerNames
) -> None:
    """Both sides of the trust agree."""
    for client in two.clients:
        role = two.client_names(client).kickoff_role_arn
        context = {"sts:ExternalId": client.external_id}
        assert iam.allows(server.notebook_role_arn, "sts:AssumeRole", role, context)


@pytest.mark.parametrize(
    "context", [{}, {"sts:ExternalId": "replace-me-0d7f2a58-11aa"}], ids=["none", "another-client's"]
)
def test_a_wrong_external_id_is_refused(
    iam: Evaluator, server: ServerNames, client: ClientNames, context: Context
) -> None:
    """The notebook's role alone does not open a client's account."""
    assert not iam.allows(server.notebook_role_arn, "sts:AssumeRole", client.kickoff_role_arn, context)


@pytest.mark.parametrize(
    "caller",
    ["arn:aws:iam::111111111111:role/admin", STRANGER],
    ids=["the server's account", "a third account"],
)
def test_nobody_else_assumes_the_kickoff_role(
    iam: Evaluator, client: ClientNames, external_id: str, caller: str
) -> None:
    """Not even an administrator of the server's account who knows the ExternalId."""
    context = {"sts:ExternalId": external_id}
    assert not iam.allows(caller, "sts:AssumeRole", client.kickoff_role_arn, context, with_all_rights=True)


def test_the_servers_notebook_assumes_no_other_role(
    iam: Evaluator, deployment: Deployment, server: ServerNames, external_id: str
) -> None:
    """Of all roles of the federation, it gets into the kickoff roles only."""
    context = {"sts:ExternalId": external_id}
    roles = [it.arn for it in deployment.of_type("AWS::IAM::Role") if it.id != names.KICKOFF_ROLE]
    assert len(roles) > 10
    assert [it for it in roles if iam.allows(server.notebook_role_arn, "sts:AssumeRole", it, context)] == []


def test_the_server_starts_a_job_as_the_client_laid_it_down(
    iam: Evaluator, client: ClientNames, job: Context
) -> None:
    """The one thing the kickoff role is for."""
    arn = job_arn(client, f"{client.job_name_prefix}run1")
    assert iam.allows(client.kickoff_role_arn, "sagemaker:CreateTrainingJob", arn, job)
    for action in ("DescribeTrainingJob", "StopTrainingJob", "UpdateTrainingJob"):
        assert iam.allows(client.kickoff_role_arn, f"sagemaker:{action}", arn), action


@pytest.mark.parametrize(
    "change",
    [
        {"sagemaker:VpcSubnets": ["subnet-elsewhere"]},
        {"sagemaker:VpcSubnets": []},
        {"sagemaker:VpcSecurityGroupIds": ["sg-elsewhere"]},
        {"sagemaker:VpcSecurityGroupIds": []},
        {"sagemaker:InstanceTypes": ["ml.m5.24xlarge"]},
        {"sagemaker:VolumeKmsKeyArn": OTHER_KEY},
        {"sagemaker:VolumeKmsKeyArn": []},
        {"sagemaker:OutputKmsKeyArn": OTHER_KEY},
        {"sagemaker:OutputKmsKeyArn": []},
        {"sagemaker:MaxRuntimeInSeconds": "86401"},
        {"sagemaker:KeepAlivePeriod": "1"},
        {"sagemaker:EnableRemoteDebug": "true"},
        {"sagemaker:FileSystemId": "fs-0123456789abcdef0"},
    ],
    ids=lambda change: "=".join(str(part) for part in next(iter(change.items()))),
)
def test_a_job_with_anything_else_is_refused(
    iam: Evaluator, client: ClientNames, job: Context, change: Context
) -> None:
    """Each setting is pinned by itself: one deviation, or leaving it out, is enough."""
    wanted = {**job, **change}
    request = {key: value for key, value in wanted.items() if value != []}
    arn = job_arn(client, f"{client.job_name_prefix}run1")
    assert not iam.allows(client.kickoff_role_arn, "sagemaker:CreateTrainingJob", arn, request)


@pytest.mark.parametrize(
    "action", ["CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "UpdateTrainingJob"]
)
def test_jobs_of_others_are_out_of_reach(
    iam: Evaluator, client: ClientNames, job: Context, action: str
) -> None:
    """The kickoff role acts on this federation's job names only."""
    arn = job_arn(client, "payroll-model-7")
    assert not iam.allows(client.kickoff_role_arn, f"sagemaker:{action}", arn, job)


def test_a_running_job_cannot_be_opened_for_a_shell(iam: Evaluator, client: ClientNames) -> None:
    """Remote debugging would show the training data to whoever starts it."""
    arn = job_arn(client, f"{client.job_name_prefix}run1")
    context = {"sagemaker:EnableRemoteDebug": "true"}
    assert not iam.allows(client.kickoff_role_arn, "sagemaker:UpdateTrainingJob", arn, context)


def test_no_instance_is_kept_for_longer_than_the_client_allows(
    iam: Evaluator, client: ClientNames, job: Context
) -> None:
    """A kept instance is paid: neither a new job nor a change of a running one may ask for more."""
    arn = job_arn(client, f"{client.job_name_prefix}run1")
    for action in ("CreateTrainingJob", "UpdateTrainingJob"):
        for seconds, allowed in (("0", True), ("60", False), ("3600", False)):
            asked = {**job, "sagemaker:KeepAlivePeriod": seconds}
            may = iam.allows(client.kickoff_role_arn, f"sagemaker:{action}", arn, asked)
            assert may == allowed, (action, seconds)


def test_the_server_passes_exactly_one_role_to_exactly_one_service(
    iam: Evaluator, deployment: Deployment, client: ClientNames
) -> None:
    """Of all roles in the client's account, and only to SageMaker."""
    roles = [it.arn for it in deployment.of_type("AWS::IAM::Role") if it.account == client.account]
    for service, expected in [("sagemaker", [client.training_role_arn]), ("ec2", []), ("lambda", [])]:
        context = {"iam:PassedToService": f"{service}.amazonaws.com"}
        passed = [it for it in roles if iam.allows(client.kickoff_role_arn, "iam:PassRole", it, context)]
        assert passed == expected, service


@pytest.mark.parametrize("bucket", CLIENT_BUCKETS)
@pytest.mark.parametrize("with_all_rights", [False, True], ids=["own-rights", "all-rights"])
def test_the_server_cannot_read_a_clients_buckets(
    iam: Evaluator, server: ServerNames, client: ClientNames, bucket: str, *, with_all_rights: bool
) -> None:
    """Neither as itself nor in the kickoff role, even if a later mistake gave that role all rights."""
    name = getattr(client, bucket)
    for prefix in (names.DATA_PREFIX, names.SOURCE_PREFIX, names.RUNS_PREFIX, ""):
        for role in (server.notebook_role_arn, client.kickoff_role_arn):
            arn = object_arn(name, f"{prefix}file.csv")
            assert not iam.allows(role, "s3:GetObject", arn, with_all_rights=with_all_rights), (role, arn)
            listing = {"s3:prefix": prefix}
            assert not iam.allows(
                role, "s3:ListBucket", f"arn:aws:s3:::{name}", listing, with_all_rights=with_all_rights
            )


def test_the_server_cannot_use_a_clients_key(
    iam: Evaluator, deployment: Deployment, server: ServerNames, client: ClientNames
) -> None:
    """What it cannot fetch it could not decrypt either."""
    key = deployment.one("ClientStack", "AWS::KMS::Key").arn
    assert not iam.allows(server.notebook_role_arn, "kms:Decrypt", key, with_all_rights=True)
    assert not iam.allows(client.kickoff_role_arn, "kms:Decrypt", key)
    assert not iam.allows(client.kickoff_role_arn, "kms:CreateGrant", key)


def test_the_server_sees_why_a_job_failed_and_no_other_jobs_log(iam: Evaluator, client: ClientNames) -> None:
    """Reading is limited to streams that begin with the job-name prefix."""
    group = client.log_group_arn(names.TRAINING_JOB_LOG_GROUP)
    own = f"{group}:log-stream:{client.job_name_prefix}run1/algo-1-1700000000"
    assert iam.allows(client.kickoff_role_arn, "logs:GetLogEvents", own)
    assert not iam.allows(client.kickoff_role_arn, "logs:GetLogEvents", f"{group}:log-stream:payroll/algo-1")
    assert iam.allows(client.kickoff_role_arn, "logs:DescribeLogStreams", group)


def test_a_preflight_sees_the_road_from_both_sides(
    iam: Evaluator, deployment: Deployment, server: ServerNames, client: ClientNames
) -> None:
    """Subnets, routes, rules and peering: in its own account, and through the kickoff role."""
    own, way = server.notebook_role_arn, {"ec2:Region": "us-east-1"}
    for action in ("RouteTables", "SecurityGroups", "Subnets", "VpcPeeringConnections"):
        for role in (own, client.kickoff_role_arn):
            ec2 = door(deployment, "ec2")
            assert iam.allows(role, f"ec2:Describe{action}", "*", way, endpoint=ec2), (role, action)
    assert iam.allows(own, "sts:GetCallerIdentity", "*", endpoint=door(deployment, "sts"))
    describe = "sagemaker:DescribeNotebookInstance"
    assert iam.allows(own, describe, server.notebook_arn, endpoint=door(deployment, "sagemaker.api"))
    runs = {"s3:prefix": names.RUNS_PREFIX}
    assert iam.allows(own, "s3:ListBucket", f"arn:aws:s3:::{server.results_bucket}", runs)


def test_jobs_are_found_and_stopped_without_listing_the_accounts_jobs(
    iam: Evaluator, server: ServerNames, client: ClientNames
) -> None:
    """A list would show the client's other jobs: the server notes its own, and looks for its logs."""
    note = object_arn(server.results_bucket, f"{names.RUNS_PREFIX}1/jobs.json")
    assert iam.allows(server.notebook_role_arn, "s3:PutObject", note)
    assert iam.allows(server.notebook_role_arn, "s3:GetObject", note)
    group = client.log_group_arn(names.TRAINING_JOB_LOG_GROUP)
    assert iam.allows(client.kickoff_role_arn, "logs:DescribeLogStreams", group)
    for action in ("sagemaker:ListTrainingJobs", "sagemaker:Search", "tag:GetResources"):
        assert not iam.allows(client.kickoff_role_arn, action, "*"), action


def test_a_training_job_reads_its_own_data_and_writes_its_own_artifacts(
    iam: Evaluator, deployment: Deployment, client: ClientNames
) -> None:
    """What a run needs, also through the network's only way to S3."""
    role, way = client.training_role_arn, deployment.one("ClientStack", "AWS::EC2::VPCEndpoint")
    for action, arn in [
        ("s3:GetObject", object_arn(client.data_bucket, "data/train/part.csv")),
        ("s3:GetObject", object_arn(client.code_bucket, "source/source.tar.gz")),
        ("s3:GetObject", object_arn(client.code_bucket, "wheels/flwr.whl")),
        ("s3:PutObject", object_arn(client.artifacts_bucket, "runs/1/model.tar.gz")),
        ("s3:PutObject", object_arn(client.artifacts_bucket, "checkpoints/1/state")),
    ]:
        assert iam.allows(role, action, arn, endpoint=way), (action, arn)
    key = deployment.one("ClientStack", "AWS::KMS::Key").arn
    assert iam.allows(role, "kms:Decrypt", key, {"kms:ViaService": "s3.us-east-1.amazonaws.com"})


def test_a_training_job_does_nothing_else_with_storage(
    iam: Evaluator, client: ClientNames, other: ClientNames, server: ServerNames
) -> None:
    """It changes neither data nor code, deletes nothing, and sees nobody else's."""
    role = client.training_role_arn
    for action, arn in [
        ("s3:PutObject", object_arn(client.data_bucket, "data/train/part.csv")),
        ("s3:PutObject", object_arn(client.code_bucket, "source/source.tar.gz")),
        ("s3:DeleteObject", object_arn(client.artifacts_bucket, "runs/1/model.tar.gz")),
        ("s3:GetObject", object_arn(client.artifacts_bucket, "runs/1/model.tar.gz")),
        ("s3:GetObject", object_arn(other.data_bucket, "data/train/part.csv")),
        ("s3:PutObject", object_arn(server.results_bucket, "runs/1/data.csv")),
    ]:
        assert not iam.allows(role, action, arn), (action, arn)


def test_data_cannot_leave_through_s3(
    iam: Evaluator, deployment: Deployment, client: ClientNames, server: ServerNames
) -> None:
    """Even with all rights, and a foreign bucket open to the world, the network's endpoint refuses."""
    foreign = object_arn("somebody-elses-bucket", "stolen.csv")
    for role, stack in [
        (client.training_role_arn, "ClientStack"),
        (server.notebook_role_arn, "ServerNetworkStack"),
    ]:
        way = deployment.one(stack, "AWS::EC2::VPCEndpoint", "NetworkVpcS3")
        assert iam.allows(role, "s3:PutObject", foreign, with_all_rights=True)
        assert not iam.allows(role, "s3:PutObject", foreign, endpoint=way, with_all_rights=True)


def test_foreign_credentials_do_not_work_in_the_clients_network(
    iam: Evaluator, deployment: Deployment, client: ClientNames
) -> None:
    """A job cannot write to a stranger's bucket with the stranger's own keys."""
    way = deployment.one("ClientStack", "AWS::EC2::VPCEndpoint")
    for bucket in ("strangers-bucket", client.artifacts_bucket):
        arn = object_arn(bucket, "runs/stolen.csv")
        assert not iam.allows(STRANGER, "s3:PutObject", arn, endpoint=way, with_all_rights=True)


def test_the_servers_endpoints_pass_what_a_run_needs(
    iam: Evaluator,
    deployment: Deployment,
    server: ServerNames,
    client: ClientNames,
    external_id: str,
    job: Context,
) -> None:
    """Assume the role, start the job, read its log: each through its own door."""
    context = {"sts:ExternalId": external_id}
    role, arn = client.kickoff_role_arn, job_arn(client, f"{client.job_name_prefix}run1")
    assert iam.allows(
        server.notebook_role_arn, "sts:AssumeRole", role, context, endpoint=door(deployment, "sts")
    )
    assert iam.allows(
        role, "sagemaker:CreateTrainingJob", arn, job, endpoint=door(deployment, "sagemaker.api")
    )
    assert iam.allows(
        role, "ec2:DescribeSubnets", "*", {"ec2:Region": "us-east-1"}, endpoint=door(deployment, "ec2")
    )
    stream = (
        f"{client.log_group_arn(names.TRAINING_JOB_LOG_GROUP)}:log-stream:{client.job_name_prefix}run1/algo-1"
    )
    assert iam.allows(role, "logs:GetLogEvents", stream, endpoint=door(deployment, "logs"))
    group = client.log_group_arn(names.TRAINING_JOB_LOG_GROUP)
    assert iam.allows(role, "logs:DescribeLogStreams", group, endpoint=door(deployment, "logs"))
    metrics = {"cloudwatch:namespace": names.FEDERATION_METRICS}
    assert iam.allows(
        server.notebook_role_arn,
        "cloudwatch:PutMetricData",
        "*",
        metrics,
        endpoint=door(deployment, "monitoring"),
    )


def test_foreign_credentials_do_not_work_in_the_servers_network(
    iam: Evaluator, deployment: Deployment
) -> None:
    """No interface endpoint passes a request of an account that is no party."""
    requests = {
        "sagemaker.api": (
            "sagemaker:DescribeNotebookInstance",
            "arn:aws:sagemaker:us-east-1:999999999999:notebook-instance/x",
        ),
        "ec2": ("ec2:DescribeSubnets", "*"),
        "monitoring": ("cloudwatch:PutMetricData", "*"),
    }
    for name, (action, resource) in requests.items():
        assert iam.allows(STRANGER, action, resource, with_all_rights=True), name
        assert not iam.allows(
            STRANGER, action, resource, endpoint=door(deployment, name), with_all_rights=True
        ), name


def test_a_clients_proof_of_identity_passes_the_servers_door(
    deployment: Deployment, server: ServerNames, client: ClientNames
) -> None:
    """The server sends on what a client's role signed: its endpoint for STS admits the parties' accounts.

    Read, not evaluated: AWS lets everybody ask who they are, and so does the evaluator, whatever the policy.
    """
    document = door(deployment, "sts").properties["PolicyDocument"]
    (who_am_i,) = [it for it in document["Statement"] if it["Action"] == "sts:GetCallerIdentity"]
    assert (who_am_i["Effect"], who_am_i["Principal"], who_am_i["Resource"]) == ("Allow", "*", "*")
    accounts = who_am_i["Condition"]["StringEquals"]["aws:PrincipalAccount"]
    assert {server.account, client.account} <= set(accounts)
    assert "999999999999" not in accounts


def test_a_clients_role_can_do_nothing_else_in_the_servers_network(
    iam: Evaluator, deployment: Deployment, client: ClientNames
) -> None:
    """Even with all rights it assumes no role through the server's STS, but for the kickoff roles."""
    sts, admin = door(deployment, "sts"), f"arn:aws:iam::{client.account}:role/admin"
    assert not iam.allows(
        client.training_role_arn, "sts:AssumeRole", admin, endpoint=sts, with_all_rights=True
    )


def test_each_client_connects_with_its_own_roles_only(
    iam: Evaluator, two: FederationConfig, server: ServerNames, client: ClientNames, other: ClientNames
) -> None:
    """A client's CloudFormation cannot act in the server's account as another client."""
    qualifier = two.federation.bootstrap_qualifier
    for role in (server.accepter_role_arn, server.reader_role_arn):
        target = role(client.party)
        assert iam.allows(client.deploy_role_arn(qualifier), "sts:AssumeRole", target, with_all_rights=True)
        assert not iam.allows(
            other.deploy_role_arn(qualifier), "sts:AssumeRole", target, with_all_rights=True
        )
        assert not iam.allows(
            f"arn:aws:iam::{client.account}:role/admin", "sts:AssumeRole", target, with_all_rights=True
        )


def test_a_peering_is_accepted_from_that_client_only(
    iam: Evaluator, deployment: Deployment, server: ServerNames, client: ClientNames
) -> None:
    """The accepter role accepts the client's connection to this VPC, and no other."""
    vpc = deployment.one("ServerNetworkStack", "AWS::EC2::VPC").id
    accepter = server.accepter_role_arn(client.party)
    connection = f"arn:aws:ec2:{server.region}:{server.account}:vpc-peering-connection/pcx-1"

    def accepts(requester: str, accepting: str) -> bool:
        context = {
            "ec2:RequesterVpc": f"arn:aws:ec2:us-east-1:{requester}:vpc/vpc-1",
            "ec2:AccepterVpc": f"arn:aws:ec2:{server.region}:{server.account}:vpc/{accepting}",
        }
        return iam.allows(accepter, "ec2:AcceptVpcPeeringConnection", connection, context)

    assert accepts(client.account, vpc)
    assert not accepts("999999999999", vpc)
    assert not accepts(client.account, "vpc-of-payroll")


def test_an_output_reader_reads_one_stack(iam: Evaluator, server: ServerNames, client: ClientNames) -> None:
    """Each reader sees the outputs of the stack that it is in."""
    for role, owner, stack in [
        (server.reader_role_arn(client.party), server, names.SERVER_NETWORK_STACK),
        (client.reader_role_arn("server"), client, "ClientStack"),
    ]:
        prefix = f"arn:aws:cloudformation:{owner.region}:{owner.account}:stack"
        assert iam.allows(role, "cloudformation:DescribeStacks", f"{prefix}/{stack}/1")
        assert not iam.allows(role, "cloudformation:DescribeStacks", f"{prefix}/Payroll/1")
        assert not iam.allows(role, "cloudformation:GetTemplate", f"{prefix}/{stack}/1")


def test_the_clients_notebook_publishes(iam: Evaluator, two: FederationConfig, client: ClientNames) -> None:
    """The operator uploads data and code from there, and cannot act for the server."""
    role = client.notebook_role_arn
    assert iam.allows(role, "s3:PutObject", object_arn(client.data_bucket, "data/train/part.csv"))
    assert iam.allows(role, "s3:PutObject", object_arn(client.code_bucket, "source/source.tar.gz"))
    assert not iam.allows(role, "s3:PutObject", object_arn(client.code_bucket, "notebook/requirements.txt"))
    replaced = object_arn(client.code_bucket, "source/source.tar.gz")
    assert iam.allows(role, "s3:DeleteObject", replaced)
    assert not iam.allows(role, "s3:DeleteObjectVersion", replaced)  # what was replaced can be looked at
    context = {"sts:ExternalId": two.clients[0].external_id}
    assert not iam.allows(role, "sts:AssumeRole", client.kickoff_role_arn, context)
