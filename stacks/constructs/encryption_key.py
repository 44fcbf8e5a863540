"""The key that encrypts everything that a party stores."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

ADMINISTRATION = [
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]
USE = [
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
]


class EncryptionKey(Construct):
    """A key that only its own account can use, according to the account's IAM policies.

    Parameters
    ----------
    existing_arn : str or None
        A key of the account to use instead of making one; it stays as it is.
    description : str
        The key's description in the console.
    removal_policy : RemovalPolicy
        Treatment of a key created here when the stack is destroyed; deletion takes the minimum time that KMS
        allows.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        existing_arn: str | None,
        description: str,
        removal_policy: cdk.RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        self.key: kms.IKey = (
            kms.Key.from_key_arn(self, "Key", existing_arn)
            if existing_arn
            else kms.Key(
                self,
                "Key",
                description=description,
                enable_key_rotation=True,
                pending_window=cdk.Duration.days(7),
                removal_policy=removal_policy,
                policy=_own_account_only(),
            )
        )


def _own_account_only() -> iam.PolicyDocument:
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                sid="OwnAccount",
                principals=[iam.AccountRootPrincipal()],
                actions=[*ADMINISTRATION, *USE],
                resources=["*"],
            )
        ]
    )
