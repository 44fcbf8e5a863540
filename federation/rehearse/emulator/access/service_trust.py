"""A role that trusts a service is not open to the account's root.

Plain ministack admits the root wherever a trust policy names any service, because its own services call as
root. Our services evaluate the service itself (`role_evaluation.service_may_assume`).
"""

from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack


def _matches(principal: Any, caller_arn: str) -> bool:
    if isinstance(principal, dict):
        principal = {kind: named for kind, named in principal.items() if kind != "Service"}
    return ministack.principal_matches(principal, caller_arn)


def install() -> None:
    """Register the capability."""
    setattr(ministack.evaluator, ministack.PRINCIPAL_MATCHER_NAME, _matches)
