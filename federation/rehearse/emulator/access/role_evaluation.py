"""Evaluate, as IAM would, who may assume a role and what the role may do.

ministack enforces policies for the calls that arrive over HTTP. Some calls that AWS makes on a caller's
behalf (CloudFormation accepts a peering, SageMaker pulls an image) do not arrive over HTTP; these functions
enforce the same policies for them.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack


class NotAuthorizedError(ValueError):
    """IAM denies the request. The message is the one that AWS would give."""


@dataclass(frozen=True, kw_only=True)
class RoleArn:
    """The parts of a role's ARN that are needed to find it."""

    arn: str
    account: str
    name: str

    @classmethod
    def parse(cls, arn: str) -> "RoleArn":
        """Split an ARN, or raise if the text is not an ARN."""
        match arn.split(":"):
            case [_, _, "iam", _, account, resource] if resource.startswith("role/"):
                return cls(arn=arn, account=account, name=resource.rsplit("/", 1)[-1])
        raise NotAuthorizedError(f"Invalid RoleArn: {arn}")

    def record(self) -> ministack.Record | None:
        """Return the role as IAM stores it, if it exists under exactly this ARN."""
        found: ministack.Record | None = ministack.roles.get_scoped(self.account, None, self.name)
        return found if found and found.get("Arn") == self.arn else None


def principal_of_role(role: RoleArn, session_name: str) -> ministack.Principal:
    """Return the principal a session of this role is."""
    return ministack.new_principal(
        arn=f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{session_name}",
        type="AssumedRole",
        account=role.account,
        policies=ministack.role_policies(role.name, role.account),
        limits=ministack.permissions_boundary(ministack.roles, role.name, role.account),
    )


def _context(principal: ministack.Principal, action: str, resource: str, keys: dict[str, Any] | None) -> Any:
    return ministack.EvalContext(
        principal_arn=principal.arn,
        principal_type=principal.type,
        principal_account=principal.account,
        action=action,
        resource_arn=resource,
        region=ministack.region(),
        principal_keys=principal.keys,
        service_context={name.lower(): value for name, value in (keys or {}).items()},
    )


def may(
    principal: ministack.Principal, action: str, resource: str, keys: dict[str, Any] | None = None
) -> bool:
    """Return whether a principal's policies, with the resource's own, allow one action.

    Parameters
    ----------
    principal : Principal
        From `principal_of_role`, or of a request.
    action : str
        As IAM spells it.
    resource : str
        The resource's ARN, or ``*``.
    keys : dict, optional
        The condition keys of the request.
    """
    if principal.policies is None:  # the root of the account
        return True
    context = _context(principal, action, resource, keys)
    decision = ministack.evaluate(context, principal.policies, *principal.limits)
    service = action.split(":", 1)[0]
    found = ministack.resource_policy(service, resource)
    if found is not None:
        decision = ministack.combine_resource_policy(
            decision, context, *found, required=service == "kms", limits=principal.limits
        )
    return bool(decision.decision == "Allow")


def assume(principal: ministack.Principal, role_arn: str, session_name: str) -> ministack.Principal:
    """Return the principal that results when another principal assumes a role.

    Raises
    ------
    NotAuthorizedError
        The caller's own policies or the role's trust policy do not allow it, or there is no such role: AWS
        gives the same answer to all three.
    """
    role = RoleArn.parse(role_arn)
    record = role.record()
    context = _context(principal, "sts:AssumeRole", role_arn, {"sts:RoleSessionName": session_name})
    if (
        record is None
        or not may(principal, "sts:AssumeRole", role_arn)
        or not ministack.trust_allows(record["AssumeRolePolicyDocument"], principal.arn, context)
    ):
        raise NotAuthorizedError(
            f"User: {principal.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
        )
    return principal_of_role(role, session_name)


def service_may_assume(service: str, role_arn: str, keys: dict[str, Any] | None = None) -> bool:
    """Return whether a role's trust policy lets a service (``sagemaker.amazonaws.com``) assume it."""
    role = RoleArn.parse(role_arn)
    record = role.record()
    if record is None:
        return False
    document = record["AssumeRolePolicyDocument"]
    statements = _statements(document)
    named = [
        {**statement, "Principal": "*"}
        for statement in statements
        if ministack.service_named_by(statement.get("Principal"), service)
    ]
    context = ministack.EvalContext(
        principal_arn=service,
        principal_type="Service",
        principal_account="",
        action="sts:AssumeRole",
        resource_arn=role_arn,
        region=ministack.region(),
        service_context={name.lower(): value for name, value in (keys or {}).items()},
    )
    return ministack.trust_allows({"Statement": named}, service, context)


def _statements(document: Any) -> list[dict[str, Any]]:
    parsed = json.loads(document) if isinstance(document, str) else document
    found = parsed.get("Statement", [])
    return [found] if isinstance(found, dict) else list(found)


def session_credentials(role_arn: str, session_name: str, seconds: float) -> dict[str, str]:
    """Start a session of a role, as the service that was found to be trusted, and return its credentials."""
    role = RoleArn.parse(role_arn)
    record = role.record() or {}
    key, secret, token = ministack.new_session_key(), ministack.new_secret(), ministack.new_session_token()
    ministack.register_session(
        key,
        {
            "Arn": principal_of_role(role, session_name).arn,
            "UserId": f"{record.get('RoleId', '')}:{session_name}",
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": time.time() + seconds,
            "AccountId": role.account,
            "PrincipalType": "AssumedRole",
        },
    )
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
