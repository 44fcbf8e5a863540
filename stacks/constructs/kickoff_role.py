"""The role with which the server runs training jobs in a client's account, its only right there."""

from constructs import Construct

from federation.config import names
from federation.config.names import ClientNames, ServerNames
from federation.config.schema import Client, Settings
from stacks.job_actions import DESCRIBE_NETWORK
from stacks.rights import OWN_STREAMS, Right, describe_network, list_log_streams, role_with
from stacks.trust import only

OWN_JOBS = (
    "This federation's jobs in this account: a job's name is chosen when it starts; its prefix is fixed."
)


class KickoffRole(Construct):
    """``FL-kickoff-client-job``: run jobs within the client's limits, without access to its data.

    Every part of a job that a condition can pin is pinned to the client's own: subnets, security group, keys,
    instance types, run time, the time that an instance is kept afterwards. Two more doors are shut: no file
    system may be mounted, no remote shell opened.
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html

    Parameters
    ----------
    client : Client
        The client in whose account the jobs run.
    own : ClientNames
        Names of the client's resources.
    server : ServerNames
        Names of the server's resources: only the server's notebook role is trusted.
    training_role_arn : str
        The only role the server may pass to a job.
    key_arn : str
        The key that a job's volume and output must use.
    subnet_ids : list of str
        The subnets that jobs must use.
    group_id : str
        The security group they must have.
    limits : Settings
        The longest times that a job may run, and that its instance may be kept.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        client: Client,
        own: ClientNames,
        server: ServerNames,
        training_role_arn: str,
        key_arn: str,
        subnet_ids: list[str],
        group_id: str,
        limits: Settings,
    ) -> None:
        super().__init__(scope, construct_id)
        pinned = _pinned(client, key_arn, subnet_ids, group_id, limits)
        kept = _kept(limits)
        self.role = role_with(
            self,
            name=names.KICKOFF_ROLE,
            description="Lets the server start, watch and stop this federation's training jobs",
            trusts=only(server.account, server.notebook_role_arn, client.external_id),
            rights={
                names.KICKOFF_POLICY: [
                    *_run_jobs(client, own, pinned, kept),
                    *_pass_role(training_role_arn),
                    *_read_logs(own),
                    describe_network(DESCRIBE_NETWORK, client.region),
                ]
            },
        )


def _pinned(
    client: Client, key_arn: str, subnet_ids: list[str], group_id: str, limits: Settings
) -> dict[str, dict[str, object]]:
    """Pin a new job to the client's own values; "ForAllValues" alone would also admit a job without any."""
    return {
        "Null": {
            "sagemaker:VpcSubnets": "false",
            "sagemaker:VpcSecurityGroupIds": "false",
            "sagemaker:InstanceTypes": "false",
            "sagemaker:FileSystemId": "true",
        },
        "ForAllValues:StringEquals": {
            "sagemaker:VpcSubnets": subnet_ids,
            "sagemaker:VpcSecurityGroupIds": [group_id],
            "sagemaker:InstanceTypes": list(client.training_instance_types),
        },
        "ArnEquals": {"sagemaker:VolumeKmsKeyArn": key_arn, "sagemaker:OutputKmsKeyArn": key_arn},
        "NumericLessThanEquals": {"sagemaker:MaxRuntimeInSeconds": str(limits.max_job_seconds)},
        "BoolIfExists": {"sagemaker:EnableRemoteDebug": "false"},
    }


def _kept(limits: Settings) -> dict[str, dict[str, object]]:
    """Pin how long an instance may be kept after a job; a request that keeps none has no such key."""
    longest = str(limits.max_keep_alive_seconds)
    return {"NumericLessThanEqualsIfExists": {"sagemaker:KeepAlivePeriod": longest}}


def _run_jobs(
    client: Client,
    own: ClientNames,
    pinned: dict[str, dict[str, object]],
    kept: dict[str, dict[str, object]],
) -> list[Right]:
    jobs = [own.job_arns]
    return [
        Right(
            actions=["sagemaker:CreateTrainingJob"],
            resources=jobs,
            conditions={**pinned, **kept},
            because=OWN_JOBS,
        ),
        Right(
            actions=["sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"],
            resources=jobs,
            because=OWN_JOBS,
        ),
        Right(
            actions=["sagemaker:UpdateTrainingJob"],
            resources=jobs,
            conditions={
                **kept,
                "BoolIfExists": {"sagemaker:EnableRemoteDebug": "false"},
                "ForAllValues:StringEquals": {
                    "sagemaker:InstanceTypes": list(client.training_instance_types)
                },
            },
            because=OWN_JOBS,
        ),
        Right(
            actions=["sagemaker:AddTags"],
            resources=jobs,
            conditions={"StringEquals": {f"aws:RequestTag/{names.FEDERATION_TAG}": own.federation}},
            because=OWN_JOBS,
        ),
    ]


def _pass_role(training_role_arn: str) -> list[Right]:
    return [
        Right(actions=["iam:GetRole"], resources=[training_role_arn]),
        Right(
            actions=["iam:PassRole"],
            resources=[training_role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
    ]


def _read_logs(own: ClientNames) -> list[Right]:
    group = own.log_group_arn(names.TRAINING_JOB_LOG_GROUP)
    return [
        Right(
            actions=["logs:GetLogEvents"],
            resources=[f"{group}:log-stream:{own.job_name_prefix}*"],
            because=OWN_STREAMS,
        ),
        list_log_streams(group),
    ]
