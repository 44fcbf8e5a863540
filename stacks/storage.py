"""Common settings of a party's buckets, taken from its stack."""

from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from federation.config.names import PartyNames
from stacks.constructs.buckets import AccessLogs, PrivateBucket
from stacks.federation_stack import FederationStack


class Storage:
    """Creates the buckets of one party with the same settings.

    Parameters
    ----------
    stack : FederationStack
        The stack of the buckets.
    own : PartyNames
        Names of the party's resources.
    key : IKey
        Encrypts them.
    refused_role_arn : str or None
        A role of the own account that must not read them.
    """

    def __init__(
        self, stack: FederationStack, *, own: PartyNames, key: kms.IKey, refused_role_arn: str | None
    ) -> None:
        self._stack = stack
        self._key = key
        self._refused_role_arn = refused_role_arn
        self._access_logs = AccessLogs(
            stack,
            "AccessLogs",
            bucket_name=own.access_logs_bucket,
            retention_days=stack.config.federation.log_retention_days,
            removal_policy=stack.removal_policy,
        )

    def bucket(self, construct_id: str, name: str) -> s3.Bucket:
        """Create one bucket."""
        return PrivateBucket(
            self._stack,
            construct_id,
            bucket_name=name,
            key=self._key,
            access_logs=self._access_logs,
            refused_role_arn=self._refused_role_arn,
            noncurrent_version_days=self._stack.config.federation.noncurrent_version_days,
            removal_policy=self._stack.removal_policy,
        ).bucket
