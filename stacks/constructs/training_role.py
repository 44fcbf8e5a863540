"""The execution role of training jobs in the client's account."""

from constructs import Construct

from federation.config import names
from federation.config.names import ClientNames
from federation.config.schema import Client
from stacks.rights import (
    Right,
    describe_network,
    put_metrics,
    read_objects,
    role_with,
    use_key_for_s3,
    write_log_streams,
    write_objects,
)
from stacks.trust import sagemaker_of

JOIN_NETWORK = [
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
]
NEW_INTERFACE = (
    "A network interface has no id before SageMaker makes it; the subnets and the group are pinned."
)


class TrainingRole(Construct):
    """Execution role of training jobs: it only reads this client's data and code and writes its artifacts.

    SageMaker's needs for a job in a VPC:
    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms

    Parameters
    ----------
    client : Client
        The client whose jobs use the role.
    own : ClientNames
        Names of the client's resources.
    image : str
        Repository and tag of the training image.
    key_arn : str
        Encrypts the buckets and the job's volume.
    subnet_ids : list of str
        The subnets of the jobs.
    group_id : str
        The jobs' security group.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        client: Client,
        own: ClientNames,
        image: str,
        key_arn: str,
        subnet_ids: list[str],
        group_id: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = role_with(
            self,
            name=own.training_role,
            description="Execution role of this federation's training jobs",
            trusts=sagemaker_of(client.account, {"ArnLike": {"aws:SourceArn": own.job_arns}}),
            rights={
                "data-and-code": _data_and_code(own, key_arn),
                "image": _pull_image(client, image.partition(":")[0]),
                "network": _join_subnets(client, subnet_ids, group_id),
                "logs-and-metrics": [
                    *write_log_streams(own.log_group_arn(names.TRAINING_JOB_LOG_GROUP), own.job_name_prefix),
                    put_metrics(names.TRAINING_JOB_METRICS, names.FEDERATION_METRICS),
                ],
            },
        )


def _data_and_code(own: ClientNames, key_arn: str) -> list[Right]:
    return [
        *read_objects(own.data_bucket, names.DATA_PREFIX),
        *read_objects(own.code_bucket, names.SOURCE_PREFIX, names.WHEELS_PREFIX),
        *read_objects(own.artifacts_bucket, names.CHECKPOINTS_PREFIX),
        write_objects(own.artifacts_bucket, names.RUNS_PREFIX, names.CHECKPOINTS_PREFIX),
        use_key_for_s3(key_arn, own.region),
        Right(actions=["kms:DescribeKey"], resources=[key_arn]),
        # EBS decrypts the job's volume under a grant that only an AWS service may hold.
        Right(
            actions=["kms:CreateGrant"],
            resources=[key_arn],
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def _pull_image(client: Client, repository: str) -> list[Right]:
    return [
        Right(
            actions=["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            resources=[f"arn:aws:ecr:{client.region}:{client.image_registry}:repository/{repository}"],
        ),
        Right(
            actions=["ecr:GetAuthorizationToken"],
            resources=["*"],
            because="The login to ECR takes no resource; what may be pulled is the statement before.",
        ),
    ]


def _join_subnets(client: Client, subnet_ids: list[str], group_id: str) -> list[Right]:
    ec2 = f"arn:aws:ec2:{client.region}:{client.account}"
    interfaces = f"{ec2}:network-interface/*"
    subnets = [f"{ec2}:subnet/{subnet}" for subnet in subnet_ids]
    return [
        Right(
            actions=["ec2:CreateNetworkInterface"],
            resources=[interfaces, *subnets, f"{ec2}:security-group/{group_id}"],
            because=NEW_INTERFACE,
        ),
        Right(
            actions=[
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            resources=[interfaces],
            conditions={"ArnEquals": {"ec2:Subnet": subnets}},
            because=NEW_INTERFACE,
        ),
        describe_network(JOIN_NETWORK, client.region),
    ]
