"""Buckets that no principal outside the account can read, even if a role is misconfigured."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.review import accept

UNFINISHED_UPLOAD = cdk.Duration.days(7)


class AccessLogs(Construct):
    """The bucket for S3's access logs of the party's other buckets.

    Encrypted with S3's own key, the only one that log delivery supports:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html

    Parameters
    ----------
    bucket_name : str
        Its name.
    retention_days : int
        Retention time of the logs.
    removal_policy : RemovalPolicy
        Treatment of the bucket when the stack is destroyed.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket_name: str,
        retention_days: int,
        removal_policy: cdk.RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=bucket_name,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            removal_policy=removal_policy,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=cdk.Duration.days(retention_days),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                    abort_incomplete_multipart_upload_after=UNFINISHED_UPLOAD,
                )
            ],
        )
        accept(
            self.bucket,
            "S1",
            "It receives the access logs of the other buckets; logging its own deliveries would never end.",
        )


class PrivateBucket(Construct):
    """A bucket of one party: encrypted, versioned, TLS only, logged, inaccessible to every other account.

    Parameters
    ----------
    bucket_name : str
        Its name.
    key : IKey
        The party's key.
    access_logs : AccessLogs
        The bucket for the access logs.
    refused_role_arn : str or None
        A role in the own account that must not read the bucket either, independent of its policies.
    noncurrent_version_days : int
        Retention time of overwritten and deleted objects.
    removal_policy : RemovalPolicy
        Treatment of the bucket when the stack is destroyed. CloudFormation refuses to delete a bucket that is
        not empty, so nothing is lost silently.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket_name: str,
        key: kms.IKey,
        access_logs: AccessLogs,
        refused_role_arn: str | None,
        noncurrent_version_days: int,
        removal_policy: cdk.RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            bucket_name=bucket_name,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            server_access_logs_bucket=access_logs.bucket,
            server_access_logs_prefix=f"{bucket_name}/",
            removal_policy=removal_policy,
            lifecycle_rules=[
                s3.LifecycleRule(
                    noncurrent_version_expiration=cdk.Duration.days(noncurrent_version_days),
                    abort_incomplete_multipart_upload_after=UNFINISHED_UPLOAD,
                )
            ],
        )
        self._refuse(
            "OtherAccounts",
            {
                "StringNotEquals": {"aws:PrincipalAccount": cdk.Stack.of(self).account},
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
            },
        )
        if refused_role_arn:
            self._refuse("TheServer", {"ArnEquals": {"aws:PrincipalArn": refused_role_arn}})

    def _refuse(self, sid: str, conditions: dict[str, dict[str, str]]) -> None:
        self.bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid=sid,
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=["s3:*"],
                resources=[self.bucket.bucket_arn, self.bucket.arn_for_objects("*")],
                conditions=conditions,
            )
        )
