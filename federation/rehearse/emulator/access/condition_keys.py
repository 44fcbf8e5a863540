"""Condition keys that every AWS request has, but that plain ministack lacks or sets differently.

``aws:PrincipalArn`` of a role session is the role's ARN on AWS. Plain ministack compares the session's own
(``arn:aws:sts::…:assumed-role/…``), which never matches the ``arn:aws:iam::…:role/…`` a careful policy names.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from collections.abc import Callable
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack


def role_of_session(arn: str) -> str:
    """Return the role's ARN for a session's ARN, and any other ARN unchanged."""
    match arn.split(":", 5):
        case [_, _, _, _, account, resource] if resource.startswith("assumed-role/"):
            name = resource.split("/")[1]
        case _:
            return arn
    record = ministack.roles.get_scoped(account, None, name)
    return str(record["Arn"]) if record else f"arn:aws:iam::{account}:role/{name}"


def _region_of_ec2(context: Any) -> str | None:
    return str(context.region) if context.action.startswith("ec2:") else None


def _is_service(context: Any) -> str:
    return str(context.principal_type == "Service").lower()


KEYS: dict[str, Callable[[Any], str | None]] = {
    "aws:principalarn": lambda context: role_of_session(context.principal_arn),
    "aws:principalisawsservice": _is_service,
    "ec2:region": _region_of_ec2,
}


def _resolve(key: str, context: Any) -> Any:
    ours = KEYS.get(key.lower())
    return ours(context) if ours else ministack.resolve_condition_key(key, context)


def install() -> None:
    """Register the capability."""
    setattr(ministack.evaluator, ministack.CONDITION_KEY_RESOLVER_NAME, _resolve)
