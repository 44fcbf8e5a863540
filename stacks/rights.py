"""The rights of a role; each wildcard has the reason why no narrower resource is possible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import aws_iam as iam
from constructs import Construct

from federation.config import names
from federation.config.names import PartyNames
from stacks.review import accept

UNDER_PREFIX = "Objects below one prefix of one bucket: their names are the operator's choice."
OWN_STREAMS = "Log streams below one prefix: SageMaker adds an id of its own to their names."
STREAM_NAMES = (
    "Listing shows the names of a group's streams, never their content; it takes no narrower resource."
)


@dataclass(frozen=True, kw_only=True)
class Right:
    """One statement of a policy.

    Parameters
    ----------
    actions, resources : list of str
        The allowed actions, and their resources.
    conditions : dict
        The conditions of the permission.
    because : str
        Why a wildcard among the resources cannot be narrower. Without it, a wildcard fails the synthesis.
    """

    actions: list[str]
    resources: list[str]
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    because: str = ""

    @property
    def statement(self) -> iam.PolicyStatement:
        """The statement itself."""
        return iam.PolicyStatement(
            actions=self.actions, resources=self.resources, conditions=dict(self.conditions)
        )


def role_with(
    scope: Construct,
    *,
    name: str | None,
    description: str,
    trusts: iam.PrincipalBase,
    rights: Mapping[str, Sequence[Right]],
) -> iam.Role:
    """Create a role with all its rights in one place, and acknowledge the wildcards with their reasons.

    Parameters
    ----------
    scope : Construct
        The scope of the role.
    name : str or None
        The role's name, if another party must know it in advance.
    description : str
        The role's description in the console.
    trusts : PrincipalBase
        The principal that may assume the role.
    rights : mapping of str to sequence of Right
        Statements by the name of their inline policy.
    """
    role = iam.Role(
        scope,
        "Role",
        role_name=name,
        description=description,
        assumed_by=trusts,
        inline_policies={
            policy: iam.PolicyDocument(statements=[right.statement for right in group])
            for policy, group in rights.items()
        },
    )
    reasons = {
        resource: right.because
        for group in rights.values()
        for right in group
        for resource in right.resources
        if "*" in resource and right.because
    }
    for resource, reason in reasons.items():
        accept(role, f"IAM5[Resource::{resource}]", reason)
    return role


def read_objects(bucket: str, *prefixes: str) -> list[Right]:
    """Return the right to list and read objects under some prefixes of a bucket.

    Parameters
    ----------
    bucket : str
        The bucket's name.
    *prefixes : str
        Such as ``data/``.
    """
    return [
        Right(actions=["s3:GetObject"], resources=_objects(bucket, prefixes), because=UNDER_PREFIX),
        Right(
            actions=["s3:ListBucket"],
            resources=[f"arn:aws:s3:::{bucket}"],
            conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
        ),
    ]


def replace_objects(bucket: str, *prefixes: str) -> Right:
    """Return the right to write and delete under some prefixes; replaced or deleted versions remain.

    Parameters
    ----------
    bucket : str
        The bucket's name.
    *prefixes : str
        Such as ``source/``.
    """
    return Right(
        actions=["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"],
        resources=_objects(bucket, prefixes),
        because=UNDER_PREFIX,
    )


def write_objects(bucket: str, *prefixes: str) -> Right:
    """Return the right to write, but not to delete, under some prefixes of a bucket.

    Parameters
    ----------
    bucket : str
        The bucket's name.
    *prefixes : str
        Such as ``runs/``.
    """
    return Right(
        actions=["s3:AbortMultipartUpload", "s3:PutObject"],
        resources=_objects(bucket, prefixes),
        because=UNDER_PREFIX,
    )


def use_key_for_s3(key_arn: str, region: str) -> Right:
    """Return the right to use a key only for objects in S3.

    Parameters
    ----------
    key_arn : str
        The key of the buckets.
    region : str
        The region of the buckets.
    """
    return Right(
        actions=["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"],
        resources=[key_arn],
        conditions={"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}},
    )


def put_metrics(*namespaces: str) -> Right:
    """Return the right to publish metrics in some namespaces.

    Parameters
    ----------
    *namespaces : str
        CloudWatch namespaces.
    """
    return Right(
        actions=["cloudwatch:PutMetricData"],
        resources=["*"],
        conditions={"StringEquals": {"cloudwatch:namespace": list(namespaces)}},
        because="No metric or namespace is a resource of PutMetricData; the condition names the namespaces.",
    )


def describe_network(actions: list[str], region: str) -> Right:
    """Return the right to describe a network in one region.

    Parameters
    ----------
    actions : list of str
        ``ec2:Describe…`` actions.
    region : str
        The region of the network.
    """
    return Right(
        actions=actions,
        resources=["*"],
        conditions={"StringEquals": {"ec2:Region": region}},
        because="EC2's Describe actions take no resource; the condition names the region.",
    )


def write_log_streams(group_arn: str, prefix: str) -> list[Right]:
    """Return the right to write some streams of a log group, which SageMaker creates if it is missing.

    Parameters
    ----------
    group_arn : str
        The group's ARN, without a trailing ``:*``.
    prefix : str
        Start of the streams' names.
    """
    return [
        Right(
            actions=["logs:CreateLogStream", "logs:PutLogEvents"],
            resources=[f"{group_arn}:log-stream:{prefix}*"],
            because=OWN_STREAMS,
        ),
        Right(actions=["logs:CreateLogGroup"], resources=[group_arn]),
        list_log_streams(group_arn),
    ]


def list_log_streams(group_arn: str) -> Right:
    """Return the right to list a log group's streams.

    Parameters
    ----------
    group_arn : str
        The group's ARN, without a trailing ``:*``.
    """
    return Right(
        actions=["logs:DescribeLogStreams"],
        resources=[group_arn, f"{group_arn}:log-stream:*"],
        because=STREAM_NAMES,
    )


def write_own_notebook_log(own: PartyNames) -> list[Right]:
    """Return the right to log the output of the notebook's start script.

    Parameters
    ----------
    own : PartyNames
        The names of the party that owns the notebook.
    """
    return write_log_streams(own.log_group_arn(names.NOTEBOOK_LOG_GROUP), f"{own.notebook}/")


def _objects(bucket: str, prefixes: Sequence[str]) -> list[str]:
    return [f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in prefixes]
