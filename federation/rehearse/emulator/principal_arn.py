"""``aws:PrincipalArn`` of a role session is the role's ARN.

Plain ministack compares the session's own ARN (``arn:aws:sts::…:assumed-role/…``), which on AWS never matches
the ``arn:aws:iam::…:role/…`` a careful trust policy names.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
"""

from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack


def role_of_session(arn: str) -> str:
    """Return the role's ARN for a session's, and any other ARN as it is."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or not parts[5].startswith("assumed-role/"):  # noqa: PLR2004 (an ARN)
        return arn
    name = parts[5].split("/")[1]
    record = ministack.roles.get_scoped(parts[4], None, name)
    return str(record["Arn"]) if record else f"arn:aws:iam::{parts[4]}:role/{name}"


def _resolve(key: str, context: Any) -> Any:  # noqa: ANN401 (ministack has no types)
    if key.lower() == "aws:principalarn":
        return role_of_session(context.principal_arn)
    return ministack.resolve_condition_key(key, context)


def install() -> None:
    """Register the capability."""
    setattr(ministack.evaluator, ministack.CONDITION_KEY_RESOLVER_NAME, _resolve)
