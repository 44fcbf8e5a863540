"""Trust policies that work before the other side exists and admit no other principal."""

from aws_cdk import aws_iam as iam


def only(account: str, role_arn: str, external_id: str | None = None) -> iam.PrincipalBase:
    """Return a principal that admits one role of another account.

    A trust policy that names a foreign role fails if that role does not exist, and stops working when the
    role is created again, because AWS stores its unique id. The account with a condition on the ARN avoids
    both.

    Parameters
    ----------
    account : str
        The other account.
    role_arn : str
        The role in it.
    external_id : str, optional
        The ExternalId that the caller must also present.
    """
    conditions: dict[str, object] = {"ArnEquals": {"aws:PrincipalArn": role_arn}}
    if external_id is not None:
        conditions["StringEquals"] = {"sts:ExternalId": external_id}
    return iam.AccountPrincipal(account).with_conditions(conditions)


def sagemaker_of(account: str, conditions: dict[str, object] | None = None) -> iam.PrincipalBase:
    """Return SageMaker as a principal.

    Parameters
    ----------
    account : str
        The account it has to act for.
    conditions : dict, optional
        Additional conditions.
    """
    return iam.ServicePrincipal(
        "sagemaker.amazonaws.com",
        conditions={"StringEquals": {"aws:SourceAccount": account}, **(conditions or {})},
    )
